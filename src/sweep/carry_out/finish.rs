//! The end of a run: the last look, what came free against what was unlinked,
//! and what holds the space where the target was missed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Reclaim, Report, VolumeUsage};

use super::super::record::RunEnd;
use super::super::shortfall::shortfall;
use super::Running;
use super::allowance::{SETTLE_PAUSE, patience};

impl Running<'_, '_> {
    pub(super) fn finish(mut self, before: Option<&VolumeUsage>, begun: Duration) -> Vec<Report> {
        self.remove_emptied();
        let usage = self.reached.or_else(|| self.final_look());
        let target = self.orders.target;
        let reached = target.is_set().then(|| usage.as_ref().is_some_and(|now| target.is_reached(now)));
        let missing_to_target = usage.as_ref().map_or(0, |now| target.excess(now));
        let delta = match (before, usage.as_ref()) {
            (Some(before), Some(after)) => Some(signed_difference(before.used, after.used)),
            _ => None,
        };
        let gap = self.gap(delta);
        let end_time = self.around.now();
        let took = self.around.elapsed().saturating_sub(begun);
        let (orders, roots, freed) = (self.orders, self.roots, self.freed);
        self.records
            .into_iter()
            .zip(roots)
            .map(|(record, one)| {
                let unlinked = record.bytes_freed();
                // The volume shows one delta for all its roots: it stands in each
                // report, with the gap named once it is the whole volume's.
                let reclaim = Reclaim {
                    unlinked_bytes: unlinked,
                    volume_delta_bytes: delta,
                    gap: if freed > 0 { gap.clone() } else { BTreeMap::new() },
                };
                let shortfall = (reached == Some(false) && orders.is_emergency())
                    .then(|| shortfall(one, self.shared, missing_to_target));
                record.finish(RunEnd {
                    time: end_time,
                    took,
                    usage,
                    target_percent: target.percent,
                    target_reached: reached,
                    shortfall,
                    reclaim,
                    open_check: Some(one.root.open_check_now().as_str()),
                })
            })
            .collect()
    }

    /// The last look waits for what was freed to show, so that the report
    /// compares like with like; it decides nothing.
    pub(super) fn final_look(&mut self) -> Option<VolumeUsage> {
        let since = self.around.elapsed();
        let limit = patience(&self.probe);
        if self.settle.credit() > 0 && !limit.is_zero() {
            self.sync_aside();
        }
        loop {
            let usage = self.probe.look().ok()?;
            self.settle.sampled(usage.used);
            if self.settle.credit() == 0
                || self.orders.target.is_set() && self.orders.target.is_reached(&usage)
                || self.around.elapsed().saturating_sub(since) >= limit
                || self.around.stop().is_some()
            {
                return Some(usage);
            }
            std::thread::sleep(SETTLE_PAUSE);
        }
    }

    /// Names the difference between what was unlinked and what came free.
    pub(super) fn gap(&self, delta: Option<i64>) -> BTreeMap<String, u64> {
        let mut gap = BTreeMap::new();
        let Some(delta) = delta else { return gap };
        let visible = u64::try_from(delta).unwrap_or(0);
        let missing = self.freed.saturating_sub(visible);
        if missing == 0 {
            return gap;
        }
        let late = missing.min(self.missing.saturating_add(self.settle.credit()));
        if late > 0 && !patience(&self.probe).is_zero() {
            gap.insert("not_yet_visible".to_owned(), late);
        }
        let rest = if patience(&self.probe).is_zero() { missing } else { missing - late };
        if rest > 0 {
            gap.insert("written_meanwhile".to_owned(), rest);
        }
        gap
    }
}

fn signed_difference(before: u64, after: u64) -> i64 {
    let magnitude = i64::try_from(before.abs_diff(after)).unwrap_or(i64::MAX);
    if before >= after { magnitude } else { -magnitude }
}
