//! What somebody should know, by names that stay.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an alert is about. The names are for programs and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A mark of bytes was passed.
    Usage,
    /// A mark of inodes was passed.
    Inodes,
    /// A volume is expected to be full soon.
    Forecast,
    /// A run ended short of its target.
    Shortfall,
    /// Emergencies free next to nothing.
    Futile,
    /// A root is not where or what it was.
    RootSuspended,
    /// A limit of the kernel keeps a part of a root from being watched.
    RootUnwatched,
    /// The private directory of a root can't be used: no trash, no deferral.
    PrivateDirectory,
    /// A volume does not answer.
    VolumeUnreadable,
    /// Most removals of a policy fail.
    PolicyFailing,
    /// A scheduled plan would take more than it may, and waits for a person.
    PlanWaits,
    /// The clock can't be trusted with ages.
    Clock,
    /// The ledger was lost, and with it what jobs there are.
    LedgerLost,
}

impl AlertKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Usage,
        Self::Inodes,
        Self::Forecast,
        Self::Shortfall,
        Self::Futile,
        Self::RootSuspended,
        Self::RootUnwatched,
        Self::PrivateDirectory,
        Self::VolumeUnreadable,
        Self::PolicyFailing,
        Self::PlanWaits,
        Self::Clock,
        Self::LedgerLost,
    ];

    /// The name as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Inodes => "inodes",
            Self::Forecast => "forecast",
            Self::Shortfall => "shortfall",
            Self::Futile => "futile",
            Self::RootSuspended => "root_suspended",
            Self::RootUnwatched => "root_unwatched",
            Self::PrivateDirectory => "private_directory",
            Self::VolumeUnreadable => "volume_unreadable",
            Self::PolicyFailing => "policy_failing",
            Self::PlanWaits => "plan_waits",
            Self::Clock => "clock",
            Self::LedgerLost => "ledger_lost",
        }
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It begins, or became worse.
    Raised,
    /// It is still so, an hour after it was last told.
    Lasts,
    /// It became less bad.
    Eased,
    /// It is over.
    Ended,
}

impl AlertState {
    /// The name as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Lasts => "lasts",
            Self::Eased => "eased",
            Self::Ended => "ended",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_json_and_everywhere() {
        for kind in AlertKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for state in [AlertState::Raised, AlertState::Lasts, AlertState::Eased, AlertState::Ended] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
