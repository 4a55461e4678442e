//! What the audit log records. Payloads are JSON: they outlive versions, and
//! can be read with nothing but this description.

use serde::{Deserialize, Serialize};

use crate::model::{JobId, Phase, Policy, Reason, RootName, RunId, Timestamp, WirePath};

/// What all entries of a batch have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchHeader {
    /// The run of the root.
    pub run: RunId,
    /// The run of the volume.
    pub volume_run: RunId,
    /// Name of the root.
    pub root: RootName,
    /// Absolute path of the root.
    pub root_path: WirePath,
    /// What was asked for.
    pub policy: Policy,
    /// Which phase removes.
    pub phase: Phase,
    /// When.
    pub time: Timestamp,
}

/// One file about to go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its path below the root.
    #[serde(flatten)]
    pub path: WirePath,
    /// The rule that takes it, with its facts.
    pub reason: Reason,
    /// Inode number.
    pub ino: u64,
    /// Length in bytes.
    pub size: u64,
    /// Bytes on disk.
    pub allocated: u64,
    /// Owner.
    pub uid: u32,
    /// Last change of content.
    pub mtime: Timestamp,
}

/// A file of a batch that stayed: its position in the batch, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRemoved(pub u32, pub String);

/// A change that somebody asked the agent for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditedChange {
    /// When.
    pub time: Timestamp,
    /// User of the peer.
    pub uid: u32,
    /// Group of the peer.
    pub gid: u32,
    /// Process of the peer.
    pub pid: u32,
    /// What was changed.
    pub what: serde_json::Value,
}

/// What became of a file that was about to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was removed.
    Removed,
    /// It stayed, for this reason.
    NotRemoved(String),
    /// The process ended before it said so.
    Unknown,
}

/// One answer to a query.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all records are removals")]
pub enum AuditRecord {
    /// A file that was to be removed.
    Removal {
        /// Number of its batch.
        batch: u64,
        /// What the batch has in common.
        header: BatchHeader,
        /// The file.
        entry: AuditEntry,
        /// What became of it.
        outcome: Outcome,
    },
    /// A change that was asked for.
    Change(AuditedChange),
}

/// Accepts or refuses an absolute path.
pub type AcceptsPath<'a> = &'a dyn Fn(&[u8]) -> bool;

/// Which records are wanted; all conditions must hold. Changes are given only
/// when neither path, job nor run is asked for.
#[derive(Default)]
pub struct AuditFilter<'a> {
    /// Accepts absolute paths.
    pub path: Option<AcceptsPath<'a>>,
    /// Removed for this job.
    pub job: Option<JobId>,
    /// Removed by this run (of a root or of a volume).
    pub run: Option<RunId>,
    /// Not before this time.
    pub since: Option<Timestamp>,
}

impl AuditFilter<'_> {
    pub(super) fn wants_change(&self, change: &AuditedChange) -> bool {
        self.path.is_none()
            && self.job.is_none()
            && self.run.is_none()
            && self.since.is_none_or(|since| change.time >= since)
    }

    pub(super) fn wants_batch(&self, header: &BatchHeader) -> bool {
        self.run.as_ref().is_none_or(|run| header.run == *run || header.volume_run == *run)
            && self.since.is_none_or(|since| header.time >= since)
    }

    pub(super) fn wants_entry(&self, header: &BatchHeader, entry: &AuditEntry) -> bool {
        self.job.as_ref().is_none_or(|job| entry.reason.job() == Some(job))
            && self.path.is_none_or(|accepts| {
                let mut path = header.root_path.to_bytes().unwrap_or_default();
                path.push(b'/');
                path.extend(entry.path.to_bytes().unwrap_or_default());
                accepts(&path)
            })
    }
}

/// A frame's payload as it is read. A batch too long for one frame has several.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub(super) enum Frame {
    Intent { batch: u64, first: u32, header: BatchHeader, entries: Vec<AuditEntry> },
    Outcome { batch: u64, not_removed: Vec<NotRemoved> },
    Change { change: AuditedChange },
}
