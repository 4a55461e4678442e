//! The registry of jobs, shared by the socket and the sweeps.
//!
//! Promises: a request that was answered is in the ledger; a start is answered
//! only after removals in flight have stopped (the executor holds the view's
//! read lock from its last look at a job until the file is gone, a start takes
//! the write lock); nothing concludes that a job failed while its heartbeats
//! could not be received. Must not know: files, sweeps, HTTP.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use crate::model::{JobId, JobRecord, JobState, RootName, Timestamp};
use crate::policy::{JobsView, Presumption};
use crate::store::StoreError;
use crate::store::ledger::{Ledger, LedgerReader};
use crate::sys::SysError;

/// One moment by the three clocks that deadlines and records need.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Wall clock: what is recorded.
    pub wall: Timestamp,
    /// Boot-time clock, suspended time included: what deadlines run by.
    pub since_boot: Duration,
    /// Monotonic clock, suspended time excluded: the difference tells a resume.
    pub awake: Instant,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Effective uid.
    pub uid: u32,
    /// Whether it is an administrator.
    pub admin: bool,
}

/// What a caller wants of a job; absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobChange {
    /// Where it stands; absent: active for a new job, unchanged for a known one.
    pub state: Option<JobState>,
    /// Longest pause between heartbeats.
    pub ttl: Option<Duration>,
    /// The process whose end ends the job.
    pub pid: Option<u32>,
    /// The one root it works in.
    pub root: Option<RootName>,
}

/// What the registry keeps on disk: the ledger, behind a seam so that its failure can be tried.
pub trait JobBook: Send + Sync {
    /// See [`Ledger::job`].
    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, StoreError>;
    /// See [`Ledger::jobs_page`].
    fn jobs_page(
        &self,
        after: Option<&JobId>,
        limit: usize,
        state: Option<JobState>,
    ) -> Result<Vec<JobRecord>, StoreError>;
    /// See [`Ledger::put_job`].
    fn put_job(&self, job: &JobRecord) -> Result<(), StoreError>;
    /// See [`Ledger::remove_job`].
    fn remove_job(&self, id: &JobId) -> Result<bool, StoreError>;
    /// See [`Ledger::began_at`].
    fn began_at(&self) -> Timestamp;
    /// See [`Ledger::trusted`].
    fn trusted(&self) -> Result<bool, StoreError>;
    /// See [`Ledger::set_trusted`].
    fn set_trusted(&self, trusted: bool) -> Result<(), StoreError>;
}

/// Why a request about a job was not carried out. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The registry does not know the job.
    #[error("job {0} is not registered")]
    NotFound(JobId),
    /// Somebody else registered it.
    #[error("uid {uid} may not change job {id}: it belongs to uid {owner}")]
    Forbidden {
        /** Which job. */
        id: JobId,
        /** Who asked. */
        uid: u32,
        /** Whose it is. */
        owner: u32,
    },
    /// It ended, or ended otherwise.
    #[error("job {id} is {} already", state.as_str())]
    Conflict {
        /** Which job. */
        id: JobId,
        /** Where it stands. */
        state: JobState,
    },
    /// No such process, or one of somebody else.
    #[error("failed to follow process {pid} for job {id}: {why}")]
    InvalidPid {
        /** Which job. */
        id: JobId,
        /** The number. */
        pid: u32,
        /** What is wrong with it. */
        why: &'static str,
    },
    /// A ttl of no length.
    #[error("failed to take a ttl of 0 for job {0}: expected a duration above 0")]
    InvalidTtl(JobId),
    /// The ledger could not be read or written.
    #[error("failed to record job {id}")]
    Store {
        /** Which job. */
        id: JobId,
        /** Why. */
        #[source]
        source: StoreError,
    },
    /// The process could not be looked at.
    #[error("failed to look at process {pid} for job {id}")]
    Process {
        /** Which job. */
        id: JobId,
        /** The number. */
        pid: u32,
        /** Why. */
        #[source]
        source: SysError,
    },
}

/// A failure that was concluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresumedFailure {
    /// The job as it is on record now.
    pub job: JobRecord,
    /// From what it was concluded.
    pub why: Presumption,
}

/// The registered jobs. All methods block for the ledger's write at most and
/// may be called from any thread.
pub struct JobRegistry(());

