//! Own-process mode: what works without an agent, in the command's own process.
//!
//! Promises: one guardian at a time on a ledger and on a root (their locks);
//! a dry run and `explain` write nothing anywhere: no lock, no ledger, no
//! private directory. Otherwise sweeps are the agent's: the same checks, on
//! record, with their report in the history. Must not know: HTTP, rendering.

mod chunk;
mod references;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::api::{
    ApiError, ChunkCompletion, ChunkRequest, Explanation, JobPut, JobResource, PlanAction, RootResource,
    RootState, TrustState,
};
use crate::cli::{Standalone, StandaloneSweep, SweepOutcome, Told};
use crate::config::{RootSettings, Settings};
use crate::model::{ChunkId, JobId, Policy, Requester, RootName, SweepRequest, Timestamp, Trigger, WirePath};
use crate::policy::{ClockGuard, JobsView, ReferenceView};
use crate::store::StoreError;
use crate::store::audit::AuditLog;
use crate::store::ledger::{Ledger, LedgerOrigin, LedgerReader, Pause};
use crate::sweep::root::{GuardedRoot, OwnFiles};
use crate::sweep::vault::{RootVault, Turn};
use crate::sys::{clock, process};
use crate::usage::{CapacityCounter, Probe, by_walking};

use super::engine::{Commission, Engine, Target};
use super::jobs::{Caller, JobBook, JobChange, JobRegistry, Now, view_for_reading};
use super::references::{References, view_of};
use super::roots::{
    Claim, LockedRoot, Looked, Opened, Opener, OwnPlaces, Reading, Refusal, check_nesting, look_root,
    open_root,
};
use super::state_dir::StateDir;
use super::surroundings::Control;
use super::vault::Keeper;
use super::{dry, explain, problems, sweeper};

mod kept;
pub(super) use references::check_session;
use references::end_idle_sessions;

/// Own-process mode with these settings. Nothing is opened before it is asked for something.
pub struct Alone {
    settings: Settings,
}

/// The ledger under the state directory's lock.
struct Workplace {
    state: StateDir,
    ledger: Arc<Ledger>,
    origin: LedgerOrigin,
    registry: JobRegistry,
    references: Arc<References>,
}

/// Roots that a sweep goes over, and those that it leaves out.
struct Gathered<R> {
    roots: Vec<R>,
    left_out: Vec<String>,
}

/// Roots under their locks, as runs see them.
struct OpenedTargets {
    /// Their locks are ours while these live.
    locked: Vec<LockedRoot>,
    targets: Vec<Target>,
    left_out: Vec<String>,
}

impl Workplace {
    /// The record of removals. Opened before guardian's own files are gathered:
    /// its segments are some of them.
    fn audit(&self) -> Option<AuditLog> {
        AuditLog::open(&self.state.path().join("audit"))
            .inspect_err(|error| {
                tracing::warn!(reason = %super::chain(error), "removals go to the log: there is no audit log");
            })
            .ok()
    }

    /// The machinery of a run.
    fn engine(&self, audit: Option<AuditLog>) -> Engine {
        let mut engine = Engine::new(
            Some(Arc::clone(&self.ledger)),
            audit.map(Arc::new),
            Arc::clone(self.registry.view()),
            Arc::clone(self.references.view()),
            clock_guard(self.ledger.clock_mark().ok().flatten().map(|mark| mark.wall)),
        );
        engine.recorded = Some(Arc::clone(&self.references));
        engine
    }
}

impl Alone {
    /// With these settings.
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn state_dir(&self) -> &Path {
        &self.settings.agent.state_dir
    }

    fn own_places(&self) -> OwnPlaces {
        OwnPlaces {
            state_dir: Some(self.state_dir().to_owned()),
            files: std::iter::once(self.settings.agent.socket.clone())
                .chain(self.settings.files.iter().cloned())
                .collect(),
            roots: self.settings.roots.iter().map(|root| root.path.clone()).collect(),
        }
    }

    fn workplace(&self) -> Result<Workplace, ApiError> {
        let state = StateDir::open(self.state_dir()).map_err(|error| problems::state_dir(&error))?;
        let (ledger, origin) =
            Ledger::open(state.path(), clock::now()).map_err(|error| problems::store(&error))?;
        if let LedgerOrigin::Lost { reason } = &origin {
            tracing::error!(
                reason,
                "the ledger was lost: files that name jobs stay until `guardian registry trust`"
            );
        }
        let ledger = Arc::new(ledger);
        let book: Arc<dyn JobBook> = Arc::clone(&ledger) as Arc<dyn JobBook>;
        let registry =
            JobRegistry::open(book, true, Now::read()).map_err(|error| problems::registry(&error))?;
        registry.tick(Now::read()).map_err(|error| problems::registry(&error))?;
        let references = References::open(Arc::clone(&ledger)).map_err(|error| problems::store(&error))?;
        Ok(Workplace { state, ledger, origin, registry, references: Arc::new(references) })
    }

