//! The agent as a process: built, supervised, reloaded, stopped.
//!
//! Promises: what can't be guarded as configured is a clear error at the
//! start; a worker that dies ends the agent with an error, so that the service
//! manager starts it again; on TERM or INT the running batch ends, ledger and
//! index are durable, and everything joins within a deadline. A second signal
//! exits at once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::config::Settings;
use crate::ingest::Ingest;
use crate::model::{JobId, RelPath};
use crate::store::audit::AuditLog;
use crate::store::index::{Index, OpenOptions, Opened};
use crate::store::ledger::{Ledger, LedgerOrigin};
use crate::sweep::named::look;
use crate::sys::{clock, notify_service};

use super::clock::{clock_guard, note_clock};
use super::engine::Engine;
use super::jobs::{JobRegistry, JobsThread, Now};
use super::pauses::Pauses;
use super::references::References;
use super::reload::ReadAgain;
use super::roots::{Claim, check_nesting};
use super::signals::Notice;
use super::socket::listen;
use super::state::{Agent, Bell, SharedReadings, Stir, StopToken};
use super::state_dir::StateDir;
use super::{chain, guard, presence, schedule, signals, slots, sweeper, vault};

/// How much of the index is kept in memory, in bytes: the agent is to stay
/// below 64 MiB with a million files.
const INDEX_CACHE: usize = 16 << 20;
/// How long stopping may take before the process exits with an error.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Sweeps asked for that run at the same time (on different volumes; on one they take turns).
const SWEEPERS: usize = 2;
/// How often the registry is copied to `ledger.bak`, and old records go.
const BACKUP_INTERVAL: Duration = Duration::from_secs(3600);
/// Parts of the audit log that could not be indexed are tried again after so long.
const INDEX_PAUSE: Duration = Duration::from_secs(600);