impl JobRegistry {
    /// Reads the registry. Each active job gets a whole ttl from now, at least
    /// ten minutes. `keep_beats`: write each heartbeat down, for a process
    /// that ends at once (own-process mode).
    pub fn open(_book: Arc<dyn JobBook>, _keep_beats: bool, _now: Now) -> Result<Self, RegistryError> {
        todo!()
    }
    /// What the sweeps read, under its lock.
    pub fn view(&self) -> &Arc<RwLock<JobsView>> {
        todo!()
    }
    /// Registers a job or moves it to another state.
    pub fn put(
        &self,
        _id: &JobId,
        _change: &JobChange,
        _by: Caller,
        _now: Now,
    ) -> Result<JobRecord, JobError> {
        todo!()
    }
    /// A sign of life.
    pub fn heartbeat(&self, _id: &JobId, _by: Caller, _now: Now) -> Result<JobRecord, JobError> {
        todo!()
    }
    /// One job, with its last heartbeat.
    pub fn get(&self, _id: &JobId) -> Result<JobRecord, JobError> {
        todo!()
    }
    /// Jobs in order of id behind `after`, of one state or of any.
    pub fn page(
        &self,
        _after: Option<&JobId>,
        _limit: usize,
        _state: Option<JobState>,
    ) -> Result<Vec<JobRecord>, StoreError> {
        todo!()
    }
    /// Presumes failed what must be; to be called every half minute at most (the thread does).
    pub fn tick(&self, _now: Now) -> Vec<PresumedFailure> {
        todo!()
    }
    /// Forgets jobs that ended longer than `keep` ago; how many.
    pub fn prune(&self, _keep: Duration, _now: Now) -> Result<u64, StoreError> {
        todo!()
    }
    /// Declares the registry complete again (`guardian registry trust`).
    pub fn trust(&self) -> Result<(), StoreError> {
        todo!()
    }
    /// A lost ledger was discovered: from now on no file that names a job goes, until [`Self::trust`].
    pub fn distrust(&self) -> Result<(), StoreError> {
        todo!()
    }
    /// Writes down heartbeats that are only in memory; at the stop.
    pub fn flush(&self) -> Result<(), StoreError> {
        todo!()
    }
}

/// Why there is no registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The ledger could not be read.
    #[error("failed to read the registered jobs")]
    Store(#[source] StoreError),
    /// The host does not tell which boot this is.
    #[error("failed to learn which boot this is")]
    Boot(#[source] SysError),
    /// The thread could not be started.
    #[error("failed to start the thread that follows jobs")]
    Thread(#[source] std::io::Error),
}

/// The thread `guardian-jobs`: ticks when a process ends and when a deadline passes.
#[must_use = "the thread stops when this is dropped"]
pub struct JobsThread(());

impl JobsThread {
    /// Starts it; `failed` is called with each batch of presumed failures.
    pub fn start(
        _registry: Arc<JobRegistry>,
        _failed: Box<dyn Fn(Vec<PresumedFailure>) + Send>,
    ) -> Result<Self, RegistryError> {
        todo!()
    }
    /// Asks it to stop and waits; false if it had died by itself.
    pub fn stop(self) -> bool {
        todo!()
    }
    /// Whether it ended without being asked to.
    pub fn has_died(&self) -> bool {
        todo!()
    }
}

/// The jobs for a dry run without an agent: presumed as a sweep would, nothing
/// written. `None`: no ledger yet, a sweep would begin one now.
pub fn view_for_reading(_ledger: Option<&LedgerReader>, _now: Now) -> Result<JobsView, RegistryError> {
    todo!()
}

fn _book(ledger: Ledger) -> Arc<dyn JobBook> {
    Arc::new(ledger)
}
impl JobBook for Ledger {
    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, StoreError> {
        Self::job(self, id)
    }
    fn jobs_page(
        &self,
        after: Option<&JobId>,
        limit: usize,
        state: Option<JobState>,
    ) -> Result<Vec<JobRecord>, StoreError> {
        Self::jobs_page(self, after, limit, state)
    }
    fn put_job(&self, job: &JobRecord) -> Result<(), StoreError> {
        Self::put_job(self, job)
    }
    fn remove_job(&self, id: &JobId) -> Result<bool, StoreError> {
        Self::remove_job(self, id)
    }
    fn began_at(&self) -> Timestamp {
        Self::began_at(self)
    }
    fn trusted(&self) -> Result<bool, StoreError> {
        Self::trusted(self)
    }
    fn set_trusted(&self, trusted: bool) -> Result<(), StoreError> {
        Self::set_trusted(self, trusted)
    }
}
