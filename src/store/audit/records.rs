//! What the audit log records. Payloads are JSON: they outlive versions, and
//! can be read with nothing but this description.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

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

impl BatchHeader {
    /// The absolute path of what lies at `below` in its root.
    pub fn absolute(&self, below: &WirePath) -> Vec<u8> {
        let mut path = self.root_path.to_bytes().unwrap_or_default();
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend(below.to_bytes().unwrap_or_default());
        path
    }
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
    /// What stands in every path that is accepted, with a slash appended to it:
    /// parts of the log without it are not read.
    pub path_contains: Vec<Vec<u8>>,
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

    pub(super) fn wants_path(&self, header: &BatchHeader, below: &WirePath) -> bool {
        self.path.is_none_or(|accepts| accepts(&header.absolute(below)))
    }

    pub(super) fn wants_job(&self, reason: &Reason) -> bool {
        self.job.as_ref().is_none_or(|job| reason.job() == Some(job))
    }
}

/// A frame's payload as it is written. A batch too long for one frame has several.
#[derive(Debug, Serialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
pub(super) enum Frame<'a> {
    Intent { batch: u64, first: u32, header: &'a BatchHeader, entries: &'a [AuditEntry] },
    Outcome { batch: u64, not_removed: &'a [NotRemoved] },
    Change { change: &'a AuditedChange },
}

/// How the payload of an outcome begins: most frames needn't be read to know that they are none.
pub(super) const OUTCOME: &[u8] = br#"{"frame":"outcome""#;

/// Which of them a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FrameKind {
    Intent,
    Outcome,
    Change,
}

/// A frame's payload as it is read: its rows stay text until one is wanted.
#[derive(Debug, Deserialize)]
pub(super) struct ReadFrame<'a> {
    pub(super) frame: FrameKind,
    #[serde(default)]
    pub(super) batch: u64,
    /// The place of the first row in the whole batch.
    #[serde(default)]
    pub(super) first: u32,
    #[serde(default)]
    pub(super) header: Option<BatchHeader>,
    #[serde(borrow, default)]
    pub(super) entries: Vec<&'a RawValue>,
    #[serde(default)]
    pub(super) not_removed: Vec<NotRemoved>,
    #[serde(default)]
    pub(super) change: Option<AuditedChange>,
}

impl ReadFrame<'_> {
    /// The batch that it is the outcome of, and what stayed of it.
    pub(super) fn outcome(&self) -> Option<(u64, &[NotRemoved])> {
        (self.frame == FrameKind::Outcome).then_some((self.batch, &self.not_removed))
    }

    /// When it happened; an outcome has no time of its own.
    pub(super) fn time(&self) -> Option<Timestamp> {
        let changed = self.change.as_ref().map(|change| change.time);
        self.header.as_ref().map(|header| header.time).or(changed)
    }
}

/// The part of an [`AuditEntry`] that is looked for.
#[derive(Debug, Deserialize)]
pub(super) struct RowFacts {
    path: String,
    #[serde(default)]
    path_encoding: Option<String>,
    pub(super) reason: Reason,
}

impl RowFacts {
    /// Below the root.
    pub(super) fn path(&self) -> WirePath {
        WirePath { path: self.path.clone(), path_encoding: self.path_encoding.clone() }
    }
}
