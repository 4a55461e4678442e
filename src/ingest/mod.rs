//! The only writer of the index: scan, apply changes, reconcile.
//!
//! What it promises:
//! - Hints of `watch` only say where to look; what goes into the index was read
//!   by `statx` through a directory handle beneath the root. So neither order,
//!   nor duplicates, nor lost cookies can make the index wrong for long.
//! - What was missed (a full queue, a directory that cannot be watched) is
//!   listed again, promptly or periodically, and shows in [`RootStatus`].
//! - A dead index never ends it: it keeps what it can, reports, tries again,
//!   and has everything compared once the index is back.
//! - Guardian's own files (by device and inode) and `.guardian` never get in.
//!
//! What it must not know: policies, jobs, usage marks, the ledger.
//!
//! One thread owns all roots and writes in bursts; the first scan of a root
//! walks and loads on threads of its own meanwhile.

mod growth;
mod handle;
mod handles;
mod hints;
mod links;
mod listing;
mod look;
mod marks;
mod root;
mod scan;
mod status;
mod tree;
mod worker;
mod writing;

pub use growth::RecentGrowth;
pub use handle::{Ingest, IngestHandle};
pub use status::{Confidence, RootState, RootStatus};

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{FileTimes, RootName};
use crate::store::RootKey;
use crate::sys::RootDir;
use crate::watch::{self, Kinds};

/// How the whole of ingest works.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How directories are watched.
    pub watch: watch::Settings,
    /// Pause between two full comparisons of index and disk (`reconcile_interval`).
    pub reconcile_interval: Duration,
    /// Pause between two listings of the directories that are not watched.
    pub unwatched_interval: Duration,
    /// Longest time until what was written survives a power cut.
    pub flush_interval: Duration,
    /// Threads of a first scan.
    pub scan_threads: NonZeroUsize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            watch: watch::Settings::default(),
            reconcile_interval: Duration::from_secs(24 * 3600),
            unwatched_interval: Duration::from_secs(60),
            flush_interval: Duration::from_secs(5),
            scan_threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// A root to be indexed.
#[derive(Debug, Clone)]
pub struct RootTask {
    /// Its key in the index.
    pub key: RootKey,
    /// Its name, for log lines.
    pub name: RootName,
    /// Its handle.
    pub dir: Arc<RootDir>,
    /// Guardian's own files and directories there, as (device, inode).
    pub exclusions: Arc<HashSet<(u64, u64)>>,
    /// Whether to watch it; `false` (network file systems, `watch = "none"`): list it periodically.
    pub watch: bool,
    /// What to hear of beside names and closing. `writes` also makes files
    /// that are open for writing be measured by [`IngestHandle::allocated_now`].
    pub kinds: Kinds,
    /// Whether marks on files give them an expiry. The first scan leaves them
    /// out; a comparison in the background right after it reads them.
    pub marks: bool,
    /// What a file's age counts from.
    pub age_by: FileTimes,
    /// Fingerprint of the settings that the rows depend on; rows of another one are built anew.
    pub fingerprint: u64,
}

/// What can fail in ingest as a whole.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The thread could not be started.
    #[error("failed to start thread {name}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Ingest has stopped.
    #[error("failed to reach the ingest thread: it has stopped")]
    Stopped,
    /// No such root is being indexed.
    #[error("failed to find root {} in ingest", .0.0)]
    UnknownRoot(RootKey),
    /// The index did not take or give what was needed.
    #[error("failed to bring the index up to date")]
    Index(#[source] crate::store::StoreError),
    /// The answer did not come in time.
    #[error("failed to bring the index up to date in time")]
    TimedOut,
}

#[cfg(test)]
mod tests;
