//! Why something about jobs was not done.

use crate::model::{JobId, JobState};
use crate::store::StoreError;
use crate::sys::SysError;

/// Pending and active jobs of one user who is no administrator: each is held in
/// memory, and starting them is never limited by `rate_limit`.
pub(super) const MOST_ALIVE: usize = 100_000;

/// Why a request about a job was not carried out. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The registry does not know the job.
    #[error("job {0} is not registered")]
    NotFound(JobId),
    /// Somebody else registered it.
    #[error("uid {uid} may not change job {id}: it belongs to uid {owner}")]
    Forbidden {
        /// Which job.
        id: JobId,
        /// Who asked.
        uid: u32,
        /// Whose it is.
        owner: u32,
    },
    /// It has ended.
    #[error("job {id} has ended: it is {}; start it again first", state.as_str())]
    Conflict {
        /// Which job.
        id: JobId,
        /// Where it stands.
        state: JobState,
    },
    /// One user has so many living jobs that more would be at the others' cost.
    #[error(
        "failed to start job {id}: uid {uid} has {MOST_ALIVE} pending and active jobs already; end some first"
    )]
    TooMany {
        /// Which job.
        id: JobId,
        /// Whose.
        uid: u32,
    },
    /// No such process, or one of somebody else.
    #[error("failed to follow process {pid} for job {id}: {why}")]
    InvalidPid {
        /// Which job.
        id: JobId,
        /// The number as given.
        pid: u32,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A ttl of no length.
    #[error("failed to take a ttl of 0 for job {0}: expected a duration above 0")]
    InvalidTtl(JobId),
    /// The ledger could not be read or written.
    #[error("failed to look up or record job {id}")]
    Store {
        /// Which job.
        id: JobId,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The process could not be looked at.
    #[error("failed to look at process {pid} for job {id}")]
    Process {
        /// Which job.
        id: JobId,
        /// The number as given.
        pid: u32,
        /// Why.
        #[source]
        source: SysError,
    },
}

/// Why there is no registry, or nobody to follow its jobs.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The ledger could not be read.
    #[error("failed to read the registered jobs")]
    Store(#[source] StoreError),
    /// The kernel does not tell which boot this is.
    #[error("failed to learn which boot this is")]
    Boot(#[source] SysError),
    /// No descriptor to wait on, or no thread.
    #[error("failed to begin to follow the processes of jobs")]
    Follow(#[source] std::io::Error),
}
