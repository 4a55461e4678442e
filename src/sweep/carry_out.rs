//! Carrying out a run: batch after batch, until the volume says it is enough.
//!
//! Truth is the volume, read again after each batch (law 7). What was unlinked
//! and isn't visible yet only ever delays further removal; it never counts as
//! success. One failing file, batch, record or root never stops the rest.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::model::{Action, Keep, Phase, PlanAction, Report, Skip, VolumeUsage, WirePath};
use crate::policy::{Returns, Settle, Step, is_urgent};
use crate::usage::Probe;

use super::dirs::Emptied;
use super::execute::{BatchEnd, Conditions, Ended, execute};
use super::last_phase::{LastPhase, aim_of};
use super::merge::{Merged, Mixed, Taken};
use super::record::{RunEnd, RunRecord};
use super::run::{IntendedBatch, Orders, RunRoot, Shared, Surroundings, circumstances, places};
use super::shortfall::shortfall;
use super::walked::Walked;

/// Between two looks at a volume that does not show yet what was freed.
const SETTLE_PAUSE: Duration = Duration::from_millis(5);

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
    order: u64,
    freed: u64,
    /// Bytes written off because they did not show in time.
    missing: u64,
    ended: Option<String>,
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

/// How long a volume may take to show what was freed, by its file system.
/// tmpfs and ext4 show it at once (measured), so waiting for them would only
/// wait for other writers.
fn patience(probe: &Probe) -> Duration {
    match probe {
        Probe::Capacity { .. } => Duration::ZERO,
        Probe::Volume(root) => match crate::sys::volume::fs_kind(root.handle()) {
            Ok(kind) if matches!(kind.name, "tmpfs" | "ramfs" | "ext4") => Duration::ZERO,
            _ => crate::policy::PATIENCE,
        },
    }
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

/// Carries out removals that were planned before, as far as nothing changed
/// since: the same checks as for a fresh plan, by the limits it was made with.
/// `actions` are in the plan's order, each with the place of its root.
pub fn carry_out_plan(
    orders: &Orders,
    roots: &[RunRoot<'_>],
    shared: Shared<'_>,
    around: &dyn Surroundings,
    actions: Vec<(usize, Action)>,
) -> Vec<Report> {
    let Some((mut running, before, begun)) = Running::begin(orders, roots, shared, around) else {
        return Vec::new();
    };
    let mut rest = actions.into_iter().peekable();
    while let Some(first) = rest.peek() {
        if let Some(why) = around.stop() {
            running.note_all(&why);
            break;
        }
        let (phase, limit) = (first.1.phase, first.1.reason.limit());
        let most = usize::try_from(running.batch_files(roots)).unwrap_or(usize::MAX);
        if most == 0 {
            running.note_all("stopped at max_files");
            break;
        }
        let mut batch = Mixed::new();
        // The links of one inode stand together in a plan, and stay together here.
        while let Some((_, next)) = rest.peek()
            && next.phase == phase
            && next.reason.limit() == limit
            && (batch.len() < most
                || batch.last().is_some_and(|(_, last)| last.facts.id.ino == next.facts.id.ino))
            && let Some(action) = rest.next()
        {
            batch.push(action);
        }
        // The plan's own limit stands in for the policy's: it may have been asked for.
        let as_planned: Vec<RunRoot<'_>> = roots
            .iter()
            .map(|one| RunRoot {
                root: one.root,
                nominator: Box::new(super::nominate::Nothing),
                moment: crate::policy::Moment { older_than: Some(limit), ..one.moment.clone() },
                past_its_mark: one.past_its_mark,
            })
            .collect();
        for record in &mut running.records {
            record.phase(phase, None);
        }
        running.carry_out_batch(phase, &as_planned, batch);
        around.between_batches();
    }
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
            taken: roots.iter().map(|_| HashSet::new()).collect(),
            settle: Settle::new(before.as_ref().map_or(0, |usage| usage.used), patience(&probe)),
            probe,
            order: 0,
            freed: 0,
            missing: 0,
            ended: None,
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
                    self.note_all(&super::execute::with_causes(&error));
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

    fn is_reached(&self) -> bool {
        self.probe.look().is_ok_and(|usage| self.orders.target.is_reached(&usage))
    }

    fn note_all(&mut self, note: &str) {
        for record in &mut self.records {
            record.note(note);
        }
    }

    fn phase(&mut self, phase: Phase, roots: &[RunRoot<'_>]) -> PhaseEnd {
        let emergency = self.orders.is_emergency();
        let with = |one| circumstances(self.shared, one, self.orders.for_space());
        let mut merged = match Merged::new(roots, places(roots, phase, emergency), phase, with) {
            Ok(merged) => merged,
            Err(error) => {
                let said = super::execute::with_causes(&error);
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
            if let Some(why) = self.around.stop() {
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
            let files = self.batch_files(roots);
            if files == 0 {
                self.note_all("stopped at max_files; the next run goes on from here");
                self.ended = Some("max_files".to_owned());
                break PhaseEnd::Stopped;
            }
            let batch = match merged.batch(files, need, self.orders.target.resource, &mut self.taken) {
                Ok(batch) if batch.is_empty() => break PhaseEnd::Exhausted,
                Ok(batch) => batch,
                Err(error) => {
                    let said = super::execute::with_causes(&error);
                    self.note_all(&format!("{phase}: {said}"));
                    break PhaseEnd::Exhausted;
                }
            };
            let used_before = self.probe.look().ok().map(|usage| usage.used);
            let gained = self.carry_out_batch(phase, roots, batch);
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

    fn last_phase(&mut self, roots: &[RunRoot<'_>]) -> Result<Option<u64>, PhaseEnd> {
        let usage = self.probe.look().ok();
        let missing = usage.as_ref().map_or(0, |now| self.orders.target.excess(now));
        if missing == 0 && usage.is_some() {
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
                self.note_all(&super::execute::with_causes(&error));
                Err(PhaseEnd::Exhausted)
            }
        }
    }

    /// How much may go now: `None` without a target. Waits while what was
    /// unlinked and isn't visible yet would cover the need.
    fn allowance(&mut self) -> Result<Option<u64>, PhaseEnd> {
        if !self.orders.target.is_set() {
            return Ok(None);
        }
        let mut syncing = false;
        loop {
            let Ok(usage) = self.probe.look() else {
                self.note_all("stopped: the volume's usage can no longer be read");
                self.ended = Some("usage unknown".to_owned());
                return Err(PhaseEnd::Stopped);
            };
            self.settle.sampled(usage.used);
            let need = self.orders.target.excess(&usage);
            match self.settle.next(need, self.urgent(&usage), self.around.elapsed()) {
                Step::Done => return Err(PhaseEnd::Reached),
                Step::Proceed { bytes } => return Ok(Some(bytes)),
                Step::GiveUp { missing } => self.missing = self.missing.saturating_add(missing),
                Step::Wait => {
                    if !syncing {
                        syncing = true;
                        self.sync_aside();
                    }
                    if let Some(why) = self.around.stop() {
                        self.note_all(&why);
                        self.ended = Some(why);
                        return Err(PhaseEnd::Stopped);
                    }
                    std::thread::sleep(SETTLE_PAUSE);
                }
            }
        }
    }

    /// `syncfs` can take seconds, and is only a hint: on a thread of its own,
    /// never waited for.
    fn sync_aside(&self) {
        let probe = self.probe.clone();
        // Without the thread the volume shows its space a little later.
        let _ = std::thread::Builder::new().name("guardian-syncfs".to_owned()).spawn(move || {
            let _ = probe.settle();
        });
    }

    fn urgent(&self, usage: &VolumeUsage) -> bool {
        self.roots.iter().any(|one| is_urgent(usage, self.orders.target.resource, &one.root.marks))
    }

    fn batch_files(&self, roots: &[RunRoot<'_>]) -> u64 {
        let by_roots = roots.iter().map(|one| one.root.limits.batch).min().unwrap_or(1);
        let batch = self.orders.batch.unwrap_or(by_roots).max(1);
        let deleted: u64 = self.records.iter().map(RunRecord::files_deleted).sum();
        self.orders.max_files.map_or(batch, |most| batch.min(most.saturating_sub(deleted)))
    }

    fn is_poor(&self, returns: &mut Returns, gained: u64, used_before: Option<u64>) -> bool {
        let after = self.probe.look().ok().map(|usage| usage.used);
        match (used_before, after) {
            (Some(before), Some(after)) => returns.settled(gained, before.saturating_sub(after)),
            _ => false,
        }
    }

    /// One batch: on record, then off the disk, then into the index and the account.
    fn carry_out_batch(&mut self, phase: Phase, roots: &[RunRoot<'_>], batch: Mixed) -> u64 {
        let mut by_root: BTreeMap<usize, Vec<Action>> = BTreeMap::new();
        for (place, mut action) in batch {
            action.order = self.order;
            self.order += 1;
            by_root.entry(place).or_default().push(action);
        }
        let mut gained: u64 = 0;
        for (place, actions) in by_root {
            let (Some(one), Some(record)) = (roots.get(place), self.records.get_mut(place)) else { continue };
            let ticket = self.around.intend(&IntendedBatch {
                run: record.id(),
                volume_run: &self.orders.head.volume_run,
                root: one.root,
                policy: self.orders.head.policy,
                phase,
                actions: &actions,
            });
            let with = Conditions {
                jobs: self.shared.jobs,
                references: self.shared.references,
                moment: &one.moment,
            };
            let BatchEnd { ended, directories } = execute(one.root, &actions, with);
            let mut gone = Vec::new();
            let mut different = Vec::new();
            let mut not_removed = Vec::new();
            for (number, (action, ended)) in actions.iter().zip(ended).enumerate() {
                match ended {
                    Some(Ended::Removed { freed }) => {
                        record.removed(phase, freed);
                        self.settle.unlinked(match self.orders.target.resource {
                            crate::model::Resource::Bytes => freed,
                            crate::model::Resource::Inodes => 0,
                        });
                        gained = gained.saturating_add(match self.orders.target.resource {
                            crate::model::Resource::Bytes => freed,
                            crate::model::Resource::Inodes => u64::from(action.facts.nlink <= 1 || freed > 0),
                        });
                        self.freed = self.freed.saturating_add(freed);
                        gone.push(action);
                    }
                    Some(Ended::Skipped(why)) => {
                        record.skipped(phase, why);
                        if matches!(why, Skip::Changed | Skip::Vanished) {
                            different.push(action);
                        }
                        not_removed.push((number, why.as_str().to_owned()));
                    }
                    Some(Ended::Failed(error)) => {
                        record.failed(
                            phase,
                            WirePath::from_path(&action.path.under(one.root.path())),
                            error.clone(),
                        );
                        not_removed.push((number, error));
                    }
                    None => {
                        // A worker that could not even begin left it where it is.
                        not_removed.push((number, "not attempted".to_owned()));
                    }
                }
            }
            self.around.carried_out(ticket, &not_removed);
            self.around.removed(&one.root.name, &gone);
            self.around.found_different(&one.root.name, &different);
            if self.orders.list {
                let policy = self.orders.head.policy;
                record.list(
                    gone.iter()
                        .filter_map(|a| {
                            serde_json::to_value(PlanAction::of(a, policy, &one.root.name, one.root.path()))
                                .ok()
                        })
                        .collect(),
                );
            }
            if one.root.remove_empty_dirs
                && let Some(emptied) = self.emptied.get_mut(place)
            {
                emptied.note(directories);
            }
        }
        let files = self.records.iter().map(RunRecord::files_deleted).sum();
        self.around.progress(files, self.freed);
        gained
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

    fn finish(mut self, before: Option<&VolumeUsage>, begun: Duration) -> Vec<Report> {
        self.remove_emptied();
        let usage = self.final_look();
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
                let reclaim = crate::model::Reclaim {
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
                })
            })
            .collect()
    }

    /// The last look waits for what was freed to show, so that the report
    /// compares like with like; it decides nothing.
    fn final_look(&mut self) -> Option<VolumeUsage> {
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
    fn gap(&self, delta: Option<i64>) -> BTreeMap<String, u64> {
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
