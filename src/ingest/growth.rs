//! What came to each root in the last minutes, from the changes that were
//! followed.
//!
//! Promises: bounded, whatever happens; costs nothing while nothing changes.
//! What a scan or a comparison finds came at a time that nobody knows, and is
//! not counted.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::store::RootKey;
use crate::store::index::GrowthSums;

/// How far back is remembered, in parts
const PARTS: u64 = 5;
/// of so long.
const PART: Duration = Duration::from_secs(60);

/// What is remembered of all roots.
#[derive(Debug, Default)]
pub(super) struct Growths(HashMap<RootKey, Root>);

#[derive(Debug)]
struct Root {
    /// Since when its changes are followed.
    since: Duration,
    /// By number of the part since boot, the latest last.
    parts: VecDeque<(u64, GrowthSums)>,
}

/// What came to a root.
#[derive(Debug, Clone, Default)]
pub struct RecentGrowth {
    /// Within this span.
    pub span: Duration,
    /// By who may have made it.
    pub sums: GrowthSums,
}

const fn part_of(now: Duration) -> u64 {
    now.as_secs() / PART.as_secs()
}

impl Growths {
    /// From now on the changes of a root are followed.
    pub(super) fn begin(&mut self, root: RootKey, now: Duration) {
        self.0.entry(root).or_insert_with(|| Root { since: now, parts: VecDeque::new() });
    }

    /// What was followed of a root is not all that happened, or nobody asks any more.
    pub(super) fn forget(&mut self, root: RootKey) {
        self.0.remove(&root);
    }

    /// Adds what changes made of a root.
    pub(super) fn add(&mut self, root: RootKey, sums: GrowthSums, now: Duration) {
        let Some(root) = self.0.get_mut(&root).filter(|_| !sums.sums.is_empty()) else { return };
        let part = part_of(now);
        match root.parts.back_mut() {
            Some((last, known)) if *last == part => known.merge(sums),
            _ => root.parts.push_back((part, sums)),
        }
        root.parts.retain(|(old, _)| *old + PARTS > part);
    }

    /// What came to a root lately; `None` while its changes are not followed.
    pub(super) fn recent(&self, root: RootKey, now: Duration) -> Option<RecentGrowth> {
        let root = self.0.get(&root)?;
        let (part, mut sums) = (part_of(now), GrowthSums::default());
        for (_, one) in root.parts.iter().filter(|(old, _)| *old + PARTS > part) {
            sums.merge(one.clone());
        }
        let begin = Duration::from_secs((part + 1).saturating_sub(PARTS) * PART.as_secs());
        Some(RecentGrowth { span: now.saturating_sub(root.since.max(begin)), sums })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::index::GrowthKey;

    const ROOT: RootKey = RootKey(1);

    fn sums(bytes: i64) -> GrowthSums {
        let mut sums = GrowthSums::default();
        sums.add(GrowthKey { dir: 1, uid: 7, reading: Box::default() }, b"f", bytes);
        sums
    }

    #[test]
    fn what_came_is_remembered_for_some_minutes() {
        let at = Duration::from_secs;
        let mut growths = Growths::default();
        growths.add(ROOT, sums(1), at(1000));
        assert!(growths.recent(ROOT, at(1000)).is_none(), "nobody knows what happened before");
        growths.begin(ROOT, at(1010));
        for minute in 0..60 {
            growths.add(ROOT, sums(10), at(1020 + 60 * minute));
        }
        let recent = growths.recent(ROOT, at(1020 + 60 * 59)).unwrap();
        assert_eq!(recent.sums.sums.values().map(|one| one.bytes).sum::<i64>(), 50);
        assert!(recent.span >= at(240) && recent.span <= at(300), "{:?}", recent.span);
        let later = growths.recent(ROOT, at(9000)).unwrap();
        assert!(later.sums.sums.is_empty(), "it is known that nothing came");
        growths.forget(ROOT);
        assert!(growths.recent(ROOT, at(9000)).is_none());
    }
}
