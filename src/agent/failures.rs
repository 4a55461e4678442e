//! Jobs that failed: their files go as soon as `retain.failed_jobs` is over,
//! not at the next scheduled sweep after that.
//!
//! Promises: up to when failures were followed up is on record, so that none
//! is missed over a restart and none is followed up twice.

use std::sync::PoisonError;

use crate::model::Timestamp;

use super::state::Agent;

/// Under which name the ledger keeps up to when failures were followed up.
const FOLLOWED_UP: &str = "job_failures";

/// What there is to do for failed jobs.
#[derive(Debug, PartialEq, Eq)]
pub enum Failures {
    /// The retention of some is over.
    Due,
    /// The next is over at this time.
    At(Timestamp),
    /// None is to come.
    None,
}

/// Whether the retention of a failed job ended since the last look.
pub fn look(agent: &Agent, now: Timestamp) -> Failures {
    let last = agent.ledger.last_run(FOLLOWED_UP).unwrap_or_else(|error| {
        tracing::warn!(reason = %super::chain(&error), "the last look at failed jobs is unknown");
        Some(now)
    });
    let slots = agent.slots();
    let view = agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner);
    let ends = view.jobs.values().filter(|job| job.state.is_failure()).flat_map(|job| {
        let works_in = |name: &_| job.root.as_ref().is_none_or(|only| only == name);
        let ended = job.ended();
        slots
            .iter()
            .filter(move |slot| works_in(slot.name()))
            .map(move |slot| ended.plus(slot.settings.retain.failed_jobs))
    });
    next(ends, last, now)
}

/// Notes that all that was due at `now` is followed up. `false`: it could not be
/// noted, and would be due again at once.
pub fn note(agent: &Agent, now: Timestamp) -> bool {
    match agent.ledger.set_last_run(FOLLOWED_UP, now) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(reason = %super::chain(&error), "failed to note a look at failed jobs");
            false
        }
    }
}

fn next(ends: impl Iterator<Item = Timestamp>, last: Option<Timestamp>, now: Timestamp) -> Failures {
    // A look in the future was made by a clock that was set back.
    let last = last.filter(|last| *last <= now);
    let mut to_come: Option<Timestamp> = None;
    for end in ends {
        if end > now {
            to_come = Some(to_come.map_or(end, |other| other.min(end)));
        } else if last.is_none_or(|last| end > last) {
            return Failures::Due;
        }
    }
    to_come.map_or(Failures::None, Failures::At)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_due_once_and_none_is_missed_by_a_look_that_came_late() {
        let at = |seconds| Timestamp::from_unix(seconds, 0);
        let ends = [at(10), at(30), at(20)];
        let look = |last: Option<i64>, now| next(ends.into_iter(), last.map(at), at(now));
        assert_eq!(look(None, 5), Failures::At(at(10)));
        assert_eq!(look(Some(5), 10), Failures::Due);
        assert_eq!(look(Some(10), 10), Failures::At(at(20)));
        assert_eq!(look(Some(10), 40), Failures::Due);
        assert_eq!(look(Some(40), 40), Failures::None);
        // By a clock that was set back since: followed up again rather than never.
        assert_eq!(look(Some(99), 40), Failures::Due);
    }
}
