//! A run over the roots of one volume: what it is asked, what it needs from
//! outside, and the plan that comes of it.
//!
//! Planning and executing share everything here. Nothing in this file removes.

use std::collections::HashMap;
use std::sync::RwLock;
use std::time::Duration;

use crate::model::{Action, Phase, Plan, Policy, Resource, RootName, RunId, Timestamp, VolumeUsage};
use crate::policy::{Amount, JobsView, Moment, ReferenceView, Target};

use super::SweepError;
use super::execute::{Conditions, Inspector};
use super::merge::{Merged, Mixed, Room, Taken, gain, weight};
use super::nominate::Nominator;
use super::planner::Circumstances;
use super::record::RunHead;
use super::root::GuardedRoot;

/// One root of a run.
pub struct RunRoot<'a> {
    /// The root.
    pub root: &'a GuardedRoot,
    /// Where its candidates come from.
    pub nominator: Box<dyn Nominator + 'a>,
    /// Time and circumstances of its decisions.
    pub moment: Moment,
    /// Whether an emergency's last phase may take from it: only past its own mark.
    pub past_its_mark: bool,
}

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Orders {
    /// What it is.
    pub head: RunHead,
    /// Its parts, in order.
    pub phases: Vec<Phase>,
    /// Where it ends; a target that sets nothing takes all that is due.
    pub target: Target,
    /// At most this many files; `None`: no bound (an emergency goes on, sweep after sweep).
    pub max_files: Option<u64>,
    /// At most so much of these roots: what a fuse has judged. Roots that are
    /// not named were judged by nobody.
    pub at_most: HashMap<RootName, Amount>,
    /// Files in a batch; `None`: by the roots' limits.
    pub batch: Option<u64>,
    /// Put every removal into the report.
    pub list: bool,
    /// Tries of a deferred deletion; `None`: by the root's limits.
    pub max_attempts: Option<u32>,
}

impl Orders {
    /// Whether this run answers a full volume.
    pub fn is_emergency(&self) -> bool {
        self.head.policy == Policy::Emergency
    }

    /// What its aim is to free, if that is it: then what frees nothing stays.
    pub fn aim(&self) -> Option<Resource> {
        self.target.is_set().then_some(self.target.resource)
    }
}

/// The phases of a policy, in order.
pub fn phases_of(policy: Policy) -> &'static [Phase] {
    match policy {
        Policy::Emergency => &[
            Phase::Deferred,
            Phase::Expired,
            Phase::Chunks,
            Phase::Orphans,
            Phase::FailedJobs,
            Phase::Trash,
            Phase::Oldest,
        ],
        Policy::Scheduled => &[
            Phase::Chunks,
            Phase::Expired,
            Phase::Sessions,
            Phase::FailedJobs,
            Phase::CompletedJobs,
            Phase::Orphans,
            Phase::Results,
            Phase::Trash,
            Phase::Deferred,
            Phase::MaxAge,
        ],
        Policy::Orphans => &[Phase::Orphans],
        Policy::FailedJobs => &[Phase::FailedJobs],
        Policy::Expired => &[Phase::Expired],
        Policy::Results => &[Phase::Results],
        Policy::Session => &[Phase::Sessions],
        Policy::Oldest => &[Phase::Oldest],
        Policy::Deferred => &[Phase::Deferred],
        Policy::Trash => &[Phase::Trash],
        Policy::Chunks => &[Phase::Chunks],
    }
}

/// What a run needs from the world around it. Everything that writes or tells
/// the time is behind this, so that tests can make any of it fail.
pub trait Surroundings: Sync {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;

    /// Time by a clock that does not jump.
    fn elapsed(&self) -> Duration;

    /// A new name for a run.
    fn new_run_id(&self) -> RunId;

    /// Puts removals on record before they happen. Never fails the run: when
    /// the record can't be written, it is a `warn` line with the paths.
    fn intend(&self, batch: &IntendedBatch<'_>) -> Option<u64>;

    /// Completes the record: which of the intended removals did not happen.
    fn carried_out(&self, ticket: Option<u64>, not_removed: &[(usize, String)]);

    /// Names that are gone, so that the index follows at once.
    fn removed(&self, root: &RootName, actions: &[&Action]);

    /// Names that are not what was known of them, so that the index looks again.
    fn found_different(&self, root: &RootName, actions: &[&Action]);

    /// Where the run begins and is to end.
    fn aims(&self, _target: &Target, _usage: Option<&VolumeUsage>) {}

    /// What the volume shows.
    fn seen(&self, _target: &Target, _usage: &VolumeUsage) {}

    /// How far the run is.
    fn progress(&self, files: u64, bytes: u64);

    /// How the removals of a batch ended that were tried, in their order: true
    /// for each that failed.
    fn tried(&self, _root: &RootName, _phase: Phase, _failed: &[bool]) {}

    /// Why a part of the run is left out on a root: its removals fail.
    fn suspended(&self, _root: &RootName, _phase: Phase) -> Option<String> {
        None
    }

    /// Whether to stop after this batch, and why.
    fn stop(&self) -> Option<String>;

    /// Called between batches: lets more urgent work on the volume go first.
    fn between_batches(&self) {}
}

/// A batch as it goes on record.
pub struct IntendedBatch<'a> {
    /// The run for this root.
    pub run: &'a RunId,
    /// The run over the volume.
    pub volume_run: &'a RunId,
    /// The root.
    pub root: &'a GuardedRoot,
    /// What was asked for.
    pub policy: Policy,
    /// The part of the run.
    pub phase: Phase,
    /// The removals.
    pub actions: &'a [Action],
}

