//! The registry of jobs, shared by the socket and the sweeps.
//!
//! Promises: a request that was answered is in the ledger; a start is answered
//! only after removals in flight have stopped (the executor holds the view's
//! read lock from its last look at a job until the file is gone, a start takes
//! the write lock); nothing concludes that a job failed from heartbeats that
//! could not have been received. Must not know: files, sweeps, HTTP.

mod book;
mod change;
mod chunks;
mod error;
mod follow;
mod live;
mod reading;
mod registry;
#[cfg(test)]
mod tests;
mod thread;

use std::time::{Duration, Instant};

use crate::model::{JobRecord, JobState, RootName, Timestamp};
use crate::policy::Presumption;
use crate::sys::clock;

pub use book::JobBook;
pub use error::{JobError, RegistryError};
pub use reading::view_for_reading;
pub use registry::JobRegistry;
pub use thread::JobsThread;

/// One moment by the three clocks that deadlines and records need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Wall clock: what is recorded.
    pub wall: Timestamp,
    /// Boot-time clock, suspended time included: what deadlines run by.
    pub since_boot: Duration,
    /// Monotonic clock, suspended time excluded: the difference tells a resume.
    pub awake: Instant,
}

impl Now {
    /// Reads the clocks.
    pub fn read() -> Self {
        Self { wall: clock::now(), since_boot: clock::since_boot(), awake: Instant::now() }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Effective uid.
    pub uid: u32,
    /// Whether it is an administrator.
    pub admin: bool,
}

/// What a caller wants of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobChange {
    /// Where it stands; absent: active for a new job, unchanged for a known one.
    pub state: Option<JobState>,
    /// Longest pause between heartbeats, above 0; absent: unchanged for a
    /// living job, none for one that starts.
    pub ttl: Option<Duration>,
    /// The process whose end ends the job; absent: as for `ttl`.
    pub pid: Option<u32>,
    /// The one root it works in; absent: as for `ttl`.
    pub root: Option<RootName>,
}

/// A failure that was concluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresumedFailure {
    /// The job as it is now.
    pub job: JobRecord,
    /// From what it was concluded.
    pub why: Presumption,
}
