//! What ingest says of a root.

use crate::model::{RelPath, Timestamp};
use crate::watch::Limit;

/// Whether a root's rows can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RootState {
    /// The first scan is going on.
    #[default]
    Scanning,
    /// Indexed; changes are followed.
    Ready,
    /// Indexed; nothing or not everything is watched, the rest is listed periodically.
    Unwatched,
}

/// How far they can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confidence {
    /// Incomplete: being scanned, or the index does not take what it is given.
    #[default]
    Incomplete,
    /// Usable, and being compared with the disk (after a restart, or periodically).
    Reconciling,
    /// Everything known of was applied.
    Exact,
}

/// How indexing a root goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootStatus {
    /// Whether the rows can be used.
    pub state: RootState,
    /// How far.
    pub confidence: Confidence,
    /// Names of files in the index.
    pub entries: u64,
    /// Directories known.
    pub directories: u64,
    /// Directories whose changes are reported.
    pub watched: u64,
    /// Directories that are listed periodically because they cannot be watched.
    pub unwatched: u64,
    /// Some of them, for the message.
    pub unwatched_examples: Vec<RelPath>,
    /// The kernel's limit that was reached; [`Limit::help`] says what to do.
    pub limit: Option<Limit>,
    /// Directories of which something was missed, waiting to be listed again.
    pub stale: u64,
    /// Changes that were reported, since the start.
    pub events: u64,
    /// How often directories were reported as lost.
    pub overflows: u64,
    /// Entries that comparisons found different, since the start.
    pub drift: u64,
    /// When the last comparison of everything ended.
    pub last_reconcile: Option<Timestamp>,
    /// Why the index does not take changes at the moment.
    pub trouble: Option<String>,
}