    /// The settings of the root that is named, or of all.
    fn chosen(&self, only: &dyn Fn(&RootName) -> bool) -> Result<Vec<&RootSettings>, ApiError> {
        if self.settings.roots.is_empty() {
            return Err(ApiError::invalid("no root is configured")
                .with_help("name a directory with --root, or configure a [[root]]"));
        }
        check_nesting(&self.settings.roots).map_err(|error| problems::root(&error))?;
        Ok(self.settings.roots.iter().filter(|root| only(&root.name)).collect())
    }

    fn is_wanted(sweep: &StandaloneSweep, name: &RootName) -> bool {
        match &sweep.plan {
            Some(plans) => plans.iter().flat_map(|plan| &plan.actions).any(|action| action.root == *name),
            None => sweep.request.root.as_ref().is_none_or(|wanted| wanted == name),
        }
    }

    fn plan_only(&self, sweep: &StandaloneSweep, cancelled: &AtomicBool) -> Result<SweepOutcome, ApiError> {
        let (now, begun) = (clock::now(), clock::since_boot());
        let reader = self.reader()?;
        let chosen = self.chosen(&|name| Self::is_wanted(sweep, name))?;
        let own = self.own_places().collect();
        let mut view = reader.view()?;
        check_job(&sweep.request, &view)?;
        let references = reader.references()?;
        check_session(&sweep.request, &references)?;
        let claim = if sweep.adopt { Claim::Adopt } else { Claim::Usual };
        let gathered = gather(&sweep.request, chosen, |settings| {
            let reading = Reading {
                ledger: reader.ledger.as_ref(),
                state_dir: self.state_dir(),
                own: &own,
                workers: self.settings.agent.workers,
            };
            match look_root(settings, claim, &reading, now).map_err(|error| problems::root(&error))? {
                Looked::Ready { mut root, distrust } => {
                    view.known &= !distrust;
                    count_by_walking(&mut root, settings, &own);
                    Ok(Ok(*root))
                }
                Looked::Refused(refusal) => Ok(Err(refusal)),
            }
        })?;
        let targets: Vec<Target> =
            gathered.roots.into_iter().map(|root| Target { root: Arc::new(root), key: None }).collect();
        let engine = Engine::new(
            None,
            None,
            Arc::new(RwLock::new(view)),
            Arc::new(RwLock::new(references)),
            reader.clock(),
        );
        let control = Control::default();
        let stop = || cancelled.load(Ordering::Relaxed).then(|| "interrupted".to_owned());
        let commission = commission(sweep, &control, &stop);
        let planned = engine.plan(&commission, &targets).map_err(|error| problems::engine(&error))?;
        let took = clock::since_boot().saturating_sub(begun);
        let mut outcome = SweepOutcome::default();
        for (report, plan) in dry::reports(&planned, &targets, clock::now(), took) {
            outcome.reports.push(report);
            outcome.plans.push(plan);
        }
        if !sweep.request.dry_run {
            note(
                &mut outcome,
                "removed nothing: the configuration says so (dry_run or keep_files_for_debugging)",
            );
        }
        for why in gathered.left_out {
            note(&mut outcome, &why);
        }
        Ok(outcome)
    }

    /// Opens roots under their locks.
    fn open_targets(
        &self,
        work: &Workplace,
        request: &SweepRequest,
        claim: Claim,
        wanted: &dyn Fn(&RootName) -> bool,
    ) -> Result<OpenedTargets, ApiError> {
        let (chosen, now) = (self.chosen(wanted)?, clock::now());
        let opener = Opener {
            book: work.ledger.as_ref(),
            origin: &work.origin,
            state_dir: work.state.path(),
            socket: None,
        };
        let gathered = gather(request, chosen, |settings| {
            let opened = open_root(settings, claim, &opener, now).map_err(|error| problems::root(&error))?;
            Ok(match opened {
                Opened::Ready(root) => Ok(root),
                Opened::Refused(refusal) => Err(refusal),
            })
        })?;
        let locked: Vec<LockedRoot> = gathered.roots.into_iter().map(|root: Box<LockedRoot>| *root).collect();
        if locked.iter().any(|root| root.calls_for_distrust())
            && let Err(error) = work.registry.distrust()
        {
            tracing::warn!(reason = %super::chain(&error), "the loss of the ledger is not on record");
        }
        // Only now: locks, markers and segments have just been made.
        let own = self.own_places().collect();
        let mut targets = Vec::new();
        for root in &locked {
            let visible = by_walking(root.dir(), &own.known);
            let (ledger, name) = (Arc::clone(&work.ledger), root.settings().name.clone());
            // What lies in the private directory is walked by nobody.
            let counter: CapacityCounter = Arc::new(move || {
                visible().map(|bytes| bytes.saturating_add(ledger.moved_bytes(&name).unwrap_or(0)))
            });
            let mut guarded = root
                .guarded(&own, Some(counter), self.settings.agent.workers)
                .map_err(|error| problems::root(&error))?;
            guarded.vault = root.private().map(|private| {
                let (private, ledger) = (Arc::clone(private), Arc::clone(&work.ledger));
                Arc::new(RootVault::new(private, ledger, Turn::default()))
            });
            targets.push(Target { root: Arc::new(guarded), key: None });
        }
        Ok(OpenedTargets { locked, targets, left_out: gathered.left_out })
    }

