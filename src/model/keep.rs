//! Why a file stays.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why the plan leaves a file alone (decided from facts, before anything is opened).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// A reading of its path names a pending or active job.
    ActiveJob,
    /// Held.
    Held,
    /// Matches `protect`, or is guardian's own.
    Protected,
    /// Younger than the limit of the policy.
    TooYoung,
    /// Names a job that the registry does not know, within `registry_grace`.
    RegistryGrace,
    /// Names a job, and the ledger that knew the jobs is lost (`guardian registry trust`).
    RegistryLost,
    /// Belongs to a job that ended, within its retention.
    JobRetention,
    /// Matches `results`.
    Result,
    /// Its expiry is still to come.
    Unexpired,
    /// Its session goes on.
    SessionAlive,
    /// Not what this policy is about.
    NotSubject,
    /// A FIFO, socket or device.
    Special,
    /// Has links outside the plan: removing it would free nothing.
    Linked,
    /// Occupies no bytes, where bytes are what is needed.
    FreesNothing,
    /// The clock cannot be trusted with ages now.
    ClockUncertain,
    /// The index is incomplete and this phase needs all of it.
    IndexIncomplete,
    /// Something refers to it (a later expiry, a session, an entry of queue or trash).
    Referred,
}

impl Keep {
    /// The key in `kept` of a plan.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ActiveJob => "active_job",
            Self::Held => "held",
            Self::Protected => "protected",
            Self::TooYoung => "too_young",
            Self::RegistryGrace => "registry_grace",
            Self::RegistryLost => "registry_lost",
            Self::JobRetention => "job_retention",
            Self::Result => "result",
            Self::Unexpired => "unexpired",
            Self::SessionAlive => "session_alive",
            Self::NotSubject => "not_subject",
            Self::Special => "special",
            Self::Linked => "linked",
            Self::FreesNothing => "frees_nothing",
            Self::ClockUncertain => "clock_uncertain",
            Self::IndexIncomplete => "index_incomplete",
            Self::Referred => "referred",
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a planned file was not removed after all (found when it was looked at again).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// Open or mapped by somebody.
    InUse,
    /// Its job is pending or active now.
    ActiveJob,
    /// Held now, or marked `user.guardian.keep`.
    Held,
    /// Protected now, or guardian's own.
    Protected,
    /// Not the file that was planned any more.
    Changed,
    /// Gone already.
    Vanished,
    /// A link outside the plan keeps its space.
    Linked,
}

impl Skip {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 7] = [
        Self::InUse,
        Self::ActiveJob,
        Self::Held,
        Self::Protected,
        Self::Changed,
        Self::Vanished,
        Self::Linked,
    ];

    /// The key in `skipped` of a report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::ActiveJob => "active_job",
            Self::Held => "held",
            Self::Protected => "protected",
            Self::Changed => "changed",
            Self::Vanished => "vanished",
            Self::Linked => "linked",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
