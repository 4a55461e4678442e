//! Runs over guarded roots: what the agent and own-process mode share.
//!
//! Promises: one run at a time on a volume, an emergency between two batches
//! of any other; every run's report is in the history and the log. Works with
//! no index (it walks), no audit (it logs) and a full ledger (the report is in
//! the log). Must not know: HTTP, signals, when to run.

mod apply;
mod ending;
mod planning;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::api::Events;
use crate::ingest::RecentGrowth;
use crate::model::{
    Grown, Phase, Policy, Report, Requester, Resource, RootName, RunId, SweepRequest, Timestamp, Trigger,
    VolumeUsage,
};
use crate::policy::{Amount, ClockGuard, JobsView, ReferenceView};
use crate::store::RootKey;
use crate::store::audit::AuditLog;
use crate::store::index::Index;
use crate::store::ledger::Ledger;
use crate::sweep::carry_out::carry_out;
use crate::sweep::indexed::Indexed;
use crate::sweep::nominate::{Nominator, Nothing};
use crate::sweep::orders::{moment, orders, past_its_mark, runs_of};
use crate::sweep::record::RunHead;
use crate::sweep::root::GuardedRoot;
use crate::sweep::run::{Orders, RunRoot, Shared};
use crate::sweep::walked::Walked;
use crate::sys::clock;

use super::alerts::Alerts;
use super::breakers::Breakers;
use super::metrics::Meters;
use super::recorder::Recorder;
use super::references::References;
use super::surroundings::{Control, Feed, RunWorld, ShownRun, new_id};
use super::turns::{Turns, VolumeId};

/// What a run over a root needs besides the root.
#[derive(Clone)]
pub struct Target {
    /// The root.
    pub root: Arc<GuardedRoot>,
    /// The key of its rows; `None`: walk.
    pub key: Option<RootKey>,
}

/// Why a request can't be carried out.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No root has that name.
    #[error("failed to find root {0}: no such root is configured")]
    UnknownRoot(RootName),
    /// The root is there but must not be touched now.
    #[error("failed to sweep root {name}: it is suspended: {reason}")]
    Suspended {
        /// Which.
        name: RootName,
        /// Why.
        reason: String,
    },
    /// Candidates could not be had.
    #[error("failed to plan")]
    Plan(#[from] crate::sweep::SweepError),
    /// A plan's entry does not fit its root.
    #[error("failed to read plan: {0}")]
    BadPlan(String),
    /// Where the run is to end is a matter of usage, and nobody knows it.
    #[error("failed to sweep {0}: how full its volume is can't be told now")]
    UsageUnknown(RootName),
    /// No root can be swept.
    #[error("failed to sweep: no root is ready")]
    NoRoots,
}

/// Who asked for what, and how it is steered.
pub struct Commission<'a> {
    /// The request.
    pub request: &'a SweepRequest,
    /// What set it off.
    pub trigger: Trigger,
    /// Who asked; `None` for guardian itself.
    pub requested_by: Option<Requester>,
    /// Steering.
    pub control: &'a Control,
    /// Put every removal into the report.
    pub list: bool,
    /// Another reason to stop after a batch.
    pub stop: &'a (dyn Fn() -> Option<String> + Sync),
    /// A part of the policy that is not due now.
    pub leave_out: Option<Phase>,
}

