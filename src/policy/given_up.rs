//! Whether a file may be taken because a person gave it up: deferred, or put
//! into the trash.
//!
//! No age and no retention decides, only what speaks for the file: its living
//! jobs, holds and `protect`. What is held by descriptor, and whose it is, is
//! found out where it lies.

use std::time::Duration;

use super::{DirContext, JobsView, Moment, ReferenceView, RootRules};
use crate::model::{FileFacts, JobId, Keep, Phase, Timestamp};

/// What speaks against taking the file `name` of a directory; with the job, if it is one.
pub fn speaks_against<'a>(
    rules: &RootRules,
    now: Timestamp,
    jobs: &'a JobsView,
    references: &ReferenceView,
    dir: &DirContext,
    name: &[u8],
    facts: &FileFacts,
) -> Option<(Keep, Option<&'a JobId>)> {
    if dir.is_private(name) || dir.protected || rules.protect.matches_in(&dir.path, name) {
        return Some((Keep::Protected, None));
    }
    let at = dir.file(rules, name, facts);
    let (own, tracked) = (rules.patterns.readings(name), references.tracked_jobs(&at));
    let living = dir
        .jobs(&own, &tracked)
        .filter_map(|id| jobs.jobs.get_key_value(id))
        .find(|(_, job)| job.state.is_alive() && job.covers(&rules.root, facts.uid));
    if let Some((id, _)) = living {
        return Some((Keep::ActiveJob, Some(id)));
    }
    references.is_held(&at, now).then_some((Keep::Held, None))
}

/// Until when deferred deletions are due by their next try. In an emergency, and
/// when somebody asks, no pause between tries is waited for.
pub fn deferred_until(moment: &Moment) -> Timestamp {
    if moment.emergency || moment.older_than.is_some() { Timestamp::from_nanos(i64::MAX) } else { moment.now }
}

/// Until when something must have been put into the trash to be due, and how
/// long it was kept then. `None`: the clock that would tell is not trusted.
pub fn trash_until(rules: &RootRules, moment: &Moment) -> Option<(Timestamp, Duration)> {
    let limit = moment.limit(if moment.emergency { Duration::ZERO } else { rules.retain.trash });
    if limit.is_zero() {
        return Some((Timestamp::from_nanos(i64::MAX), limit));
    }
    (moment.clock_trusted || moment.emergency).then(|| (moment.now.minus(limit), limit))
}

/// Up to when what lies in a tree goes with it that was given up at `asked_at`
/// and was moved away: nobody gave up what came into it, or was changed in it,
/// later, by somebody who still stands in it. In the trash such a file has
/// a retention of its own; an emergency leaves it, and whoever empties the
/// trash means what lies there at that moment.
pub fn goes_with_its_tree(
    phase: Phase,
    rules: &RootRules,
    moment: &Moment,
    asked_at: Timestamp,
) -> Timestamp {
    if phase != Phase::Trash || moment.emergency {
        return asked_at;
    }
    trash_until(rules, moment).map_or(asked_at, |(until, _)| asked_at.max(until.min(moment.now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::rules;

    const NOW: Timestamp = Timestamp::from_nanos(10_000_000_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn trash_is_due_after_its_retention_and_at_once_in_an_emergency() {
        let ordinary = Moment::ordinary(NOW);
        assert_eq!(trash_until(&rules(), &ordinary), Some((NOW.minus(30 * DAY), 30 * DAY)));
        let asked = Moment { older_than: Some(DAY), ..ordinary.clone() };
        assert_eq!(trash_until(&rules(), &asked), Some((NOW.minus(DAY), DAY)));
        let (until, _) = trash_until(&rules(), &Moment::emergency(NOW)).unwrap();
        assert!(until > NOW);
    }

    #[test]
    fn a_doubted_clock_empties_no_trash_but_on_request() {
        let doubted = Moment { clock_trusted: false, ..Moment::ordinary(NOW) };
        assert_eq!(trash_until(&rules(), &doubted), None);
        let emptied = Moment { older_than: Some(Duration::ZERO), ..doubted };
        assert!(trash_until(&rules(), &emptied).is_some());
    }

    #[test]
    fn a_deferred_deletion_waits_for_its_next_try_unless_somebody_asks_or_space_is_short() {
        assert_eq!(deferred_until(&Moment::ordinary(NOW)), NOW);
        assert!(deferred_until(&Moment::emergency(NOW)) > NOW);
        let asked = Moment { older_than: Some(Duration::ZERO), ..Moment::ordinary(NOW) };
        assert!(deferred_until(&asked) > NOW);
    }

    #[test]
    fn what_came_into_a_tree_later_goes_only_by_a_retention_of_its_own() {
        let (asked_at, ordinary) = (NOW.minus(40 * DAY), Moment::ordinary(NOW));
        let emptied = Moment { older_than: Some(Duration::ZERO), ..ordinary.clone() };
        let until = |phase, moment: &Moment, asked_at| goes_with_its_tree(phase, &rules(), moment, asked_at);
        for moment in [&ordinary, &Moment::emergency(NOW), &emptied] {
            assert_eq!(until(Phase::Deferred, moment, asked_at), asked_at);
        }
        assert_eq!(until(Phase::Trash, &Moment::emergency(NOW), asked_at), asked_at);
        assert_eq!(until(Phase::Trash, &ordinary, asked_at), NOW.minus(30 * DAY));
        assert_eq!(until(Phase::Trash, &ordinary, NOW.minus(DAY)), NOW.minus(DAY));
        assert_eq!(until(Phase::Trash, &emptied, asked_at), NOW, "what lies there now");
        let doubted = Moment { clock_trusted: false, ..ordinary };
        assert_eq!(until(Phase::Trash, &doubted, asked_at), asked_at);
    }
}
