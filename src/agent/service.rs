//! The agent as a process: built, supervised, reloaded, stopped.
//!
//! Promises: what can't be guarded as configured is a clear error at the
//! start; a worker that dies ends the agent with an error, so that the service
//! manager starts it again; on TERM or INT the running batch ends, ledger and
//! index are durable, and everything joins within a deadline. A second signal
//! exits at once.

mod error;
mod housekeeping;
mod manager;
mod patience;
mod start;
mod stop;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::config::Settings;
use crate::ingest::Ingest;
use crate::sys::notify_service;
use crate::sys::work::Whose;

use super::jobs::JobsThread;
use super::reload::ReadAgain;
use super::signals::{self, Notice};
use super::socket;
use super::state::Agent;
use super::state_dir::StateDir;

pub use error::ServiceError;
use patience::{Patience, START_LIMIT, STOP_LIMIT};

/// How often the registry is copied, and old records go.
const BACKUP_INTERVAL: Duration = Duration::from_secs(3600);

/// What the supervisor promises while it reloads or keeps house: nothing. Roots
/// are opened and records go, on disks that may be slow; nobody knows how long
/// that takes, and killing an agent that samples and answers would help nobody.
const NO_PROMISE: Duration = Duration::MAX;

/// Runs the agent until it is told to stop.
pub fn run(settings: Settings, again: ReadAgain) -> Result<(), ServiceError> {
    // Before there are threads.
    let handed = socket::handed(&settings.agent.socket)?;
    // Only tests are built with it.
    #[cfg(feature = "failpoints")]
    let _points = fail::FailScenario::setup();
    super::logging::start(settings.agent.log_format, settings.verbosity);
    crate::sys::priority::go_ahead();
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    if settings.roots.is_empty() {
        tracing::warn!("no root is configured: nothing is guarded");
    }
    let (notices, noticed) = channel();
    signals::forward(notices.clone())
        .map_err(|source| ServiceError::Start { what: "signal handling", source })?;
    let patience = Patience::with(Whose::Main, START_LIMIT);
    let running = Running::start_on(settings, notices, handed)?;
    drop(patience);
    notify_service::ready(&running.agent.status.line());
    let ended = running.supervise(&noticed, &again);
    notify_service::stopping("stopping: batches under way end, what is in memory is written");
    let patience = Patience::with(Whose::Others, STOP_LIMIT);
    let stopped = running.stop();
    drop(patience);
    ended.and(stopped)
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
    /// The socket's file is the service manager's.
    handed: bool,
    _state_dir: StateDir,
}

impl Running {
    /// The agent's state, for whoever runs it inside its own process.
    pub const fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// Waits for signals and for workers that end. Once an hour copies the registry.
    pub fn supervise(&self, notices: &Receiver<Notice>, again: &ReadAgain) -> Result<(), ServiceError> {
        let beat = &self.agent.heart.supervision;
        let mut backup_due = Instant::now();
        loop {
            if Instant::now() >= backup_due {
                backup_due = Instant::now() + BACKUP_INTERVAL;
                beat.within(NO_PROMISE);
                housekeeping::keep_house(&self.agent);
            }
            let patience =
                manager::beat_interval().map_or(BACKUP_INTERVAL, |every| every.min(BACKUP_INTERVAL));
            beat.within(patience);
            match notices.recv_timeout(patience) {
                Ok(Notice::Stop) => return Ok(()),
                Ok(Notice::Reload) => {
                    beat.within(NO_PROMISE);
                    super::reload::reload(&self.agent, again);
                }
                Ok(Notice::Ended(who)) => return Err(ServiceError::WorkerDied(who)),
                Err(_) => {}
            }
            if self.ingest.has_ended() {
                return Err(ServiceError::WorkerDied("the index's thread"));
            }
            if self.jobs.has_died() {
                return Err(ServiceError::WorkerDied("the jobs' thread"));
            }
        }
    }
}