    fn carry_out(
        &self,
        sweep: &StandaloneSweep,
        cancelled: &AtomicBool,
        told: Told,
    ) -> Result<SweepOutcome, ApiError> {
        let work = self.workplace()?;
        let now = clock::now();
        if let Some(pause) = pause_at(work.ledger.pause(), now) {
            return Err(problems::paused(&pause));
        }
        let audit = work.audit();
        let claim = if sweep.adopt { Claim::Adopt } else { Claim::Usual };
        let opened = self.open_targets(&work, &sweep.request, claim, &|name| Self::is_wanted(sweep, name))?;
        let OpenedTargets { targets, left_out, locked: _locked } = opened;
        check_job(&sweep.request, &work.registry.view().read().unwrap_or_else(PoisonError::into_inner))?;
        check_session(
            &sweep.request,
            &work.references.view().read().unwrap_or_else(PoisonError::into_inner),
        )?;
        end_idle_sessions(sweep, &work, &self.settings);
        let engine = work.engine(audit);
        kept::settle(&Keeper { ledger: &work.ledger, engine: &engine, targets: targets.clone() })?;
        let control = Control::telling(told);
        let stop = || {
            cancelled.load(Ordering::Relaxed).then(|| {
                control.cancel("interrupted");
                "interrupted".to_owned()
            })
        };
        let commission = commission(sweep, &control, &stop);
        let reports = match &sweep.plan {
            Some(plans) => {
                let actions: Vec<PlanAction> =
                    plans.iter().flat_map(|plan| plan.actions.iter().cloned()).collect();
                engine.apply(&commission, &targets, &actions)
            }
            None => engine.sweep(&commission, &targets),
        };
        let reports = reports.map_err(|error| problems::engine(&error))?;
        let mut outcome = SweepOutcome { reports, plans: Vec::new() };
        for why in left_out {
            note(&mut outcome, &why);
        }
        Ok(outcome)
    }

    fn reader(&self) -> Result<Reader, ApiError> {
        match LedgerReader::open(self.state_dir()) {
            Ok(ledger) => Ok(Reader { ledger: ledger.map(Arc::new), lost: false }),
            // A sweep would set it aside and begin one that is not trusted.
            Err(StoreError::Damaged { path, detail }) => {
                tracing::warn!(path = %path.display(), detail, "the ledger can't be read");
                Ok(Reader { ledger: None, lost: true })
            }
            Err(error) => Err(problems::store(&error)),
        }
    }

    fn caller() -> Caller {
        // Whoever may write the ledger may change any job in it.
        Caller { uid: process::own_ids().0, admin: true }
    }

    fn change_job(
        &self,
        change: impl FnOnce(&JobRegistry) -> Result<crate::model::JobRecord, super::jobs::JobError>,
    ) -> Result<JobResource, ApiError> {
        let work = self.workplace()?;
        let record = change(&work.registry).map_err(|error| problems::job(&error))?;
        Ok(JobResource::of(&record, None, None))
    }
}

/// The ledger as a dry run sees it.
struct Reader {
    ledger: Option<Arc<LedgerReader>>,
    lost: bool,
}

impl Reader {
    fn view(&self) -> Result<JobsView, ApiError> {
        let view = view_for_reading(self.ledger.as_deref(), Now::read());
        let view = view.map_err(|error| problems::registry(&error))?;
        Ok(JobsView { known: view.known && !self.lost, ..view })
    }

    fn references(&self) -> Result<ReferenceView, ApiError> {
        view_of(self.ledger.as_deref()).map_err(|error| problems::store(&error))
    }

