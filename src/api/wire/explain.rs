//! What each policy says about one path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FilePath;
use crate::model::{EntryId, JobId, JobState, RootName, Timestamp, WirePath};

/// Body of `GET /v1/explain?path=`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Absolute path.
    #[serde(flatten)]
    pub path: WirePath,
    /// The root it lies beneath; absent when guardian guards none above it.
    pub root: Option<RootName>,
    /// Whether it exists now.
    pub exists: bool,
    /// `regular`, `symlink`, `directory` or `special`.
    #[serde(default)]
    pub kind: Option<String>,
    /// Length in bytes.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// Bytes on disk.
    #[serde(default)]
    pub allocated_bytes: Option<u64>,
    /// Owner.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Its age, counted from the newest of `age_by`.
    #[serde(default)]
    pub age_seconds: Option<u64>,
    /// Jobs that its path may name, the one it belongs to first.
    pub jobs: Vec<JobReading>,
    /// What would happen to it, in one sentence.
    pub summary: String,
    /// What lay here, or in what lay above it, was given up and is not gone yet;
    /// the newest first, ten of them at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUp>,
    /// What each policy says.
    pub policies: Vec<PolicyVerdict>,
    /// What else speaks for or against it, and where index and disk differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A job that a path may name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobReading {
    /// Its name.
    pub id: JobId,
    /// Where it stands; `null` when the registry does not know it.
    pub state: Option<JobState>,
}

/// A deferred deletion, or something in the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GivenUp {
    /// Its entry.
    pub id: EntryId,
    /// Where it is on record.
    pub list: GivenUpList,
    /// Where it lay: the path asked about, or that of a tree above it.
    #[serde(flatten)]
    pub path: FilePath,
    /// Who gave it up.
    pub uid: u32,
    /// How the client called itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When.
    pub since: Timestamp,
    /// Tries so far; absent in the trash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Why the last one was in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is due outside an emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Whether it left its place; `null` while that is under way.
    pub moved: Option<bool>,
    /// Names of files that go with it.
    pub files: u64,
    /// Their allocated bytes.
    pub size_bytes: u64,
}

/// Where something that was given up is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GivenUpList {
    /// In the queue of deferred deletions.
    Queue,
    /// In the trash.
    Trash,
}

/// What one policy says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyVerdict {
    /// The policy, or the phase of an emergency.
    pub policy: String,
    /// Whether it would take the file now.
    pub verdict: Verdict,
    /// The rule that decided (`orphan_unknown_job`, `active_job`, …).
    pub rule: String,
    /// Why, with the numbers that decided it.
    pub reason: String,
    /// When it would become due, if nothing changes; absent when never or already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}

/// Whether a policy would take a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It would go.
    Remove,
    /// It stays.
    Keep,
}
