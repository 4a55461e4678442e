//! Jobs on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{JobId, JobRecord, JobState, RootName, TimeSpan, Timestamp};

/// Body of `PUT /v1/jobs/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobPut {
    /// Where it stands; absent: active for a new job, unchanged for a known one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// Longest pause between heartbeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::model::some_span")]
    pub ttl: Option<TimeSpan>,
    /// The process whose end ends the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub pid: Option<u32>,
    /// The one root it works in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RootName>,
}

/// A job as the socket shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobResource {
    /// Its name.
    pub id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// The failure was concluded, not reported.
    pub presumed: bool,
    /// The one root it works in; any, if `null`.
    pub root: Option<RootName>,
    /// Longest pause between heartbeats, in seconds.
    pub ttl: Option<TimeSpan>,
    /// The process that is followed.
    pub pid: Option<u32>,
    /// Who registered it.
    pub uid: u32,
    /// When it was first registered.
    pub created_at: Timestamp,
    /// Last sign of life.
    pub last_heartbeat: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When its results went, past their retention; `null` while it has them, or had none.
    #[serde(default)]
    pub results_removed_at: Option<Timestamp>,
    /// Files that name it; `null` when the index cannot tell.
    pub files_count: Option<u64>,
    /// Their allocated bytes.
    pub bytes: Option<u64>,
}

impl JobResource {
    /// A record with what the index counts for it.
    pub fn of(record: &JobRecord, files_count: Option<u64>, bytes: Option<u64>) -> Self {
        Self {
            id: record.id.clone(),
            state: record.state,
            presumed: record.presumed,
            root: record.root.clone(),
            ttl: record.ttl.map(TimeSpan),
            pid: record.process.as_ref().map(|process| process.pid),
            uid: record.uid,
            created_at: record.created_at,
            last_heartbeat: record.last_heartbeat,
            ended_at: record.ended_at,
            results_removed_at: record.results_removed_at,
            files_count,
            bytes,
        }
    }
}
