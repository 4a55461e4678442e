//! Carrying out a run: batch after batch, until the volume says it is enough.
//!
//! Truth is the volume, read again after each batch (law 7). What was unlinked
//! and isn't visible yet only ever delays further removal; it never counts as
//! success. One failing file, batch, record or root never stops the rest.

mod allowance;
mod batch;
mod finish;
mod judged;
mod planned;

use std::collections::HashSet;
use std::time::Duration;

use crate::model::{Action, Keep, Phase, Report, Skip, VolumeUsage};
use crate::policy::{Returns, Settle};
use crate::usage::Probe;

pub use planned::carry_out_plan;

use super::dirs::Emptied;
use super::execute::Conditions;
use super::last_phase::{LastPhase, aim_of};
use super::merge::{Merged, Room, Taken};
use super::planner::Decided;
use super::record::RunRecord;
use super::run::{Orders, RunRoot, Shared, Surroundings, circumstances, places};
use super::walked::Walked;
use allowance::patience;

/// Entries of queue or trash in a batch, unless the request says how many.
const ENTRIES: u64 = 100;

/// A run under way.
struct Running<'a, 'r> {
    orders: &'a Orders,
    roots: &'a [RunRoot<'r>],
    shared: Shared<'a>,
    around: &'a dyn Surroundings,
    probe: Probe,
    records: Vec<RunRecord>,
    emptied: Vec<Emptied>,
    taken: Taken,
    settle: Settle,
    /// Roots that may lose nothing more (see [`Orders::at_most`]).
    full: HashSet<usize>,
    /// Roots whose queue or trash somebody else was at, for too long.
    turned_away: HashSet<(usize, Phase)>,
    order: u64,
    freed: u64,
    /// Bytes written off because they did not show in time.
    missing: u64,
    ended: Option<String>,
    /// What the volume showed when it was at the target. Whoever writes after
    /// that look doesn't undo that the run reached it.
    reached: Option<VolumeUsage>,
}

/// Why a phase ended.
enum PhaseEnd {
    /// Nothing more to take.
    Exhausted,
    /// The volume is at its target.
    Reached,
    /// Cancelled, or a bound was met.
    Stopped,
}

