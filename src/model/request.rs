//! A sweep as it is asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ByteSize, ChunkId, JobId, PlanId, Policy, RootName, SessionId, TimeSpan};

/// Bounds on what a sweep may take; all of them must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Replaces the policy's age (never `registry_grace`).
    pub older_than: Option<TimeSpan>,
    /// Free this many bytes more.
    pub free: Option<ByteSize>,
    /// Stop at usage at or below this percentage.
    pub until_percent: Option<f64>,
    /// At most this many files.
    pub max_files: Option<u64>,
    /// Files in one batch.
    pub batch_size: Option<u64>,
    /// Only this job's files.
    pub job: Option<JobId>,
    /// Only this session's files.
    pub session: Option<SessionId>,
}

/// A sweep as the socket and the command line take it (body of `POST /v1/sweeps`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepRequest {
    /// What to do.
    #[serde(default = "scheduled")]
    pub policy: Policy,
    /// Only this root; all, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RootName>,
    /// Only this job's files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Only this completed chunk's files; with the policy `chunks` and a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<ChunkId>,
    /// Only this session's files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Replaces the policy's age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<TimeSpan>,
    /// Free this many bytes more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<ByteSize>,
    /// Stop at usage at or below this percentage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub until_percent: Option<f64>,
    /// At most this many files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_files: Option<u64>,
    /// Files in one batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub batch_size: Option<u64>,
    /// Tries of a deferred deletion, instead of the root's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Plan and report, remove nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Put every removal into the report.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub list: bool,
    /// Apply this kept plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
}

const fn scheduled() -> Policy {
    Policy::Scheduled
}

impl SweepRequest {
    /// A request for `policy` on all roots, without further bounds.
    pub const fn of(policy: Policy) -> Self {
        Self {
            policy,
            root: None,
            job: None,
            chunk: None,
            session: None,
            older_than: None,
            free: None,
            until_percent: None,
            max_files: None,
            batch_size: None,
            max_attempts: None,
            dry_run: false,
            list: false,
            plan: None,
        }
    }

    /// The bounds alone.
    pub fn selection(&self) -> Selection {
        Selection {
            older_than: self.older_than,
            free: self.free,
            until_percent: self.until_percent,
            max_files: self.max_files,
            batch_size: self.batch_size,
            job: self.job.clone(),
            session: self.session.clone(),
        }
    }
}
