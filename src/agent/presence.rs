//! Presence: whether each root is still where it was.
//!
//! Promises: a root that is gone or not as it was is suspended, and taken back
//! alone when it returns; one that waits for room is adopted when there is
//! some. All this waits for disks and, on dead network mounts, for ever: so it
//! has a thread of its own, and the guard never waits for it. Must not know:
//! volumes, marks, emergencies.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::sys::clock;

use super::slots;
use super::state::{Agent, Slot};

/// How often roots are checked while volumes are looked at more often, and
/// while a root is waited for.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// How often the clocks are noted in the ledger.
const CLOCK_MARK_INTERVAL: Duration = Duration::from_secs(600);

/// Checks until the agent stops.
pub fn work(agent: &Arc<Agent>) {
    let mut clock_mark_due = Duration::ZERO;
    while !agent.stop.is_raised() {
        fail::fail_point!("presence");
        for slot in agent.slots() {
            let before = slot.ready().map(|root| Arc::as_ptr(&root));
            slots::check(agent, &slot);
            if before != slot.ready().map(|root| Arc::as_ptr(&root)) {
                agent.stir.bell.ring();
            }
        }
        let now = clock::since_boot();
        if now >= clock_mark_due && !is_clock_doubted(agent) {
            clock_mark_due = now + CLOCK_MARK_INTERVAL;
            super::clock::note_clock(&agent.ledger, clock::now(), now);
        }
        let waits = |slot: &Arc<Slot>| slot.ready().is_none_or(|root| root.awaits_adoption());
        let limit =
            if agent.slots().iter().any(waits) { INTERVAL } else { agent.settings().agent.sample_interval };
        agent.presence_bell.wait(limit);
    }
}

/// A doubted time on record would be what the next start believes.
fn is_clock_doubted(agent: &Agent) -> bool {
    let mut guard = agent.engine.clock.lock().unwrap_or_else(PoisonError::into_inner);
    guard.observe(clock::now(), clock::since_boot(), clock::time_is_synchronised()).is_some()
}
