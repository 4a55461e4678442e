//! Health, roots, pause and trust.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Level, RootName, TimeSpan, Timestamp, WirePath};

/// Body of `GET /v1/health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// The worst of the roots, or critical for the agent's own reasons (`notes`).
    pub status: Level,
    /// Whether removals are paused.
    pub paused: bool,
    /// Each root.
    pub roots: Vec<RootHealth>,
    /// Why the agent itself is not healthy, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One root in [`Health`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RootHealth {
    /// Its name.
    pub name: RootName,
    /// Where it is.
    #[serde(flatten)]
    pub path: WirePath,
    /// By the raw marks, without hysteresis.
    pub status: Level,
    /// Percent used; absent when the volume cannot be asked.
    pub usage_percent: Option<f64>,
    /// Percent of inodes used; absent where there is no fixed number.
    pub inodes_percent: Option<f64>,
    /// What guardian can do with it.
    pub state: RootState,
    /// How open files are found.
    pub open_check: OpenCheck,
    /// Seconds until full at the present growth; absent when it does not grow.
    pub time_to_full_seconds: Option<u64>,
    /// Why it is not as it should be, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What guardian can do with a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RootState {
    /// Watched, its index complete.
    Ready,
    /// Its index is being built.
    Scanning,
    /// Not what it was (another file system, gone): left alone.
    Suspended,
    /// Known by periodic scans only.
    Unwatched,
}

impl RootState {
    /// The name as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Scanning => "scanning",
            Self::Suspended => "suspended",
            Self::Unwatched => "unwatched",
        }
    }
}

/// How open files are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenCheck {
    /// The kernel answers for each file.
    Lease,
    /// The processes' descriptors are read once per batch.
    Proc,
    /// Neither sees everything (overlay lower layers, network file systems).
    Partial,
}

/// One root of `GET /v1/roots`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RootResource {
    /// Its name.
    pub name: RootName,
    /// Where it is.
    #[serde(flatten)]
    pub path: WirePath,
    /// What guardian can do with it.
    pub state: RootState,
    /// Why it is suspended or unwatched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which names stand for jobs, as configured.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// When it was adopted; absent until then.
    #[serde(default)]
    pub adopted_at: Option<Timestamp>,
    /// Until when scheduled policies only plan for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption_grace_until: Option<Timestamp>,
}

/// Body of `POST /v1/pause`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// For how long; until `resume`, if absent.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<TimeSpan>,
    /// Emergencies pause as well.
    #[serde(default)]
    pub emergencies: bool,
}

/// Answer to `POST /v1/pause` and `/v1/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PauseState {
    /// Whether removals are paused.
    pub paused: bool,
    /// Until when; until `resume`, if absent.
    pub until: Option<Timestamp>,
    /// Whether emergencies pause as well.
    pub emergencies: bool,
}

/// Answer to `POST /v1/registry/trust` and `/v1/clock/trust`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrustState {
    /// Always true: it is trusted from now on.
    pub trusted: bool,
    /// Whether it was distrusted before.
    pub changed: bool,
}
