//! The start: everything is built, opened and set to work.
//!
//! Promises: what can't be guarded as configured is a clear error; a second
//! agent ends before it touches a root; a root that is not there today does not
//! keep the others from being guarded. Must not know: how the agent goes on, or ends.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::agent::clock::clock_guard;
use crate::agent::engine::Engine;
use crate::agent::jobs::{JobRegistry, JobsThread, Now};
use crate::agent::metrics::serving as metrics;
use crate::agent::pauses::Pauses;
use crate::agent::references::References;
use crate::agent::roots::{Claim, check_nesting};
use crate::agent::signals::Notice;
use crate::agent::socket::listen;
use crate::agent::state::{Agent, Bell, SharedReadings, Stir, StopToken};
use crate::agent::state_dir::StateDir;
use crate::agent::{chain, guard, presence, schedule, slots, status, sweeper, vault};
use crate::api::Pulse;
use crate::config::Settings;
use crate::ingest::Ingest;
use crate::store::audit::AuditLog;
use crate::store::index::{Index, OpenOptions, Opened};
use crate::store::ledger::{Ledger, LedgerOrigin};
use crate::sys::{clock, notify_service};

use super::{Running, ServiceError, manager};

/// How much of the index is kept in memory, in bytes: the agent is to stay
/// below 64 MiB with a million files.
const INDEX_CACHE: usize = 16 << 20;

/// Sweeps asked for that run at the same time (on different volumes; on one they take turns).
const SWEEPERS: usize = 2;

/// Parts of the audit log that could not be indexed are tried again after so long.
const INDEX_PAUSE: Duration = Duration::from_secs(600);

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

impl Running {
    /// Builds and starts everything.
    pub fn start(settings: Settings, notices: Sender<Notice>) -> Result<Self, ServiceError> {
        Self::start_on(settings, notices, None)
    }

    /// The same on the socket that the service manager listens on, if it does.
    pub fn start_on(
        settings: Settings,
        notices: Sender<Notice>,
        handed: Option<UnixListener>,
    ) -> Result<Self, ServiceError> {
        notify_service::status("opening ledger and index");
        fail::fail_point!("opening");
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
        engine.feed = Some(Arc::new(crate::agent::feed::IndexFeed::new(index, feed)));
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
            runs: crate::agent::runs::Runs::default(),
            plans: crate::agent::plans::Plans::default(),
            stir,
            presence_bell: Bell::default(),
            schedule_bell: Bell::default(),
            desk: crate::agent::vault::Desk::default(),
            hurried: AtomicBool::new(false),
            eased: AtomicBool::new(false),
            heart: Arc::default(),
            status: crate::agent::status::Status::default(),
            manager_bell: Bell::default(),
            logged_plans: Mutex::default(),
            stop,
            readings,
            remarks: Mutex::default(),
        });
        agent.take_hooks();
        // The socket first: a second agent ends here, before it touches a root.
        let socket = agent.settings().agent.socket.clone();
        let is_handed = handed.is_some();
        let listener = match handed {
            Some(listener) => listener,
            None => {
                listen(&socket).map_err(|source| ServiceError::Socket { path: socket.clone(), source })?
            }
        };
        notify_service::status("opening the roots");
        open_roots(&agent)?;
        status::renew(&agent);
        let running = Self::serve(agent, listener, ingest, registry, notices, state_dir)?;
        Ok(Self { handed: is_handed, ..running })
    }

    fn serve(
        agent: Arc<Agent>,
        listener: UnixListener,
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
        let (shutdown, stopped) = tokio::sync::watch::channel(false);
        let serving = {
            let _inside = runtime.enter();
            let listener = tokio::net::UnixListener::from_std(listener)
                .map_err(|source| start("the socket's listener", source))?;
            let commands = crate::agent::commands::shared(Arc::clone(&agent));
            let its = Arc::clone(&agent);
            let admins =
                crate::agent::access::Administrators::new(move || its.settings().agent.admin_group.clone());
            let leaving = Leaving("the socket", notices.clone());
            let its = Arc::clone(&agent.heart);
            let pulse = manager::beat_interval()
                .map(|every| Pulse { every, beat: Box::new(move || its.socket.within(every)) });
            let figures = metrics::serve(Arc::clone(&agent), Arc::clone(&commands), &stopped);
            runtime.spawn(async move {
                let _leaving = leaving;
                let told = metrics::told(stopped);
                let socket =
                    crate::api::serve(listener, commands, move |stream| admins.identify(stream), told, pulse);
                tokio::join!(socket, figures);
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
        if notify_service::is_there() {
            let its = on(&agent);
            workers.push(worker("guardian-manager", &notices, move || manager::work(&its))?);
        }
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
        Ok(Self {
            agent,
            ingest,
            jobs,
            workers,
            runtime,
            shutdown,
            serving,
            handed: false,
            _state_dir: state_dir,
        })
    }
}