    fn clock(&self) -> ClockGuard {
        let mark = self.ledger.as_ref().and_then(|ledger| ledger.clock_mark().ok().flatten());
        clock_guard(mark.map(|mark| mark.wall))
    }
}

fn clock_guard(last: Option<Timestamp>) -> ClockGuard {
    ClockGuard::at_start(clock::now(), clock::since_boot(), last, clock::time_is_synchronised())
}

fn pause_at(pause: Result<Option<Pause>, StoreError>, now: Timestamp) -> Option<Pause> {
    // A pause that can't be read must not stop cleaning for good: the agent holds the same.
    pause.ok().flatten().filter(|pause| pause.until.is_none_or(|until| now < until))
}

fn note(outcome: &mut SweepOutcome, text: &str) {
    for report in &mut outcome.reports {
        report.notes.push(text.to_owned());
    }
}

fn commission<'a>(
    sweep: &'a StandaloneSweep,
    control: &'a Control,
    stop: &'a (dyn Fn() -> Option<String> + Sync),
) -> Commission<'a> {
    let (uid, gid) = process::own_ids();
    Commission {
        request: &sweep.request,
        // What is asked for by name is asked for because it has ended.
        trigger: if sweep.request.session.is_some() { Trigger::SessionEnded } else { Trigger::Manual },
        requested_by: Some(Requester { uid, gid, pid: std::process::id() }),
        control,
        list: sweep.list,
        stop,
        leave_out: None,
    }
}

/// Refuses to clean up after a job that is at work.
pub(super) fn check_job(request: &SweepRequest, jobs: &JobsView) -> Result<(), ApiError> {
    // What it gave up itself goes while it is at work.
    let Some(id) = request.job.as_ref().filter(|_| request.policy != Policy::Chunks) else { return Ok(()) };
    match jobs.jobs.get(id) {
        Some(job) if job.state.is_alive() => Err(ApiError::conflict(format!(
            "job {id} is {}: its files stay until it ends",
            job.state.as_str()
        ))
        .with_help("end it first: guardian job fail, cancel or complete")),
        _ => Ok(()),
    }
}

