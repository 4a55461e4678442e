//! Figures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{RootName, Timestamp, WirePath};

/// Body of `GET /v1/stats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// Each root.
    pub roots: Vec<RootStats>,
    /// The agent itself.
    pub agent: AgentStats,
}

/// Figures of one root. What is not counted yet is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RootStats {
    /// Its name.
    pub name: RootName,
    /// Percent used.
    pub storage_usage_percent: Option<f64>,
    /// The high-water mark, in percent.
    pub emergency_threshold: f64,
    /// Percent of inodes used.
    pub inodes_usage_percent: Option<f64>,
    /// How fast the volume fills, lasting, in bytes a second; negative while it
    /// empties, null while unknown.
    #[serde(default)]
    pub growth_bytes_per_second: Option<f64>,
    /// Seconds until full at this growth; null while that is unknown or it does not fill.
    #[serde(default)]
    pub time_to_full_seconds: Option<u64>,
    /// Files in the index.
    pub temp_files_count: Option<u64>,
    /// Their allocated bytes, each inode once.
    pub temp_files_size_bytes: Option<u64>,
    /// Files with an expiry or membership given by a client.
    pub tracked_files_count: Option<u64>,
    /// Pending and active jobs that may work in this root.
    pub active_jobs_count: Option<u64>,
    /// Failed, cancelled and error jobs.
    pub failed_jobs_count: Option<u64>,
    /// Files that the policy `orphans` would take now.
    pub orphaned_files_count: Option<u64>,
    /// Their allocated bytes.
    pub orphaned_files_size_bytes: Option<u64>,
    /// Files past their expiry.
    pub expired_files_count: Option<u64>,
    /// Results past `retain.results`.
    pub results_past_retention_count: Option<u64>,
    /// Soft-deleted files.
    pub trash_files_count: Option<u64>,
    /// Their allocated bytes.
    pub trash_size_bytes: Option<u64>,
    /// Deferred deletions waiting.
    pub deferred_pending_count: Option<u64>,
    /// Usage at or past the high-water mark.
    pub cleanup_needed: bool,
    /// The index of this root.
    pub index: IndexStats,
    /// Who holds most and who grows most; null before they were counted.
    #[serde(default)]
    pub top: Option<TopHolders>,
    /// When what was counted earlier was counted; absent when all is of now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// The index of one root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IndexStats {
    /// Entries.
    pub entries: u64,
    /// As in health: `ready`, `scanning`, `unwatched`, `suspended`, or `unavailable`.
    pub state: String,
    /// How far it can be believed.
    pub confidence: IndexConfidence,
}

/// How far an index can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IndexConfidence {
    /// Every change since a full comparison arrived.
    Complete,
    /// Parts await a rescan.
    Stale,
    /// The first scan is not done.
    Partial,
    /// There is no usable index.
    None,
}

/// The largest holders of a root.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopHolders {
    /// Jobs.
    pub jobs: TopList,
    /// Owners.
    pub users: TopList,
    /// Directories.
    pub directories: TopList,
}

/// The same holders in two orders.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopList {
    /// Most bytes first.
    pub by_bytes: Vec<Holder>,
    /// Fastest growth first, without those that don't grow; absent before two
    /// counts are far enough apart to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_growth: Option<Vec<Holder>>,
}

/// Who holds how much.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// A job's name, a uid, or a directory (percent-encoded when `path_encoding` says so).
    #[serde(flatten)]
    pub name: HolderName,
    /// Allocated bytes.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// Bytes per hour; absent before there are two looks.
    pub growth_bytes_per_hour: Option<i64>,
}

/// What a [`Holder`] is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HolderName {
    /// A job.
    Job {
        /// Its name.
        job: String,
    },
    /// An owner.
    User {
        /// Its uid.
        uid: u32,
    },
    /// A directory.
    Directory(WirePath),
}

/// Figures of the agent itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentStats {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Resident memory.
    pub memory_bytes: Option<u64>,
    /// Sweeps waiting.
    pub sweeps_queued: u64,
    /// Sweeps at work.
    pub sweeps_running: u64,
    /// Whether removals are paused.
    pub paused: bool,
    /// Whether nothing is ever removed (`dry_run`).
    pub dry_run: bool,
}
