//! What is alarming as long as it is so: looked for by the guard, each round.

use std::sync::{PoisonError, TryLockError};

use crate::agent::commands;
use crate::agent::state::{Agent, BEING_ADOPTED, SlotState};
use crate::api::RootState;
use crate::model::{AlertKind, Level};
use crate::sys::clock;

use super::{Alert, Subject};

/// The kinds that [`conditions`] knows all of.
pub const CONDITIONS: &[AlertKind] = &[
    AlertKind::RootSuspended,
    AlertKind::RootUnwatched,
    AlertKind::PolicyFailing,
    AlertKind::Clock,
    AlertKind::LedgerLost,
];

/// All of these kinds that are so now; what can't be asked now is as it was.
pub fn conditions(agent: &Agent) -> Vec<Alert> {
    let in_force = agent.engine.alerts.subjects();
    let mut all = Vec::new();
    for slot in agent.slots() {
        let root = Some(slot.name());
        let about = |kind| Subject::of(kind, root);
        match slot.state() {
            // For a moment, and it is the same root.
            SlotState::Suspended(why) if why == BEING_ADOPTED => {}
            SlotState::Suspended(why) => {
                let at = slot.settings.path.display();
                let message = format!("the root is suspended: {at}: {why}");
                all.push(Alert::new(about(AlertKind::RootSuspended), Level::Critical, message));
            }
            SlotState::Ready(ready) => {
                // By configuration it is no alert.
                let by_limit =
                    ready.key.and_then(|key| agent.ingest.status(key)).is_some_and(|one| one.limit.is_some());
                let (state, reason) = commands::state(agent, &slot);
                if let (RootState::Unwatched, Some(reason), true) = (state, reason, by_limit) {
                    all.push(Alert::new(about(AlertKind::RootUnwatched), Level::Warning, reason));
                }
            }
        }
        for (phase, why) in agent.engine.breakers.failing(slot.name(), clock::since_boot()) {
            let subject = about(AlertKind::PolicyFailing).part(phase.as_str());
            all.push(Alert::new(subject, Level::Critical, why));
        }
    }
    let of_all = |kind| Subject::of(kind, None);
    let doubt = agent.engine.clock.lock().unwrap_or_else(PoisonError::into_inner).doubt();
    if let Some(why) = doubt {
        let message = format!(
            "the clock can't be trusted ({why:?}): age policies pause outside emergencies; help: synchronise \
             the time, or run `guardian clock trust`"
        );
        all.push(Alert::new(of_all(AlertKind::Clock), Level::Critical, message));
    }
    // Who changes a job waits for removals in flight: nobody waits for that here.
    let lost = match agent.engine.jobs.try_read() {
        Ok(view) => !view.known,
        Err(TryLockError::Poisoned(view)) => !view.get_ref().known,
        Err(TryLockError::WouldBlock) => in_force.contains(&of_all(AlertKind::LedgerLost)),
    };
    if lost {
        let message = "the ledger was lost: files that name jobs stay; help: register the jobs that run, then \
                       `guardian registry trust`";
        all.push(Alert::new(of_all(AlertKind::LedgerLost), Level::Critical, message));
    }
    all
}
