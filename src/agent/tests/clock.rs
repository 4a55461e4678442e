//! A clock that jumps while the agent runs.

use std::sync::PoisonError;
use std::time::Duration;

use super::{HOUR, Host};
use crate::agent::engine::{Commission, Target};
use crate::agent::surroundings::Control;
use crate::model::{Policy, SweepRequest, Trigger};
use crate::policy::ClockGuard;
use crate::sys::clock;

const DAY: Duration = Duration::from_secs(24 * HOUR);

impl Host {
    /// As if the wall clock had jumped forward by two days since the last look.
    fn jump(&self) {
        let then = clock::now().minus(2 * DAY);
        let mut guard = self.running.agent().engine.clock.lock().unwrap_or_else(PoisonError::into_inner);
        *guard = ClockGuard::at_start(then, clock::since_boot(), None, false);
    }
}

fn is_synchronised() -> bool {
    let synchronised = clock::time_is_synchronised();
    if synchronised {
        eprintln!("skipped: a time service keeps this host's clock, which settles every doubt");
    }
    synchronised
}

#[test]
fn a_sweep_that_a_jump_of_the_clock_made_due_does_not_believe_it() {
    if is_synchronised() {
        return;
    }
    let host = Host::start();
    let file = host.file("made-yesterday-by-the-true-clock", 30);
    host.jump();
    let request = SweepRequest::of(Policy::Orphans);
    let commission = Commission {
        request: &request,
        trigger: Trigger::Scheduled,
        requested_by: None,
        control: &Control::default(),
        list: false,
        stop: &|| None,
        leave_out: None,
    };
    let agent = host.running.agent();
    let targets: Vec<_> = agent.targets(None).into_iter().map(|one| Target { key: None, ..one }).collect();
    agent.engine.sweep(&commission, &targets).unwrap();
    assert!(file.exists());
    host.running.stop().unwrap();
}

#[test]
fn a_clock_that_jumped_is_not_what_the_next_start_believes() {
    if is_synchronised() {
        return;
    }
    let host = Host::start();
    let last = clock::now().minus(3 * DAY);
    let ledger = std::sync::Arc::clone(&host.running.agent().ledger);
    let mark = crate::store::ledger::ClockMark { wall: last, boot_id: String::new(), boottime_nanos: 0 };
    host.jump();
    ledger.set_clock_mark(&mark).unwrap();
    host.running.stop().unwrap();
    assert_eq!(ledger.clock_mark().unwrap().unwrap().wall, last);
}
