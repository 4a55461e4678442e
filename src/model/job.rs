//! Jobs as the ledger records them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{JobId, RootName, Timestamp};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Announced, not yet begun.
    Pending,
    /// At work.
    Active,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Called off.
    Cancelled,
    /// Ended by an error of its surroundings.
    Error,
}

impl JobState {
    /// Whether the job's files must live.
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Pending | Self::Active)
    }

    /// Whether the job ended without completing.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled | Self::Error)
    }

    /// The name as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
        }
    }
}

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process number.
    pub pid: u32,
    /// Start in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
    /// The boot it belongs to (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
}

/// Whose files a job protects and cleans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// Files of any owner: an administrator registered the job.
    AnyOwner,
    /// Only files of this uid.
    Owner(u32),
}

impl Covers {
    /// Whether a file of `uid` is covered.
    pub const fn includes(self, uid: u32) -> bool {
        match self {
            Self::AnyOwner => true,
            Self::Owner(owner) => owner == uid,
        }
    }
}

/// A registered job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its name.
    pub id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// The failure was concluded (heartbeats stopped, process gone), not reported.
    #[serde(default)]
    pub presumed: bool,
    /// The one root it works in; any, if `None`.
    pub root: Option<RootName>,
    /// Longest pause between heartbeats; no deadline if `None`.
    pub ttl: Option<Duration>,
    /// The process to follow.
    pub process: Option<ProcessId>,
    /// Who registered it.
    pub uid: u32,
    /// Whose files it covers.
    pub covers: Covers,
    /// When it was first registered.
    pub created_at: Timestamp,
    /// Last sign of life on record (heartbeats themselves live in memory).
    pub last_heartbeat: Option<Timestamp>,
    /// When it ended, or for a presumed failure when it was presumed.
    pub ended_at: Option<Timestamp>,
    /// When its results were past their retention and went; `None`: they did not.
    #[serde(default)]
    pub results_removed_at: Option<Timestamp>,
}

impl JobRecord {
    /// The last moment at which this job is known to have lived.
    pub fn last_sign_of_life(&self) -> Timestamp {
        self.last_heartbeat.unwrap_or(self.created_at).max(self.created_at)
    }
}