/// So much longer than its results a job's record stays, for sweeps that come late.
const RESULTS_MARGIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why the agent did not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The state directory can't be used.
    #[error(transparent)]
    StateDir(#[from] super::state_dir::StateDirError),
    /// Ledger or index can't be opened.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The registry can't be read.
    #[error(transparent)]
    Registry(#[from] super::jobs::RegistryError),
    /// A root can't be guarded as configured.
    #[error(transparent)]
    Root(#[from] super::roots::RootError),
    /// A root can't be opened now.
    #[error(transparent)]
    Slot(#[from] slots::SlotError),
    /// The index can't be followed.
    #[error(transparent)]
    Ingest(#[from] crate::ingest::IngestError),
    /// The socket can't be made.
    #[error("failed to listen on socket {}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A thread or handler can't be set up.
    #[error("failed to start {what}")]
    Start {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A worker ended by itself.
    #[error("failed to go on: {0} ended unexpectedly")]
    WorkerDied(&'static str),
    /// Not everything ended in time.
    #[error("failed to stop within {} s: {still} still ran", STOP_DEADLINE.as_secs())]
    StopTooSlow {
        /// What.
        still: String,
    },
}

impl ServiceError {
    /// Another guardian has the state directory, a root or the socket: starting again does not help.
    pub fn is_held(&self) -> bool {
        match self {
            Self::StateDir(error) => matches!(error, super::state_dir::StateDirError::Held { .. }),
            Self::Slot(error) => matches!(error, slots::SlotError::Refused { .. }),
            Self::Socket { source, .. } => source.kind() == std::io::ErrorKind::AddrInUse,
            _ => false,
        }
    }

    /// The configuration does not hold: starting again does not help.
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Root(error) | Self::Slot(slots::SlotError::Root(error)) => error.is_configuration(),
            _ => false,
        }
    }
}

/// Tells the supervisor when a worker ends, however it ends.
struct Leaving(&'static str, Sender<Notice>);

impl Drop for Leaving {
    fn drop(&mut self) {
        // Nobody listens any more when the supervisor itself is gone.
        let _ = self.1.send(Notice::Ended(self.0));
    }
}

fn worker(
    name: &'static str,
    notices: &Sender<Notice>,
    work: impl FnOnce() + Send + 'static,
) -> Result<(&'static str, JoinHandle<()>), ServiceError> {
    let leaving = Leaving(name, notices.clone());
    let thread = std::thread::Builder::new().name(name.to_owned());
    let handle = thread
        .spawn(move || {
            let _leaving = leaving;
            work();
        })
        .map_err(|source| ServiceError::Start { what: name, source })?;
    Ok((name, handle))
}

fn open_index(state_dir: &Path, readings: &SharedReadings) -> Result<Index, ServiceError> {
    let known = Arc::clone(readings);
    let options = OpenOptions {
        cache_bytes: INDEX_CACHE,
        readings: Arc::new(move |key| {
            let known = known.read().unwrap_or_else(PoisonError::into_inner);
            // A root that is not configured any more: its rows are never read.
            known.get(&key).cloned().unwrap_or_else(|| Arc::new(|_, _| {}))
        }),
    };
    let (index, opened) = Index::open(&state_dir.join("index.redb"), options)?;
    match opened {
        Opened::Clean | Opened::Created => {}
        Opened::Repaired => tracing::info!("the index was repaired after an unclean stop"),
        Opened::Quarantined(why) => tracing::warn!(reason = %why, "the index was damaged; it is built anew"),
        Opened::Unavailable(why) => {
            tracing::error!(reason = %why, "there is no index now: cleaning walks instead")
        }
    }
    Ok(index)
}

/// Runs the agent until it is told to stop.
pub fn run(settings: Settings, again: ReadAgain) -> Result<(), ServiceError> {
    super::logging::start(settings.agent.log_format, settings.verbosity);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    if settings.roots.is_empty() {
        tracing::warn!("no root is configured: nothing is guarded");
    }
    let (notices, noticed) = channel();
    signals::forward(notices.clone())
        .map_err(|source| ServiceError::Start { what: "signal handling", source })?;
    let running = Running::start(settings, notices)?;
    notify_service::ready();
    let ended = running.supervise(&noticed, &again);
    notify_service::stopping();
    let stopped = running.stop();
    ended.and(stopped)
}

/// Opens all roots. One that is not there today is left to the guard, which
/// takes it once it is: the others must not go unguarded for it. What somebody
/// has to decide (configuration, another guardian's lock or claim) ends the
/// start, and so does a failure that leaves nothing to guard.
fn open_roots(agent: &Agent) -> Result<(), ServiceError> {
    let mut failed = None;
    for slot in agent.slots() {
        match slots::open(agent, &slot, Claim::Usual) {
            Ok(()) => {}
            Err(error) if error.may_pass() => {
                tracing::error!(root = %slot.name(), reason = %chain(&error), "the root is not guarded yet");
                slots::suspend(agent, &slot, chain(&error));
                if !error.is_suspension() {
                    failed.get_or_insert(error);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    match failed {
        Some(error) if agent.slots().iter().all(|slot| slot.ready().is_none()) => Err(error.into()),
        _ => Ok(()),
    }
}

/// How long a root needs the records of ended jobs: without one its results
/// would be those of an unknown job, which are never old.
fn records_kept(root: &crate::config::RootSettings) -> Duration {
    let results = if root.results.is_empty() { Duration::ZERO } else { root.retain.results + RESULTS_MARGIN };
    root.retain.records.max(results)
}

/// The agent at work.
pub struct Running {
    agent: Arc<Agent>,
    ingest: Ingest,
    jobs: JobsThread,
    workers: Vec<(&'static str, JoinHandle<()>)>,
    runtime: tokio::runtime::Runtime,
    shutdown: tokio::sync::watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
    _state_dir: StateDir,
}

impl Running {
    /// Builds and starts everything.
    pub fn start(settings: Settings, notices: Sender<Notice>) -> Result<Self, ServiceError> {
        let state_dir = StateDir::open(&settings.agent.state_dir)?;
        check_nesting(&settings.roots)?;
        let now = clock::now();
        let (ledger, origin) = Ledger::open(state_dir.path(), now)?;
        let ledger = Arc::new(ledger);
        if let LedgerOrigin::Lost { reason } = &origin {
            tracing::error!(%reason, "the ledger was lost: files that name jobs are spared until `guardian registry trust`");
        }
        let audit = AuditLog::open(&state_dir.path().join("audit"))
            .map_err(|error| tracing::error!(reason = %chain(&error), "there is no audit log: removals go to the log"))
            .ok()
            .map(Arc::new);
        let registry = Arc::new(JobRegistry::open(Arc::clone(&ledger) as _, false, Now::read())?);
        if matches!(origin, LedgerOrigin::Lost { .. })
            && let Err(error) = registry.distrust()
        {
            tracing::error!(reason = %chain(&error), "the loss is not on record; it holds while the agent runs");
        }
        let references = Arc::new(References::open(Arc::clone(&ledger))?);
        let readings = SharedReadings::default();
        let index = open_index(state_dir.path(), &readings)?;
        let stop = StopToken::default();
        let ingest_settings = crate::ingest::Settings {
            reconcile_interval: settings.agent.reconcile_interval,
            ..crate::ingest::Settings::default()
        };
        let stir = Arc::new(Stir::default());
        let told = Arc::clone(&stir);
        let ingest =
            Ingest::start_telling(index.clone(), ingest_settings, Arc::default(), move || told.tell())?;
        let mut engine = Engine::new(
            Some(Arc::clone(&ledger)),
            audit,
            Arc::clone(registry.view()),
            Arc::clone(references.view()),
            clock_guard(&ledger),
        );
        engine.recorded = Some(Arc::clone(&references));
        let (feed, status, recent) = (ingest.handle(), ingest.handle(), ingest.handle());
        engine.recent = Box::new(move |key| recent.recent_growth(key));
        engine.index = Some(index.clone());
        engine.feed = Some(Arc::new(super::feed::IndexFeed::new(index, feed)));
        engine.complete = Box::new(move |key| {
            status.status(key).is_some_and(|root| root.state != crate::ingest::RootState::Scanning)
        });
        let pause = ledger.pause().unwrap_or_default();
        let agent = Arc::new(Agent {
            started_at: now,
            slots: RwLock::new(settings.roots.iter().cloned().map(slots::waiting).collect()),
            settings: RwLock::new(Arc::new(settings)),
            ledger,
            origin,
            registry: Arc::clone(&registry),
            references,
            engine,
            ingest: ingest.handle(),
            pause: Pauses::new(pause),
            runs: super::runs::Runs::default(),
            plans: super::plans::Plans::default(),
            stir,
            presence_bell: Bell::default(),
            schedule_bell: Bell::default(),
            desk: super::vault::Desk::default(),
            eased: AtomicBool::new(false),
            beat: AtomicU64::new(0),
            logged_plans: Mutex::default(),
            stop,
            readings,
            remarks: Mutex::default(),
        });
        agent.take_hooks();
        // The socket first: a second agent ends here, before it touches a root.
        let socket = agent.settings().agent.socket.clone();
        let listener = listen(&socket)?;
        open_roots(&agent)?;
        Self::serve(agent, listener, ingest, registry, notices, state_dir)
    }

    fn serve(
        agent: Arc<Agent>,
        listener: std::os::unix::net::UnixListener,
        ingest: Ingest,
        registry: Arc<JobRegistry>,
        notices: Sender<Notice>,
        state_dir: StateDir,
    ) -> Result<Self, ServiceError> {
        let start = |what, source| ServiceError::Start { what, source };
        let eased = Arc::clone(&agent);
        let jobs = JobsThread::start(registry, move |presumed| {
            eased.ease();
            for failure in presumed {
                tracing::warn!(job = %failure.job.id, reason = ?failure.why, "a job is presumed failed");
            }
        })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("guardian-socket")
            .enable_all()
            .build()
            .map_err(|source| start("the socket's runtime", source))?;
        let (shutdown, mut stopped) = tokio::sync::watch::channel(false);
        let serving = {
            let _inside = runtime.enter();
            let listener = tokio::net::UnixListener::from_std(listener)
                .map_err(|source| start("the socket's listener", source))?;
            let commands = super::commands::shared(Arc::clone(&agent));
            let admins = super::access::Administrators::new(agent.settings().agent.admin_group.clone());
            let leaving = Leaving("the socket", notices.clone());
            runtime.spawn(async move {
                let _leaving = leaving;
                let told = async move {
                    let _ = stopped.wait_for(|stop| *stop).await;
                };
                crate::api::serve(listener, commands, move |stream| admins.identify(stream), told).await;
            })
        };
        let mut workers = Vec::new();
        let on = |agent: &Arc<Agent>| Arc::clone(agent);
        let its = on(&agent);
        workers.push(worker("guardian-guard", &notices, move || guard::Guard::new(its).work())?);
        let its = on(&agent);
        workers.push(worker("guardian-presence", &notices, move || presence::work(&its))?);
        let its = on(&agent);
        workers.push(worker("guardian-schedule", &notices, move || schedule::work(&its))?);
        let its = on(&agent);
        workers.push(worker("guardian-move", &notices, move || vault::worker::work_moving(&its))?);
        let its = on(&agent);
        workers.push(worker("guardian-delete", &notices, move || vault::worker::work_removing(&its))?);
        if let Some(audit) = agent.engine.audit.clone() {
            let stop = agent.stop.clone();
            workers.push(worker("guardian-records", &notices, move || {
                while !stop.is_raised() {
                    audit.index_sealed(&|| stop.is_raised());
                    audit.wait_for_sealed(INDEX_PAUSE);
                }
            })?);
        }
        for _ in 0..SWEEPERS {
            let its = on(&agent);
            workers.push(worker("guardian-sweeper", &notices, move || sweeper::work(&its))?);
        }
        Ok(Self { agent, ingest, jobs, workers, runtime, shutdown, serving, _state_dir: state_dir })
    }

    /// The agent's state, for whoever runs it inside its own process.
    pub const fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// Waits for signals and for workers that end. Once an hour copies the registry.
    pub fn supervise(&self, notices: &Receiver<Notice>, again: &ReadAgain) -> Result<(), ServiceError> {
        let mut backup_due = Instant::now();
        loop {
            if Instant::now() >= backup_due {
                backup_due = Instant::now() + BACKUP_INTERVAL;
                self.housekeeping();
            }
            let patience = notify_service::watchdog_interval()
                .map_or(BACKUP_INTERVAL, |interval| interval / 2)
                .min(BACKUP_INTERVAL);
            match notices.recv_timeout(patience) {
                Ok(Notice::Stop) => return Ok(()),
                Ok(Notice::Reload) => super::reload::reload(&self.agent, again),
                Ok(Notice::Ended(who)) => return Err(ServiceError::WorkerDied(who)),
                Err(_) => {}
            }
            if self.ingest.has_ended() {
                return Err(ServiceError::WorkerDied("the index's thread"));
            }
            if self.jobs.has_died() {
                return Err(ServiceError::WorkerDied("the jobs' thread"));
            }
            notify_service::watchdog();
        }
    }

    /// The hourly copy of the registry, and what is past its retention.
    fn housekeeping(&self) {
        let settings = self.agent.settings();
        let copy = settings.agent.state_dir.join("ledger.bak");
        if let Err(error) = self.agent.ledger.backup(&copy) {
            tracing::warn!(reason = %chain(&error), "the registry is not copied");
        }
        // To a clock that jumped all records look old, and with a job's record
        // goes what is known of its files.
        let (now, trusted) = self.agent.engine.look_at_clock();
        let keep = settings.roots.iter().map(records_kept).max().filter(|_| trusted);
        if let Some(keep) = keep {
            let pruned = self
                .agent
                .registry
                .prune(keep, Now::read())
                .and_then(|_| self.agent.ledger.prune_history(now.minus(keep)))
                .and_then(|_| self.agent.ledger.prune_requests(now.minus(keep)))
                .and_then(|_| self.agent.references.prune(keep, now));
            if let Err(error) = pruned {
                tracing::warn!(reason = %chain(&error), "old records are kept");
            }
        }
        if trusted {
            self.forget_spent();
        }
        if trusted
            && let Some(audit) = &self.agent.engine.audit
            && let Err(error) = audit.prune(now.minus(settings.agent.audit_retention))
        {
            tracing::warn!(reason = %chain(&error), "old audit segments are kept");
        }
    }

    /// Forgets what was told of files that are gone, where it guards nothing any more.
    fn forget_spent(&self) {
        let agent = &self.agent;
        for target in agent.targets(None) {
            let name = &target.root.name;
            let began = clock::now();
            let spent = {
                let jobs = agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner);
                let view = agent.references.view().read().unwrap_or_else(PoisonError::into_inner);
                let lives = |id: &JobId| jobs.jobs.get(id).is_some_and(|job| job.state.is_alive());
                view.spent(name, clock::now(), lives)
            };
            let is_gone = |path: &&RelPath| match look(target.root.dir.handle(), path) {
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
                Ok(facts) => {
                    let view = agent.references.view().read().unwrap_or_else(PoisonError::into_inner);
                    view.told_of(name, path).is_some_and(|told| !told.recorded.is(&facts))
                }
            };
            // A root that is moved away meanwhile has lost nothing.
            let gone: Vec<&RelPath> = spent.iter().filter(is_gone).collect();
            let gone: Vec<(&RelPath, u64)> = {
                let view = agent.references.view().read().unwrap_or_else(PoisonError::into_inner);
                let ino = |path: &RelPath| view.told_of(name, path).map(|told| told.recorded.ino);
                gone.into_iter().filter_map(|path| Some((path, ino(path)?))).collect()
            };
            if target.root.dir.is_in_place() {
                agent.references.gone(name, gone.into_iter(), began);
            }
        }
        agent.references.forget_gone();
    }

    /// Stops everything: the socket accepts no more, running batches end, what
    /// is in memory becomes durable.
    pub fn stop(self) -> Result<(), ServiceError> {
        let deadline = Instant::now() + STOP_DEADLINE;
        let agent = &self.agent;
        // Its value is read by the socket alone; without it nobody is left to tell.
        let _ = self.shutdown.send(true);
        agent.stop.raise();
        agent.runs.close("the agent stops");
        agent.engine.alerts.hooks().stop();
        agent.engine.events.close();
        agent.stir.bell.ring();
        agent.schedule_bell.ring();
        agent.desk.mover.ring();
        agent.desk.remover.ring();
        agent.presence_bell.ring();
        if let Some(audit) = &agent.engine.audit {
            audit.wake();
        }
        let mut still = Vec::new();
        for (name, handle) in self.workers {
            while !handle.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            if handle.is_finished() {
                if handle.join().is_err() {
                    tracing::error!(worker = name, "a worker panicked");
                }
            } else {
                still.push(name);
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let served = self.runtime.block_on(async { tokio::time::timeout(left, self.serving).await });
        if served.is_err() {
            still.push("the socket");
        }
        self.runtime.shutdown_background();
        self.jobs.stop();
        // A doubted time on record would be what the next start believes.
        if let (now, true) = agent.engine.look_at_clock() {
            note_clock(&agent.ledger, now, clock::since_boot());
        }
        if let Err(error) = agent.registry.flush() {
            tracing::warn!(reason = %chain(&error), "the last heartbeats are not on record");
        }
        if !self.ingest.join() {
            still.push("the index's thread");
        }
        agent.engine.recorder.finish();
        if let Some(audit) = &agent.engine.audit
            && let Err(error) = audit.sync()
        {
            tracing::warn!(reason = %chain(&error), "the audit log is not synced");
        }
        let socket = agent.settings().agent.socket.clone();
        if let Err(error) = std::fs::remove_file(&socket) {
            tracing::debug!(%error, "the socket's file stays");
        }
        if still.is_empty() { Ok(()) } else { Err(ServiceError::StopTooSlow { still: still.join(", ") }) }
    }
}
