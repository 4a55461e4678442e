//! Deferred deletions and trash on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MAX_WORD, PathText};
use crate::model::{
    EntryId, Policy, QueueEntry, QueueStats, RootName, SweepRequest, TimeSpan, Timestamp, TrashEntry,
    WirePath,
};

/// Body of `POST /v1/deletions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletionRequest {
    /// Absolute paths of files and directories.
    #[schemars(length(min = 1))]
    pub paths: Vec<PathText>,
    /// How the client calls itself.
    #[schemars(length(max = MAX_WORD))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// Body of `POST /v1/trash`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrashRequest {
    /// Absolute paths of files and directories.
    #[schemars(length(min = 1))]
    pub paths: Vec<PathText>,
}

/// Body of `POST /v1/deletions/run`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// Entries in a batch, from 1 to 1000; 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub batch_size: Option<u64>,
    /// Tries before an entry becomes trash; by the root's limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_attempts: Option<u32>,
}

impl From<RunRequest> for SweepRequest {
    fn from(request: RunRequest) -> Self {
        Self {
            batch_size: request.batch_size,
            max_attempts: request.max_attempts,
            // Whoever asks does not wait for the pauses between tries, nor end early.
            older_than: Some(TimeSpan(std::time::Duration::ZERO)),
            max_files: Some(u64::MAX),
            ..Self::of(Policy::Deferred)
        }
    }
}

/// Body of `POST /v1/trash/{id}/restore`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// An absolute path in the same root; where it lay, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<PathText>,
}

/// What came of a request to give paths up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Given {
    /// Those on record, in the order of the request.
    pub items: Vec<GivenPath>,
    /// Those that stay, and why.
    pub refused: Vec<RefusedPath>,
}

/// A path that is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GivenPath {
    /// Its entry.
    pub id: EntryId,
    /// The path.
    #[serde(flatten)]
    pub path: FilePath,
    /// Whether it left its place; `null` while that is under way.
    pub moved: Option<bool>,
}

/// A path that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedPath {
    /// The path.
    #[serde(flatten)]
    pub path: FilePath,
    /// Why.
    pub reason: String,
}

/// A path under the name `file_path`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FilePath {
    /// The path, or its percent-encoded form.
    pub file_path: String,
    /// `"percent"` when it is percent-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["percent", null]))]
    pub path_encoding: Option<String>,
}

impl From<WirePath> for FilePath {
    fn from(path: WirePath) -> Self {
        Self { file_path: path.path, path_encoding: path.path_encoding }
    }
}

/// One deferred deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletionResource {
    /// Its name.
    pub id: EntryId,
    /// Where it lay.
    #[serde(flatten)]
    pub path: FilePath,
    /// The root.
    pub root: RootName,
    /// How the client called itself.
    pub client_id: Option<String>,
    /// Who asked.
    pub uid: u32,
    /// When.
    pub queued_at: Timestamp,
    /// Tries so far.
    pub attempts: u32,
    /// Why the last was in vain.
    pub last_error: Option<String>,
    /// When it is due.
    pub next_try_at: Timestamp,
    /// Whether it left its place; `null` while that is under way.
    pub moved: Option<bool>,
    /// Names of files that go.
    pub files: u64,
    /// Allocated bytes that should come free.
    pub bytes: u64,
}

impl DeletionResource {
    /// An entry under the absolute path at which it lay.
    pub fn of(entry: &QueueEntry, path: WirePath) -> Self {
        Self {
            id: entry.kept.id.clone(),
            path: path.into(),
            root: entry.kept.root.clone(),
            client_id: entry.client_id.clone(),
            uid: entry.kept.by.uid,
            queued_at: entry.queued_at,
            attempts: entry.attempts,
            last_error: entry.last_error.clone(),
            next_try_at: entry.next_try_at,
            moved: entry.moved(),
            files: entry.kept.files,
            bytes: entry.kept.bytes,
        }
    }
}

/// Body of `GET /v1/deletions/stats`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletionStats {
    /// Entries.
    pub total_pending: u64,
    /// When the oldest was asked for.
    pub oldest_queued: Option<Timestamp>,
    /// When the newest was asked for.
    pub newest_queued: Option<Timestamp>,
    /// How many had so many tries.
    pub by_attempts: Vec<AttemptCount>,
}

/// How many entries had so many tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptCount {
    /// Tries.
    pub attempts: u32,
    /// Entries.
    pub count: u64,
}

impl From<QueueStats> for DeletionStats {
    fn from(stats: QueueStats) -> Self {
        Self {
            total_pending: stats.total_pending,
            oldest_queued: stats.oldest_queued,
            newest_queued: stats.newest_queued,
            by_attempts: stats
                .by_attempts
                .into_iter()
                .map(|(attempts, count)| AttemptCount { attempts, count })
                .collect(),
        }
    }
}

/// One soft-deleted file or tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrashResource {
    /// Its name.
    pub id: EntryId,
    /// Where it lay.
    #[serde(flatten)]
    pub path: WirePath,
    /// The root.
    pub root: RootName,
    /// Who deleted it.
    pub uid: u32,
    /// Whose it is.
    pub owner: u32,
    /// When.
    pub deleted_at: Timestamp,
    /// When its retention ends; `null` where the root is not configured any more.
    pub expires_at: Option<Timestamp>,
    /// Names of files.
    pub files: u64,
    /// Their allocated bytes.
    pub size_bytes: u64,
    /// Whether it left its place; `null` while that is under way.
    pub moved: Option<bool>,
    /// Why it could not be removed, where it came from the queue.
    pub failed: Option<String>,
}

impl TrashResource {
    /// An entry under the absolute path at which it lay.
    pub fn of(entry: &TrashEntry, path: WirePath, expires_at: Option<Timestamp>) -> Self {
        Self {
            id: entry.kept.id.clone(),
            path,
            root: entry.kept.root.clone(),
            uid: entry.kept.by.uid,
            owner: entry.kept.facts.uid,
            deleted_at: entry.deleted_at,
            expires_at,
            files: entry.kept.files,
            size_bytes: entry.kept.bytes,
            moved: entry.moved(),
            failed: entry.failed.clone(),
        }
    }
}

/// What came of putting something back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Returned {
    /// Its entry.
    pub id: EntryId,
    /// Where it is now, or where it lay.
    #[serde(flatten)]
    pub path: FilePath,
    /// Where it is now.
    pub now: Whereabouts,
    /// Why it is not where it lay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where something is that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Whereabouts {
    /// Back with its owner.
    Restored,
    /// In the trash: its name was taken.
    Trash,
    /// Still in the queue: it could not be put anywhere.
    Queue,
    /// Gone: it had been removed already.
    Gone,
}
