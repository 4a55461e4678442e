//! Holds, tracked files and sessions on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MAX_WORD, PathText, SweepResource};
use crate::model::{HoldId, HoldRecord, JobId, RootName, SessionId, Timestamp, TrackRecord, WirePath};

/// Body of `POST /v1/holds`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// Absolute paths of files and directories.
    #[schemars(length(min = 1))]
    pub paths: Vec<PathText>,
    /// Until when; until released, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why.
    #[schemars(length(max = MAX_WORD))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Body of `POST /v1/holds/release`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Absolute paths, as they were held.
    #[schemars(length(min = 1))]
    pub paths: Vec<PathText>,
}

/// Body of `POST /v1/files/track`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackRequest {
    /// Absolute paths of files.
    #[schemars(length(min = 1))]
    pub paths: Vec<PathText>,
    /// When they may go; absent: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The session that they are members of; absent: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// A job that they belong to, beside those from before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

/// A hold as the socket shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HoldResource {
    /// Its name.
    pub id: HoldId,
    /// What is held: an absolute path.
    #[serde(flatten)]
    pub path: WirePath,
    /// The root it lies in.
    pub root: RootName,
    /// Until when; until released, if `null`.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// Who holds it.
    pub uid: u32,
    /// Since when.
    pub created_at: Timestamp,
}

impl HoldResource {
    /// A record; `path` is its absolute path.
    pub fn of(record: &HoldRecord, path: WirePath) -> Self {
        Self {
            id: record.id.clone(),
            path,
            root: record.root.clone(),
            until: record.until,
            reason: record.reason.clone(),
            uid: record.uid,
            created_at: record.created_at,
        }
    }
}

/// A tracked file as the socket shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrackedFile {
    /// Its absolute path.
    #[serde(flatten)]
    pub path: WirePath,
    /// The root it lies in.
    pub root: RootName,
    /// When it may go.
    pub expires_at: Option<Timestamp>,
    /// The session that it is a member of.
    pub session: Option<SessionId>,
    /// Jobs that it belongs to, whatever its name says.
    pub jobs: Vec<JobId>,
}

impl TrackedFile {
    /// A record; `path` is its absolute path.
    pub fn of(record: &TrackRecord, path: WirePath) -> Self {
        Self {
            path,
            root: record.root.clone(),
            expires_at: record.expires_at,
            session: record.session.clone(),
            jobs: record.jobs.clone(),
        }
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It goes on.
    Active,
    /// It has ended.
    Ended,
}

/// A session as the socket shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionResource {
    /// Its name.
    pub id: SessionId,
    /// Where it stands.
    pub state: SessionState,
    /// Who began it.
    pub uid: u32,
    /// When it began.
    pub created_at: Timestamp,
    /// The last time that anybody touched it or gave it a file.
    pub last_activity: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Files that were given to it and are not known to be gone.
    pub files_count: u64,
}

/// Answer of `POST /v1/sessions/{id}/end`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionEnd {
    /// The session.
    #[serde(flatten)]
    pub session: SessionResource,
    /// The sweep that removes its files; `null` when nothing may be removed now:
    /// they stay due.
    pub sweep: Option<SweepResource>,
}
