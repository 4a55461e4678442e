//! What the fuse judged is a bound on what is executed: files may have become
//! due since.

use super::super::merge::{Mixed, weight};
use super::Running;

impl Running<'_, '_> {
    /// Leaves out of a batch what would take more from a root than was judged.
    /// From then on nothing goes from that root: the next run judges anew.
    pub(super) fn within_judged(&mut self, batch: Mixed) -> Mixed {
        if self.orders.at_most.is_empty() {
            return batch;
        }
        let mut kept = Mixed::new();
        let mut sums = vec![(0_u64, 0_u64); self.roots.len()];
        for (place, action) in batch {
            let (Some(one), Some(record), Some(sum)) =
                (self.roots.get(place), self.records.get_mut(place), sums.get_mut(place))
            else {
                continue;
            };
            let Some(most) = self.orders.at_most.get(&one.root.name) else {
                kept.push((place, action));
                continue;
            };
            sum.0 = sum.0.saturating_add(weight(&action));
            sum.1 = sum.1.saturating_add(action.expected_bytes);
            let files = record.files_deleted().saturating_add(sum.0);
            let bytes = record.bytes_freed().saturating_add(sum.1);
            if !self.full.contains(&place) && files <= most.files && bytes <= most.bytes {
                kept.push((place, action));
                continue;
            }
            if self.full.insert(place) {
                record.note("more became due than limits.max_share was judged by: the next sweep goes on");
            }
            // The links of one inode go together or not at all.
            while kept
                .last()
                .is_some_and(|(at, last)| *at == place && last.facts.id.ino == action.facts.id.ino)
            {
                kept.pop();
            }
        }
        kept
    }
}
