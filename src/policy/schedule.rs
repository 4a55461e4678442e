//! When scheduled work is due.

use std::time::Duration;

use crate::model::Timestamp;

/// Whether it is time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now {
        /// How many further intervals passed unused; they are made up by this one run.
        missed: u64,
    },
    /// Not before this time.
    At(Timestamp),
}

/// When work with an interval is due. `last` is when it last began by the
/// ledger; on a new ledger (`None`) nothing counts as missed and the first time
/// comes one interval after `started`. A last time in the future counts as now.
pub fn due(now: Timestamp, interval: Duration, last: Option<Timestamp>, started: Timestamp) -> Due {
    // An interval of nothing would be due for ever.
    let interval = interval.max(Duration::from_secs(1));
    let from = last.unwrap_or(started).min(now);
    let passed = from.age_at(now);
    if passed < interval {
        return Due::At(from.plus(interval));
    }
    let intervals = passed.as_nanos() / interval.as_nanos();
    let missed = if last.is_some() { u64::try_from(intervals).unwrap_or(u64::MAX) - 1 } else { 0 };
    Due::Now { missed }
}

/// Whether work that began did not come to its end: the process went away under
/// it. Where no end was ever noted nothing is known, and nothing is made up for.
pub fn interrupted(begun: Option<Timestamp>, ended: Option<Timestamp>) -> bool {
    begun.zip(ended).is_some_and(|(begun, ended)| ended < begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_interrupted_when_it_began_after_the_last_end() {
        let at = |seconds| Some(Timestamp::from_unix(seconds, 0));
        assert!(interrupted(at(10), at(9)) && interrupted(at(10), Some(Timestamp::EPOCH)));
        assert!(!interrupted(at(10), at(10)) && !interrupted(at(10), at(11)));
        assert!(!interrupted(at(10), None) && !interrupted(None, at(10)));
    }
}