/// Opens each root. One that was asked for by name must be had; of all, those
/// that are suspended are left out.
fn gather<R>(
    request: &SweepRequest,
    chosen: Vec<&RootSettings>,
    mut open: impl FnMut(&RootSettings) -> Result<Result<R, Refusal>, ApiError>,
) -> Result<Gathered<R>, ApiError> {
    let mut gathered = Gathered { roots: Vec::new(), left_out: Vec::new() };
    let mut last = None;
    for settings in chosen {
        match open(settings)? {
            Ok(root) => gathered.roots.push(root),
            Err(refusal) => {
                let error = problems::refusal(&settings.name, &refusal);
                if request.root.is_some() || !matches!(refusal, Refusal::Suspended(_)) {
                    return Err(error);
                }
                gathered.left_out.push(format!("left out: {}", error.detail));
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) if gathered.roots.is_empty() => Err(error),
        _ if gathered.roots.is_empty() => {
            Err(ApiError::invalid("the plan names no root that is configured here"))
        }
        _ => Ok(gathered),
    }
}

fn count_by_walking(root: &mut GuardedRoot, settings: &RootSettings, own: &OwnFiles) {
    if let Some(size) = settings.capacity {
        let counter = by_walking(&root.dir, &own.known);
        root.probe = Probe::Capacity { root: Arc::clone(&root.dir), size, counter };
    }
}

impl Standalone for Alone {
    fn sweep(
        &self,
        sweep: &StandaloneSweep,
        cancelled: &AtomicBool,
        told: Told,
    ) -> Result<SweepOutcome, ApiError> {
        // A plan is carried out, and its report speaks, as what it was made for.
        let mut policies = sweep.plan.iter().flatten().map(|plan| plan.policy);
        let policy = policies.next().unwrap_or(sweep.request.policy);
        if policies.any(|other| other != policy) {
            return Err(ApiError::invalid(
                "the plans were made for different policies: apply them one by one",
            ));
        }
        if !sweeper::is_dry(&self.settings.agent, &sweep.request, policy) {
            let request = SweepRequest { policy, ..sweep.request.clone() };
            return self.carry_out(&StandaloneSweep { request, ..sweep.clone() }, cancelled, told);
        }
        if sweep.plan.is_some() {
            return Err(ApiError::conflict(
                "a plan is not carried out while the configuration says to remove nothing \
                 (dry_run or keep_files_for_debugging)",
            ));
        }
        self.plan_only(sweep, cancelled)
    }

    fn explain(&self, path: &[u8]) -> Result<Explanation, ApiError> {
        let found =
            self.settings.roots.iter().find_map(|root| Some((root, explain::below(&root.path, path)?)));
        let Some((settings, below)) = found else {
            return Ok(explain::outside(path, None, "lies beneath no root: guardian leaves it alone"));
        };
        let now = clock::now();
        let reader = self.reader()?;
        let mut view = reader.view()?;
        let own = self.own_places().collect();
        let reading = Reading {
            ledger: reader.ledger.as_ref(),
            state_dir: self.state_dir(),
            own: &own,
            workers: self.settings.agent.workers,
        };
        match look_root(settings, Claim::Usual, &reading, now).map_err(|error| problems::root(&error))? {
            Looked::Refused(refusal) => {
                let why = problems::refusal(&settings.name, &refusal).detail;
                Ok(explain::outside(path, Some(&settings.name), &format!("kept: {why}")))
            }
            Looked::Ready { root, distrust } => {
                view.known &= !distrust;
                let with = explain::Knowledge {
                    jobs: &view,
                    references: &RwLock::new(reader.references()?),
                    now,
                    clock_trusted: reader.clock().doubt().is_none(),
                    index: None,
                };
                explain::explain(&root, &below, &with)
            }
        }
    }

    fn job_put(&self, id: &JobId, job: JobPut) -> Result<JobResource, ApiError> {
        if let Some(root) = &job.root
            && !self.settings.roots.iter().any(|known| known.name == *root)
        {
            return Err(ApiError::invalid(format!("no root is called {root}")));
        }
        let change =
            JobChange { state: job.state, ttl: job.ttl.map(|ttl| ttl.0), pid: job.pid, root: job.root };
        self.change_job(|registry| registry.put(id, &change, Self::caller(), Now::read()))
    }

    fn job_heartbeat(&self, id: &JobId) -> Result<JobResource, ApiError> {
        self.change_job(|registry| registry.heartbeat(id, Self::caller(), Now::read()))
    }

    fn job_get(&self, id: &JobId) -> Result<JobResource, ApiError> {
        let record = match self.reader()?.ledger {
            Some(ledger) => ledger.job(id).map_err(|error| problems::store(&error))?,
            None => None,
        };
        let record = record.ok_or_else(|| ApiError::not_found(format!("job {id} is not registered")))?;
        Ok(JobResource::of(&record, None, None))
    }

    fn jobs(&self) -> Result<Vec<JobResource>, ApiError> {
        let records = match self.reader()?.ledger {
            Some(ledger) => ledger.all_jobs().map_err(|error| problems::store(&error))?,
            None => Vec::new(),
        };
        Ok(records.iter().map(|record| JobResource::of(record, None, None)).collect())
    }

    fn chunk_complete(
        &self,
        job: &JobId,
        chunk: &ChunkId,
        request: &ChunkRequest,
    ) -> Result<ChunkCompletion, ApiError> {
        self.complete_chunk(job, chunk, request)
    }

    fn roots(&self) -> Result<Vec<RootResource>, ApiError> {
        let (now, reader) = (clock::now(), self.reader()?);
        let own = OwnFiles::default();
        self.settings
            .roots
            .iter()
            .map(|settings| {
                let reading = Reading {
                    ledger: reader.ledger.as_ref(),
                    state_dir: self.state_dir(),
                    own: &own,
                    workers: 1,
                };
                let record = match &reader.ledger {
                    Some(ledger) => ledger.root(&settings.name).map_err(|error| problems::store(&error))?,
                    None => None,
                };
                let reason = match look_root(settings, Claim::Usual, &reading, now) {
                    Ok(Looked::Ready { .. }) => None,
                    Ok(Looked::Refused(refusal)) => Some(problems::refusal(&settings.name, &refusal).detail),
                    Err(error) => Some(super::chain(&error)),
                };
                Ok(RootResource {
                    name: settings.name.clone(),
                    path: WirePath::from_path(&settings.path),
                    // Nobody watches it while no agent runs.
                    state: if reason.is_some() { RootState::Suspended } else { RootState::Unwatched },
                    reason,
                    patterns: settings.patterns.clone(),
                    adopted_at: record.as_ref().and_then(|record| record.adopted_at),
                    adoption_grace_until: record
                        .and_then(|record| record.new_until)
                        .filter(|until| now < *until),
                })
            })
            .collect()
    }

    fn registry_trust(&self) -> Result<TrustState, ApiError> {
        let work = self.workplace()?;
        let before = work.ledger.trusted().map_err(|error| problems::store(&error))?;
        work.registry.trust().map_err(|error| problems::store(&error))?;
        Ok(TrustState { trusted: true, changed: !before })
    }
}