/// Carries out `orders` over the roots of one volume. Returns one report for each root.
pub fn carry_out(
    orders: &Orders,
    roots: &[RunRoot<'_>],
    shared: Shared<'_>,
    around: &dyn Surroundings,
) -> Vec<Report> {
    let Some((mut running, before, begun)) = Running::begin(orders, roots, shared, around) else {
        return Vec::new();
    };
    running.all_phases();
    running.walk_before_giving_up();
    running.finish(before.as_ref(), begun)
}

impl<'a, 'r> Running<'a, 'r> {
    /// Takes stock; `None` without roots.
    fn begin(
        orders: &'a Orders,
        roots: &'a [RunRoot<'r>],
        shared: Shared<'a>,
        around: &'a dyn Surroundings,
    ) -> Option<(Self, Option<VolumeUsage>, Duration)> {
        let begun = around.elapsed();
        let probe = roots.first()?.root.probe.clone();
        let before = probe.look().ok();
        around.aims(&orders.target, before.as_ref());
        let running = Self {
            orders,
            roots,
            shared,
            around,
            records: roots
                .iter()
                .map(|one| {
                    RunRecord::begin(
                        &orders.head,
                        around.new_run_id(),
                        one.root.name.clone(),
                        orders.target.resource,
                        before.as_ref(),
                    )
                })
                .collect(),
            emptied: roots.iter().map(|_| Emptied::default()).collect(),
            taken: roots.iter().map(|_| Decided::default()).collect(),
            settle: Settle::new(before.as_ref().map_or(0, |usage| usage.used), patience(&probe)),
            probe,
            full: HashSet::new(),
            turned_away: HashSet::new(),
            order: 0,
            freed: 0,
            missing: 0,
            ended: None,
            reached: None,
        };
        Some((running, before, begun))
    }

    fn all_phases(&mut self) -> bool {
        for &phase in &self.orders.phases {
            match self.phase(phase, self.roots) {
                PhaseEnd::Exhausted => {}
                PhaseEnd::Reached => return true,
                PhaseEnd::Stopped => return false,
            }
        }
        false
    }

    /// An index may lag behind the disk: before a shortfall is reported, the
    /// disk itself is asked.
    fn walk_before_giving_up(&mut self) {
        if !self.orders.target.is_set() || self.ended.is_some() || self.is_reached() {
            return;
        }
        let mut walked = Vec::new();
        for one in self.roots {
            if one.nominator.is_walk() {
                return;
            }
            match Walked::walk(one.root) {
                Ok(nominator) => walked.push(RunRoot {
                    root: one.root,
                    nominator: Box::new(nominator),
                    moment: one.moment.clone(),
                    past_its_mark: one.past_its_mark,
                }),
                Err(error) => {
                    self.note_all(&crate::model::with_causes(&error));
                    return;
                }
            }
        }
        for &phase in &self.orders.phases {
            match self.phase(phase, &walked) {
                PhaseEnd::Exhausted => {}
                PhaseEnd::Reached | PhaseEnd::Stopped => return,
            }
        }
    }

    /// Why no further batch may go: somebody said so, or a root is not where it
    /// was. Its descriptor would lead on to wherever its directory was moved.
    fn must_stop(&self) -> Option<String> {
        self.around.stop().or_else(|| {
            let gone = self.roots.iter().find(|one| !one.root.dir.is_in_place())?;
            Some(format!("stopped: root {} is no longer at its path", gone.root.name))
        })
    }

    fn is_reached(&self) -> bool {
        self.reached.is_some() || self.probe.look().is_ok_and(|usage| self.orders.target.is_reached(&usage))
    }

    fn note_all(&mut self, note: &str) {
        for record in &mut self.records {
            record.note(note);
        }
    }

    fn phase(&mut self, phase: Phase, roots: &[RunRoot<'_>]) -> PhaseEnd {
        let emergency = self.orders.is_emergency();
        let mut at = places(roots, phase, emergency);
        at.retain(|place| !self.is_suspended(*place, phase) && self.may_ask_vault(*place, phase));
        self.turned_away.clear();
        let (shared, aim) = (self.shared, self.orders.aim());
        let with = |one| circumstances(shared, one, aim);
        if at.is_empty() {
            return PhaseEnd::Exhausted;
        }
        let mut merged = match Merged::new(roots, at.iter().copied(), phase, with) {
            Ok(merged) => merged,
            Err(error) => {
                let said = crate::model::with_causes(&error);
                self.note_all(&format!("{phase}: {said}"));
                return PhaseEnd::Exhausted;
            }
        };
        // The last phase may have to stop short of the target: a bound on what it gains.
        let mut bound: Option<u64> = None;
        if emergency && phase == Phase::Oldest {
            match self.last_phase(roots) {
                Ok(amount) => bound = amount,
                Err(end) => return end,
            }
        }
        let mut returns = Returns::default();
        let end = loop {
            if let Some(why) = self.must_stop() {
                self.note_all(&why);
                self.ended = Some(why);
                break PhaseEnd::Stopped;
            }
            let allowed = match self.allowance() {
                Ok(allowed) => allowed,
                Err(end) => break end,
            };
            let need = match (allowed, bound) {
                (Some(allowed), Some(bound)) => Some(allowed.min(bound)),
                (allowed, None) => allowed,
                (None, bound) => bound,
            };
            if bound == Some(0) {
                break PhaseEnd::Exhausted;
            }
            let room = self.room(roots, phase);
            if room.batch == 0 {
                self.note_all("stopped at max_files; the next run goes on from here");
                self.ended = Some("max_files".to_owned());
                break PhaseEnd::Stopped;
            }
            let batch = match merged.batch(room, need, self.orders.target.resource, &mut self.taken) {
                Ok(batch) if batch.is_empty() => match merged.waiting() {
                    None => break PhaseEnd::Exhausted,
                    Some(tree) => {
                        break self.stopped_at(tree);
                    }
                },
                Ok(batch) => self.within_judged(batch),
                Err(error) => {
                    let said = crate::model::with_causes(&error);
                    self.note_all(&format!("{phase}: {said}"));
                    break PhaseEnd::Exhausted;
                }
            };
            let resource = self.orders.target.resource;
            let usage = self.probe.look().ok();
            if let Some(usage) = &usage {
                self.around.seen(&self.orders.target, usage);
            }
            let used_before = usage.map(|usage| usage.used_and_available(resource).0);
            let gained = self.carry_out_batch(phase, roots, batch);
            for place in &at {
                if self.is_suspended(*place, phase) || self.turned_away.contains(&(*place, phase)) {
                    merged.leave_out(*place);
                }
            }
            bound = bound.map(|left| left.saturating_sub(gained));
            if bound.is_some() && self.is_poor(&mut returns, gained, used_before) {
                self.note_all("the last phase ended early: what it removed brought no space back");
                break PhaseEnd::Exhausted;
            }
            self.around.between_batches();
        };
        for (place, tally, cutoff) in merged.tallies() {
            if let Some(record) = self.records.get_mut(place) {
                record.scanned(tally.scanned);
                record.phase(phase, cutoff).cutoff = cutoff;
                for (keep, skip) in [
                    (Keep::ActiveJob, Skip::ActiveJob),
                    (Keep::Held, Skip::Held),
                    (Keep::Protected, Skip::Protected),
                    (Keep::Linked, Skip::Linked),
                ] {
                    record.kept(phase, skip, tally.kept.get(keep.as_str()).copied().unwrap_or(0));
                }
            }
        }
        if self.orders.is_emergency() && matches!(end, PhaseEnd::Exhausted) {
            self.remove_emptied();
        }
        end
    }

    /// Whether a root is left out of a phase because its removals fail; its
    /// report says so.
    fn is_suspended(&mut self, place: usize, phase: Phase) -> bool {
        let why = self.roots.get(place).and_then(|one| self.around.suspended(&one.root.name, phase));
        if let (Some(why), Some(record)) = (&why, self.records.get_mut(place)) {
            record.note(format!("left out: {why}"));
        }
        why.is_some()
    }

    /// Whether queue and trash of a root are known by now; its report says if not.
    fn may_ask_vault(&mut self, place: usize, phase: Phase) -> bool {
        let vault = self.roots.get(place).and_then(|one| one.root.vault.as_ref());
        let unknown =
            matches!(phase, Phase::Deferred | Phase::Trash) && vault.is_some_and(|vault| !vault.is_settled());
        if unknown && let Some(record) = self.records.get_mut(place) {
            record.note(format!("{phase}: left out: ledger and private directory are being compared"));
        }
        !unknown
    }

    fn last_phase(&mut self, roots: &[RunRoot<'_>]) -> Result<Option<u64>, PhaseEnd> {
        let usage = self.probe.look().ok();
        let missing = usage.as_ref().map_or(0, |now| self.orders.target.excess(now));
        if missing == 0 && usage.is_some() {
            self.reached = usage;
            return Err(PhaseEnd::Reached);
        }
        let credit = self.settle.credit();
        let left = missing.saturating_sub(credit);
        match aim_of(self.orders, roots, self.shared, usage.as_ref(), left, credit, &self.taken) {
            Ok(LastPhase::UpTo { amount, note }) => {
                let less = note.is_some();
                if let Some(note) = note {
                    self.note_all(&note);
                }
                // Up to the target itself the volume decides, batch by batch.
                Ok(less.then_some(amount))
            }
            Ok(LastPhase::Skip(why)) => {
                self.note_all(&why);
                Err(PhaseEnd::Exhausted)
            }
            Err(error) => {
                self.note_all(&crate::model::with_causes(&error));
                Err(PhaseEnd::Exhausted)
            }
        }
    }

    /// The run ends before a tree that is more than may still go in it.
    fn stopped_at(&mut self, tree: &Action) -> PhaseEnd {
        let files = tree.reason.files();
        self.note_all(&format!(
            "stopped at max_files: {} with {files} files waits for the next run",
            tree.path
        ));
        self.ended = Some("max_files".to_owned());
        PhaseEnd::Stopped
    }

    fn room(&self, roots: &[RunRoot<'_>], phase: Phase) -> Room {
        let by_roots = match phase {
            // Each entry can be a tree.
            Phase::Deferred | Phase::Trash => ENTRIES,
            _ => roots.iter().map(|one| one.root.limits.batch).min().unwrap_or(1),
        };
        let batch = self.orders.batch.unwrap_or(by_roots).max(1);
        let deleted: u64 = self.records.iter().map(RunRecord::files_deleted).sum();
        let left = self.orders.max_files.map(|most| most.saturating_sub(deleted));
        Room { batch: left.map_or(batch, |left| batch.min(left)), left, untouched: deleted == 0 }
    }

    fn remove_emptied(&mut self) {
        for (one, emptied) in self.roots.iter().zip(&mut self.emptied) {
            let with = Conditions {
                jobs: self.shared.jobs,
                references: self.shared.references,
                moment: &one.moment,
            };
            emptied.remove(one.root, with);
        }
    }
}
