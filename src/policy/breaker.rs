//! Not hammering at what can't be removed: a policy whose removals mostly fail
//! is left alone for a while, so that the others get their turn.

use std::time::Duration;

/// How many tries are judged.
pub const TRIES: u32 = 100;
/// How long a policy is suspended.
pub const SUSPENSION: Duration = Duration::from_secs(15 * 60);

/// The latest tries of one policy on one root. Times are those of the boot-time clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    /// The latest tries, the last one lowest: 1 is a failure.
    tries: u128,
    /// Until when nothing is tried.
    until: Option<Duration>,
}

/// What the tries of a batch changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// More than half of the latest [`TRIES`] failed: suspended from now on.
    Opened {
        /// How many failed.
        failures: u32,
    },
    /// It works again, before its time.
    Closed,
}

impl Breaker {
    /// Until when the policy is suspended; `None` if it isn't.
    pub fn suspended_until(&self, now: Duration) -> Option<Duration> {
        self.until.filter(|until| now < *until)
    }

    /// Takes how the tries of a batch ended, in their order; true is a failure.
    /// Files that were left alone for a reason were not tried.
    pub fn tried(&mut self, failed: impl IntoIterator<Item = bool>, now: Duration) -> Option<Switched> {
        let (mut tries, mut failures) = (0_u32, 0_u32);
        for failed in failed {
            tries += 1;
            failures += u32::from(failed);
            self.tries = (self.tries << 1 | u128::from(failed)) & ((1 << TRIES) - 1);
        }
        if tries == 0 {
            return None;
        }
        if self.suspended_until(now).is_some() {
            // Somebody asked for it in spite of that: one try that mostly works is proof enough.
            if failures * 2 <= tries {
                *self = Self::default();
                return Some(Switched::Closed);
            }
            return None;
        }
        let failures = self.tries.count_ones();
        if failures * 2 <= TRIES {
            return None;
        }
        // Judged anew afterwards: what failed before says nothing about then.
        *self = Self { tries: 0, until: Some(now.saturating_add(SUSPENSION)) };
        Some(Switched::Opened { failures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn batch(failures: usize, successes: usize) -> Vec<bool> {
        [vec![true; failures], vec![false; successes]].concat()
    }

    #[test]
    fn it_opens_past_half_of_a_hundred_tries_for_a_quarter_of_an_hour() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.tried(batch(50, 50), NOW), None);
        assert_eq!(breaker.tried(batch(1, 0), NOW), None, "the oldest failure is forgotten");
        let mut breaker = Breaker::default();
        assert_eq!(breaker.tried(batch(50, 0), NOW), None);
        assert_eq!(breaker.tried(batch(1, 0), NOW), Some(Switched::Opened { failures: 51 }));
        assert_eq!(breaker.suspended_until(NOW), Some(NOW + SUSPENSION));
        assert_eq!(breaker.suspended_until(NOW + SUSPENSION), None);
    }

    #[test]
    fn a_few_failures_among_many_successes_never_open_it() {
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            assert_eq!(breaker.tried(batch(60, 100), NOW), None);
            assert_eq!(breaker.tried(batch(0, 0), NOW), None);
        }
    }

    #[test]
    fn after_its_time_it_is_judged_by_new_tries_alone() {
        let mut breaker = Breaker::default();
        assert!(breaker.tried(batch(100, 0), NOW).is_some());
        let later = NOW + SUSPENSION;
        assert_eq!(breaker.tried(batch(50, 0), later), None);
        assert!(matches!(breaker.tried(batch(1, 0), later), Some(Switched::Opened { .. })));
    }

    #[test]
    fn a_try_in_spite_of_it_that_works_closes_it() {
        let mut breaker = Breaker::default();
        assert!(breaker.tried(batch(100, 0), NOW).is_some());
        assert_eq!(breaker.tried(batch(9, 1), NOW), None);
        assert_eq!(breaker.tried(batch(1, 9), NOW), Some(Switched::Closed));
        assert_eq!(breaker.suspended_until(NOW), None);
    }
}
