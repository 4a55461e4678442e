//! Events of `GET /v1/events`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Progress, RootState, SweepState};
use crate::model::{
    AlertKind, AlertState, Grown, Level, Policy, Report, Resource, RootName, RunId, Timestamp, Trigger,
};

/// Something happened. Goes out as `event: NAME` and `data: JSON`, the name in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Somebody should know: what the log says as warning or error.
    Alert {
        /// When.
        time: Timestamp,
        /// What it is about.
        kind: AlertKind,
        /// What has become of it.
        state: AlertState,
        /// How bad; `healthy` when it has ended.
        level: Level,
        /// Where; absent for the agent as a whole.
        root: Option<RootName>,
        /// In words.
        message: String,
        /// Who filled the root in the last minutes, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grown: Option<Grown>,
    },
    /// The level of a root's volume was crossed, or lasts for another hour.
    Level {
        /// When.
        time: Timestamp,
        /// Where.
        root: RootName,
        /// Of what.
        resource: Resource,
        /// The level now, with hysteresis.
        level: Level,
        /// Whether it was reached from below.
        rose: bool,
        /// Whether it was the same an hour ago.
        lasts: bool,
        /// Percent used.
        usage_percent: f64,
    },
    /// A sweep over one volume began, goes on, or ended.
    Sweep {
        /// When.
        time: Timestamp,
        /// The sweep, if somebody asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sweep: Option<RunId>,
        /// What was asked for.
        policy: Policy,
        /// What set it off.
        trigger: Trigger,
        /// Over which roots.
        roots: Vec<RootName>,
        /// Running, or how it ended.
        state: SweepState,
        /// How far it is.
        progress: Progress,
        /// At its end, of each root, without lists of files and errors.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reports: Vec<Report>,
    },
    /// What guardian can do with a root has changed.
    Root {
        /// When.
        time: Timestamp,
        /// Which.
        root: RootName,
        /// From now on.
        state: RootState,
        /// Why, if it is not as it should be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Events are gone that the reader did not hear. As the last event: it was
    /// too slow, and the stream ends here; it may come back with `Last-Event-ID`.
    /// As the first: it came back too late.
    Lost {
        /// How many; `null` where that can't be known, as after a restart of the agent.
        count: Option<u64>,
    },
}

impl Event {
    /// The name as in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Alert { .. } => "alert",
            Self::Level { .. } => "level",
            Self::Sweep { .. } => "sweep",
            Self::Root { .. } => "root",
            Self::Lost { .. } => "lost",
        }
    }
}
