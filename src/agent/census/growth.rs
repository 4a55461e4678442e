//! How fast holders grow: what a count shows against one made earlier.
//!
//! Promises: nothing is counted for it; what can't be told is absent.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::model::RelPath;

/// A rate over less than this says more about the moment than about the holder.
const SHORTEST_SPAN: Duration = Duration::from_secs(10);
/// How old a look gets before the next one takes its place.
const SPAN: Duration = Duration::from_secs(600);
/// Holders of one kind that a look remembers, the largest: a bound on memory.
const REMEMBERED: usize = 10_000;

/// What the holders of one kind held at one moment.
#[derive(Debug, Clone)]
pub(super) struct Held<K> {
    bytes: HashMap<K, u64>,
    /// Whether that is all of them: one that is missing then held nothing.
    all: bool,
}

impl<K: Clone + Eq + Hash> Held<K> {
    /// Remembers sums of bytes.
    pub(super) fn of<'a>(sums: impl Iterator<Item = (&'a K, u64)>) -> Self
    where
        K: 'a,
    {
        let mut sums: Vec<(&K, u64)> = sums.collect();
        let all = sums.len() <= REMEMBERED;
        if !all {
            sums.sort_unstable_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
            sums.truncate(REMEMBERED);
        }
        Self { bytes: sums.into_iter().map(|(key, bytes)| (key.clone(), bytes)).collect(), all }
    }

    /// The growth of a holder to `bytes` within `span`, in bytes per hour.
    pub(super) fn rate(&self, key: &K, bytes: u64, span: Duration) -> Option<i64> {
        let before = self.bytes.get(key).copied().or(self.all.then_some(0))?;
        if span < SHORTEST_SPAN {
            return None;
        }
        let hours = span.as_secs_f64() / 3600.0;
        Some(((bytes as f64 - before as f64) / hours).round() as i64)
    }
}

/// One count of a root.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// When, by the boot-time clock.
    pub(super) at: Duration,
    /// By job.
    pub(super) jobs: Held<String>,
    /// By owner.
    pub(super) users: Held<u32>,
    /// By directory.
    pub(super) directories: Held<RelPath>,
}

/// The counts of one root that others are compared with.
#[derive(Debug, Default)]
pub(super) struct Looks {
    before: Option<Look>,
    /// Follows `before` when it is old enough itself.
    next: Option<Look>,
}

impl Looks {
    /// What a count is compared with.
    pub(super) const fn before(&self) -> Option<&Look> {
        self.before.as_ref()
    }

    /// Takes a count that was compared.
    pub(super) fn take(&mut self, look: Look) {
        let is_old = |other: &Look| look.at.saturating_sub(other.at) >= SPAN;
        match (&self.before, &self.next) {
            (None, _) => self.before = Some(look),
            (_, Some(next)) if is_old(next) => {
                self.before = self.next.take();
                self.next = Some(look);
            }
            (_, None) => self.next = Some(look),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(sums: &[(u32, u64)]) -> Held<u32> {
        Held::of(sums.iter().map(|(uid, bytes)| (uid, *bytes)))
    }

    #[test]
    fn growth_is_what_came_since_in_bytes_per_hour() {
        let before = held(&[(1, 1000), (2, 500)]);
        let minute = Duration::from_secs(60);
        assert_eq!(before.rate(&1, 1010, minute), Some(600));
        assert_eq!(before.rate(&2, 400, minute), Some(-6000));
        assert_eq!(before.rate(&3, 7, minute), Some(420), "it held nothing");
        assert_eq!(before.rate(&1, 1010, Duration::from_secs(1)), None, "too soon to tell");
    }

    #[test]
    fn what_was_forgotten_for_want_of_room_is_unknown() {
        let many: Vec<(u32, u64)> = (0..=REMEMBERED as u32).map(|uid| (uid, u64::from(uid))).collect();
        let before = held(&many);
        assert_eq!(before.rate(&0, 5, Duration::from_secs(60)), None);
        assert_eq!(before.rate(&1, 1, Duration::from_secs(60)), Some(0));
    }

    #[test]
    fn counts_are_compared_with_one_that_is_not_much_older_than_its_span() {
        let at = |seconds| Look {
            at: Duration::from_secs(seconds),
            jobs: Held::of(std::iter::empty()),
            users: held(&[]),
            directories: Held::of(std::iter::empty()),
        };
        let mut looks = Looks::default();
        assert!(looks.before().is_none());
        let mut oldest = 0;
        for second in (0..7200).step_by(60) {
            looks.take(at(second));
            oldest = oldest.max(second - looks.before().unwrap().at.as_secs());
        }
        assert!((600..=1320).contains(&oldest), "{oldest}");
    }
}
