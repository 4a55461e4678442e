//! What is on record: files, removals, changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{JobId, Phase, Policy, Requester, RootName, RunId, Timestamp, WirePath};

/// One file of `GET /v1/files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileEntry {
    /// Absolute path.
    #[serde(flatten)]
    pub path: WirePath,
    /// Inode number.
    pub inode: u64,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Bytes on disk.
    pub allocated_bytes: u64,
    /// Last change of content.
    pub mtime: Timestamp,
    /// Jobs that its path may name.
    pub jobs: Vec<JobId>,
    /// Its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RootName>,
}

/// One line of `GET /v1/audit`: a removal, or a change that a peer made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// When.
    pub time: Timestamp,
    /// `remove` for a removal, else the change (`job_put`, `pause`, …).
    pub action: String,
    /// The run that removed it.
    #[serde(default)]
    pub run: Option<RunId>,
    /// The root.
    #[serde(default)]
    pub root: Option<RootName>,
    /// Absolute path.
    #[serde(flatten)]
    pub path: Option<WirePath>,
    /// What was asked for.
    #[serde(default)]
    pub policy: Option<Policy>,
    /// The part of the run.
    #[serde(default)]
    pub phase: Option<Phase>,
    /// Why, with the numbers that decided it.
    pub reason: String,
    /// The job it was removed for, or that was changed.
    #[serde(default)]
    pub job: Option<JobId>,
    /// Inode number.
    #[serde(default)]
    pub inode: Option<u64>,
    /// Length in bytes.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// Allocated bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// `intended` is recorded before a batch, the outcome after it.
    #[serde(default)]
    pub outcome: Option<String>,
    /// Who asked.
    #[serde(default)]
    pub requested_by: Option<Requester>,
}

/// One line of `GET /v1/requests`: what a peer asked for, and was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestEntry {
    /// Its number; later ones have higher ones.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// What was done (`job_put`, `hold`, `sweep`, `pause`, …), as in `GET /v1/audit`.
    pub action: String,
    /// Who asked, as the kernel vouched for it.
    pub requested_by: Requester,
    /// The request; of long lists of paths the beginning and the `count`.
    pub request: serde_json::Value,
}

/// Which requests are asked for (`?since=TIME&uid=UID&action=ACTION`); all given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// At or after this time.
    pub since: Option<Timestamp>,
    /// Of this user.
    pub uid: Option<u32>,
    /// Of this kind.
    pub action: Option<String>,
}

/// Which runs are asked for (`?since=TIME&root=NAME&policy=POLICY`); all given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Begun at or after this time.
    pub since: Option<Timestamp>,
    /// Over this root.
    pub root: Option<RootName>,
    /// Of this policy.
    pub policy: Option<Policy>,
}

/// Which removals are asked for (`?path=GLOB&job=ID&run=ID&since=TIME`); all given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// A glob over the absolute path, as bytes.
    pub path: Option<Vec<u8>>,
    /// A job.
    pub job: Option<JobId>,
    /// A run.
    pub run: Option<RunId>,
    /// At or after this time.
    pub since: Option<Timestamp>,
}