/// What decisions are made with, for all roots.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    /// The registered jobs.
    pub jobs: &'a RwLock<JobsView>,
    /// Holds and other references.
    pub references: &'a RwLock<ReferenceView>,
}

pub(super) fn circumstances<'a>(
    shared: Shared<'a>,
    one: &'a RunRoot<'a>,
    aim: Option<Resource>,
) -> Circumstances<'a> {
    Circumstances { jobs: shared.jobs, references: shared.references, moment: &one.moment, aim }
}

const fn conditions<'a>(shared: Shared<'a>, one: &'a RunRoot<'_>) -> Conditions<'a> {
    Conditions { jobs: shared.jobs, references: shared.references, moment: &one.moment }
}

/// Where the last phase of an emergency may take from.
pub(super) fn places(roots: &[RunRoot<'_>], phase: Phase, emergency: bool) -> Vec<usize> {
    (0..roots.len())
        .filter(|at| {
            !(emergency && phase == Phase::Oldest) || roots.get(*at).is_some_and(|one| one.past_its_mark)
        })
        .collect()
}

/// Plans the whole run: all removals that execution would carry out on the
/// world as it is, in order, one plan for each root (in the order of `roots`).
/// Each file is looked at as execution would look at it: one that is open,
/// marked or changed is counted among the kept.
///
/// `usage` is the volume now; with a target, expected bytes stand in for what
/// the volume would show after each removal. `taken` is what a run before this
/// one would have removed; it gains what this one would.
pub fn plan(
    orders: &Orders,
    roots: &[RunRoot<'_>],
    shared: Shared<'_>,
    usage: Option<&VolumeUsage>,
    taken: &mut Taken,
) -> Result<Vec<Plan>, SweepError> {
    let resource = orders.target.resource;
    let need = usage.filter(|_| orders.target.is_set()).map(|now| orders.target.excess(now));
    let mut plans: Vec<Plan> = roots
        .iter()
        .map(|one| Plan {
            id: None,
            as_of: one.moment.now,
            policy: orders.head.policy,
            root: one.root.name.clone(),
            actions: Vec::new(),
            kept: std::collections::BTreeMap::new(),
            cutoffs: std::collections::BTreeMap::new(),
            scanned: 0,
            expires_at: None,
        })
        .collect();
    taken.resize_with(roots.len(), super::planner::Decided::default);
    taken.iter_mut().for_each(super::planner::Decided::begin_anew);
    let mut order = 0;
    let (mut gained, mut files): (u64, u64) = (0, 0);
    let mut is_full = false;
    for &phase in &orders.phases {
        let left = need.map(|need| need.saturating_sub(gained));
        if left == Some(0) || is_full {
            break;
        }
        let mut need_here = left;
        let mut merged = Merged::new(roots, places(roots, phase, orders.is_emergency()), phase, |one| {
            circumstances(shared, one, orders.aim())
        })?;
        if orders.is_emergency() && phase == Phase::Oldest {
            match super::last_phase::aim_of(orders, roots, shared, usage, left.unwrap_or(0), gained, taken)? {
                super::last_phase::LastPhase::Skip(_) => continue,
                super::last_phase::LastPhase::UpTo { amount, .. } => need_here = Some(amount),
            }
        }
        let mut inspectors: Vec<Inspector<'_>> =
            roots.iter().map(|one| Inspector::new(one.root, conditions(shared, one))).collect();
        // What must stay when it is looked at makes room for what comes next, as in a run.
        loop {
            let left = orders.max_files.map(|most| most.saturating_sub(files));
            if left == Some(0) || need_here == Some(0) {
                break;
            }
            let room = Room { batch: left.unwrap_or(u64::MAX), left, untouched: files == 0 };
            let batch: Mixed = merged.batch(room, need_here, resource, taken)?;
            if batch.is_empty() {
                is_full = merged.waiting().is_some();
                break;
            }
            for (place, mut action) in batch {
                let (Some(plan), Some(inspector)) = (plans.get_mut(place), inspectors.get_mut(place)) else {
                    continue;
                };
                let Some(decided) = taken.get_mut(place) else { continue };
                if let Some(why) = inspector.objection_to(&action, decided.by_name()) {
                    *plan.kept.entry(why.as_str()).or_default() += weight(&action);
                    decided.stays(&action);
                    continue;
                }
                action.order = order;
                order += 1;
                files = files.saturating_add(weight(&action));
                let gain = gain(&action, resource);
                gained = gained.saturating_add(gain);
                need_here = need_here.map(|need| need.saturating_sub(gain));
                plan.actions.push(action);
            }
        }
        for (place, tally, cutoff) in merged.tallies() {
            if let Some(plan) = plans.get_mut(place) {
                plan.scanned += tally.scanned;
                plan.cutoffs.extend(cutoff.map(|cutoff| (phase, cutoff)));
                for (why, count) in &tally.kept {
                    *plan.kept.entry(why).or_default() += count;
                }
            }
        }
    }
    Ok(plans)
}