/// The shared machinery.
pub struct Engine {
    /// Jobs, roots, history. `None` in a dry run on a host that never had one.
    pub ledger: Option<Arc<Ledger>>,
    /// Removals on record.
    pub audit: Option<Arc<AuditLog>>,
    /// The index.
    pub index: Option<Index>,
    /// What keeps the index abreast of us.
    pub feed: Option<Arc<dyn Feed>>,
    /// Whether all files of a root are in the index.
    pub complete: Box<dyn Fn(RootKey) -> bool + Send + Sync>,
    /// What came to a root lately; `None` where nobody follows its changes.
    pub recent: Box<dyn Fn(RootKey) -> Option<RecentGrowth> + Send + Sync>,
    /// The registered jobs.
    pub jobs: Arc<RwLock<JobsView>>,
    /// Holds, tracked files, sessions.
    pub references: Arc<RwLock<ReferenceView>>,
    /// Their records: what is told of files that went is forgotten.
    pub recorded: Option<Arc<References>>,
    /// Whether the clock can be trusted with ages.
    pub clock: Mutex<ClockGuard>,
    /// Writes the history.
    pub recorder: Recorder,
    /// What happens, for whoever listens.
    pub events: Arc<Events>,
    /// What somebody should know.
    pub alerts: Alerts,
    /// What is counted.
    pub meters: Arc<Meters>,
    /// Policies whose removals fail, by root.
    pub breakers: Breakers,
    /// One run at a time on a volume.
    turns: Turns,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Groups roots by volume, in the order of their first root.
pub fn by_volume(targets: &[Target]) -> Vec<Vec<Target>> {
    let mut groups: Vec<(VolumeId, Vec<Target>)> = Vec::new();
    for target in targets {
        let id = VolumeId::of(&target.root);
        match groups.iter_mut().find(|(other, _)| *other == id) {
            Some((_, group)) => group.push(target.clone()),
            None => groups.push((id, vec![target.clone()])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn guarded(group: &[Target]) -> Vec<&GuardedRoot> {
    group.iter().map(|target| target.root.as_ref()).collect()
}

/// From which roots the last phase of an emergency's run for `resource` may
/// take, by what the volume showed at its start: until the low mark is reached.
fn choose_past(
    roots: &mut [RunRoot<'_>],
    request: &SweepRequest,
    start: Option<&VolumeUsage>,
    resource: Resource,
) {
    for one in roots {
        one.past_its_mark = start.is_some_and(|usage| past_its_mark(one.root, usage, resource))
            || request.until_percent.is_some()
            || request.free.is_some();
    }
}

/// Whether a later run of a request is not needed any more: the one before it brought enough.
fn is_served(later: bool, orders: &Orders, usage: Option<&VolumeUsage>) -> bool {
    later && usage.is_none_or(|usage| orders.target.is_reached(usage))
}

impl Engine {
    /// Machinery without agent: no index, it walks.
    pub fn new(
        ledger: Option<Arc<Ledger>>,
        audit: Option<Arc<AuditLog>>,
        jobs: Arc<RwLock<JobsView>>,
        references: Arc<RwLock<ReferenceView>>,
        clock: ClockGuard,
    ) -> Self {
        let (events, meters) = (Arc::new(Events::begun(clock::now())), Arc::<Meters>::default());
        Self {
            ledger,
            audit,
            index: None,
            feed: None,
            complete: Box::new(|_| false),
            recent: Box::new(|_| None),
            jobs,
            references,
            recorded: None,
            clock: Mutex::new(clock),
            recorder: Recorder::default(),
            alerts: Alerts::new(Arc::clone(&events), Arc::clone(&meters)),
            events,
            meters,
            breakers: Breakers::default(),
            turns: Turns::default(),
        }
    }

    /// The wall clock, and whether it can be trusted with ages. Compared anew
    /// for each run: a clock that jumped makes a sweep due that very moment,
    /// before anybody else has looked.
    pub fn look_at_clock(&self) -> (Timestamp, bool) {
        let (wall, boot) = (clock::now(), clock::since_boot());
        let doubt = lock(&self.clock).observe(wall, boot, clock::time_is_synchronised());
        (wall, doubt.is_none())
    }

    /// What decisions are made with.
    fn shared(&self) -> Shared<'_> {
        Shared { jobs: &self.jobs, references: &self.references }
    }

    fn nominator<'a>(&self, target: &'a Target) -> Result<Box<dyn Nominator + 'a>, EngineError> {
        if let (Some(index), Some(key)) = (&self.index, target.key)
            && index.snapshot().and_then(|shot| shot.root(key)).is_ok_and(|info| info.is_some())
        {
            return Ok(Box::new(Indexed::new(index.clone(), key, &target.root, (self.complete)(key))));
        }
        Ok(Box::new(Walked::walk(&target.root)?))
    }

    /// The roots of a volume as the run takes them, and what is to be said of
    /// those that it has to leave out: one that can't be read never stops the rest.
    fn run_roots<'a>(
        &self,
        group: &'a [Target],
        request: &SweepRequest,
        usage: Option<&VolumeUsage>,
    ) -> Result<(Vec<RunRoot<'a>>, Vec<String>), EngineError> {
        let (now, trusted) = self.look_at_clock();
        let (mut roots, mut left_out, mut failed) = (Vec::new(), Vec::new(), None);
        for target in group {
            match self.run_root(target, request, usage, now, trusted) {
                Ok(root) => roots.push(root),
                Err(error) => {
                    let why = super::chain(&error);
                    tracing::error!(root = %target.root.name, reason = %why, "a root is left out of a run");
                    left_out.push(format!("left out: root {}: {why}", target.root.name));
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            Some(error) if roots.is_empty() => Err(error),
            _ => Ok((roots, left_out)),
        }
    }

    fn run_root<'a>(
        &self,
        target: &'a Target,
        request: &SweepRequest,
        usage: Option<&VolumeUsage>,
        now: Timestamp,
        trusted: bool,
    ) -> Result<RunRoot<'a>, EngineError> {
        let mut nominator = match request.policy {
            // The ledger names them all: no index is asked, no tree walked.
            Policy::Deferred | Policy::Trash => Box::new(Nothing) as Box<dyn Nominator + 'a>,
            _ => self.nominator(target)?,
        };
        let mut at = moment(request, &target.root, usage, now, trusted);
        if !trusted && at.emergency {
            let newest = match nominator.newest() {
                Err(error) if !nominator.is_walk() => {
                    tracing::warn!(root = %target.root.name, reason = %super::chain(&error), "the index can't be read: walking instead");
                    nominator = Box::new(Walked::walk(&target.root)?);
                    nominator.newest()?
                }
                newest => newest?,
            };
            if let Some(newest) = newest {
                (at.wall, at.now) = (Some(at.now), newest);
            }
        }
        Ok(RunRoot { root: &target.root, nominator, moment: at, past_its_mark: false })
    }

    fn head(&self, commission: &Commission<'_>) -> RunHead {
        RunHead {
            volume_run: RunId::new(new_id()),
            policy: commission.request.policy,
            trigger: commission.trigger,
            requested_by: commission.requested_by,
            started: clock::now(),
        }
    }

    fn orders_for(
        &self,
        commission: &Commission<'_>,
        group: &[Target],
        usage: Option<&VolumeUsage>,
        resource: Resource,
    ) -> Result<Orders, EngineError> {
        let roots = guarded(group);
        let Some(mut orders) = orders(self.head(commission), commission.request, &roots, usage, resource)
        else {
            let first = group.first().ok_or(EngineError::NoRoots)?;
            return Err(EngineError::UsageUnknown(first.root.name.clone()));
        };
        orders.list = commission.list;
        orders.max_attempts = commission.request.max_attempts;
        orders.phases.retain(|phase| Some(*phase) != commission.leave_out);
        Ok(orders)
    }

    fn usage(&self, group: &[Target]) -> Option<VolumeUsage> {
        let look = group.first()?.root.probe.look();
        look.map_err(|error| tracing::warn!(reason = %super::chain(&error), "the volume can't be asked")).ok()
    }

    /// Carries out a request over `targets`, volume after volume. One report for
    /// each root; an error only where no root could be swept.
    pub fn sweep(&self, commission: &Commission<'_>, targets: &[Target]) -> Result<Vec<Report>, EngineError> {
        self.sweep_at_most(commission, targets, &HashMap::new())
    }

    /// Whether a sweep is at work on this root now.
    pub fn is_at_work_on(&self, root: &RootName) -> bool {
        self.turns.is_swept(root)
    }

    /// The same, taking at most so much of each root that is named.
    pub fn sweep_at_most(
        &self,
        commission: &Commission<'_>,
        targets: &[Target],
        at_most: &HashMap<RootName, Amount>,
    ) -> Result<Vec<Report>, EngineError> {
        let mut reports = Vec::new();
        let mut failed = None;
        for group in by_volume(targets) {
            let emergency = commission.request.policy == Policy::Emergency;
            let Some(volume) = group.first().map(|target| VolumeId::of(&target.root)) else { continue };
            let swept = self.turns.with(volume, emergency, |between| {
                let _at_work = self.turns.at_work(group.iter().map(|target| target.root.name.clone()));
                let start = self.usage(&group);
                let runs = runs_of(commission.request, &guarded(&group), start.as_ref());
                for (number, resource) in runs.into_iter().enumerate() {
                    let usage = if number == 0 { start } else { self.usage(&group) };
                    let mut orders = self.orders_for(commission, &group, start.as_ref(), resource)?;
                    orders.at_most.clone_from(at_most);
                    if is_served(number > 0, &orders, usage.as_ref())
                        || (number > 0 && self.is_stopped(commission))
                    {
                        continue;
                    }
                    // Before it removes what came; names are put to it when there is time.
                    let recent = self.recent_of(commission, &group);
                    let (mut roots, left_out) = self.run_roots(&group, commission.request, usage.as_ref())?;
                    choose_past(&mut roots, commission.request, start.as_ref(), resource);
                    let shared = self.shared();
                    let world = self.world(commission, &group, between);
                    let mut done = carry_out(&orders, &roots, shared, &world);
                    for report in &mut done {
                        report.notes.extend(left_out.iter().cloned());
                        report.grown = self.named(&recent, &group, &report.root);
                    }
                    self.remember(commission.trigger, &done);
                    self.tell_end(&world, &done, self.is_stopped(commission));
                    reports.extend(done);
                }
                Ok::<(), EngineError>(())
            });
            if let Err(error) = swept {
                tracing::error!(policy = %commission.request.policy, reason = %super::chain(&error), "a volume could not be swept");
                failed.get_or_insert(error);
            }
            if commission.control.is_cancelled() {
                break;
            }
        }
        match failed {
            Some(error) if reports.is_empty() => Err(error),
            Some(error) => {
                let note = format!("left out: {}", super::chain(&error));
                reports.iter_mut().for_each(|report: &mut Report| report.notes.push(note.clone()));
                Ok(reports)
            }
            None => Ok(reports),
        }
    }

    /// Who filled a root in the last minutes, if that is known.
    pub fn grown(&self, root: &GuardedRoot, key: Option<RootKey>) -> Option<Grown> {
        let (key, index) = (key?, self.index.as_ref()?);
        super::blame::grown(&(self.recent)(key)?, index, key, root, &self.jobs)
    }

    /// What came to the roots of a volume, where an emergency is to say it.
    fn recent_of(&self, commission: &Commission<'_>, group: &[Target]) -> HashMap<RootName, RecentGrowth> {
        if commission.request.policy != Policy::Emergency {
            return HashMap::new();
        }
        let of = |target: &Target| Some((target.root.name.clone(), (self.recent)(target.key?)?));
        group.iter().filter_map(of).collect()
    }

    fn named(
        &self,
        recent: &HashMap<RootName, RecentGrowth>,
        group: &[Target],
        name: &RootName,
    ) -> Option<Grown> {
        let target = group.iter().find(|target| target.root.name == *name)?;
        super::blame::grown(recent.get(name)?, self.index.as_ref()?, target.key?, &target.root, &self.jobs)
    }

    fn is_stopped(&self, commission: &Commission<'_>) -> bool {
        (commission.stop)().is_some() || commission.control.is_cancelled()
    }

    fn world<'a>(
        &'a self,
        commission: &Commission<'a>,
        group: &[Target],
        between: &'a (dyn Fn() + Sync),
    ) -> RunWorld<'a> {
        RunWorld {
            audit: self.audit.as_ref(),
            feed: self.feed.as_deref(),
            recorded: self.recorded.as_deref(),
            keys: group.iter().filter_map(|t| Some((t.root.name.clone(), t.key?))).collect(),
            control: commission.control,
            between,
            stop: commission.stop,
            alerts: &self.alerts,
            events: &self.events,
            shown: ShownRun {
                policy: commission.request.policy,
                trigger: commission.trigger,
                roots: group.iter().map(|target| target.root.name.clone()).collect(),
            },
            told_at: Mutex::default(),
            breakers: &self.breakers,
            meters: &self.meters,
            took: Mutex::default(),
            // Whoever asks for it himself may try.
            kept_back: commission.trigger != Trigger::Manual,
            batch_began: Mutex::new(Timestamp::EPOCH),
            open: Mutex::default(),
            next: AtomicU64::new(0),
            jobs: self.ledger.as_deref(),
            without_results: Mutex::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::model::ByteSize;
    use crate::sweep::root::OwnFiles;
    use crate::sweep::tests::guarded::guarded;
    use crate::sys::dir::RootDir;
    use crate::usage::{CapacityCounter, Probe, by_walking};

    /// A root of 1 MiB; `counted`: whether anybody knows how full it is.
    fn root(path: &Path, name: &str, counted: bool) -> Target {
        let dir = Arc::new(RootDir::open(path).unwrap());
        let nobody: CapacityCounter = Arc::new(|| None);
        let counter = if counted { by_walking(&dir, &OwnFiles::default().known) } else { nobody };
        let probe = Probe::Capacity { root: Arc::clone(&dir), size: 1 << 20, counter };
        let root = guarded(name, &dir, probe);
        Target { root: Arc::new(root), key: None }
    }

    #[test]
    fn a_volume_that_can_not_be_asked_does_not_stop_the_others_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for (place, file) in [("a", "a/f"), ("b", "b/f")] {
            std::fs::create_dir(dir.path().join(place)).unwrap();
            std::fs::write(dir.path().join(file), vec![1; 1 << 16]).unwrap();
            let then = std::time::SystemTime::now() - Duration::from_secs(7200);
            std::fs::File::open(dir.path().join(file)).unwrap().set_modified(then).unwrap();
        }
        let targets = [root(&dir.path().join("a"), "a", false), root(&dir.path().join("b"), "b", true)];
        let jobs = JobsView { jobs: Default::default(), began_at: Timestamp::EPOCH, known: true };
        let clock = ClockGuard::at_start(clock::now(), clock::since_boot(), None, true);
        let engine = Engine::new(None, None, Arc::new(RwLock::new(jobs)), Arc::default(), clock);
        let request = SweepRequest { free: Some(ByteSize(1)), ..SweepRequest::of(Policy::Oldest) };
        let control = Control::default();
        let commission = Commission {
            request: &request,
            trigger: Trigger::Manual,
            requested_by: None,
            control: &control,
            list: false,
            leave_out: None,
            stop: &|| None,
        };
        let reports = engine.sweep(&commission, &targets).unwrap();
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].root.as_str(), reports[0].files_deleted), ("b", 1));
        assert!(reports[0].notes.iter().any(|note| note.contains("sweep a")), "{:?}", reports[0].notes);
        assert!(dir.path().join("a/f").exists() && !dir.path().join("b/f").exists());
        assert!(engine.sweep(&commission, &targets[..1]).is_err(), "nothing was swept");
    }
}
