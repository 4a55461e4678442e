//! What can be asked for, what a run does in which order, and what set it off.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name as in JSON and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Finds one by its name.
            pub fn from_name(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words!(
    /// A policy: what `guardian sweep POLICY` asks for.
    Policy {
        /// What is due: expirations, sessions, failed jobs, orphans, results, trash, deferred, maximum age.
        Scheduled = "scheduled",
        /// Everything in emergency order, down to the low mark.
        Emergency = "emergency",
        /// Files that belong to nobody.
        Orphans = "orphans",
        /// Files of failed, cancelled and error jobs.
        FailedJobs = "failed-jobs",
        /// Files past their expiry.
        Expired = "expired",
        /// Old results.
        Results = "results",
        /// One session's files.
        Session = "session",
        /// The oldest eligible files.
        Oldest = "oldest",
        /// Deferred deletions.
        Deferred = "deferred",
        /// Soft-deleted files past their retention.
        Trash = "trash",
        /// Files of completed chunks.
        Chunks = "chunks",
    }
);

words!(
    /// A part of a run; the declared order is that of an emergency's phases 0 to 4, then the quiet ones.
    Phase {
        /// Deferred deletions.
        Deferred = "deferred",
        /// Files past their expiry.
        Expired = "expired",
        /// Files of completed chunks.
        Chunks = "chunks",
        /// Files that belong to nobody.
        Orphans = "orphans",
        /// Files of failed jobs.
        FailedJobs = "failed_jobs",
        /// Soft-deleted files.
        Trash = "trash",
        /// The oldest eligible files.
        Oldest = "oldest",
        /// Files of ended sessions.
        Sessions = "sessions",
        /// Old results.
        Results = "results",
        /// Temporary files left by completed jobs.
        CompletedJobs = "completed_jobs",
        /// Files past the maximum age.
        MaxAge = "max_age",
    }
);

words!(
    /// What set a run off.
    Trigger {
        /// Somebody asked.
        Manual = "manual",
        /// The interval.
        Scheduled = "scheduled",
        /// Usage reached the high-water mark, or available space fell below `min_free`.
        EmergencyThreshold = "emergency_threshold",
        /// The volume will be full before it could be emptied: what is due goes now.
        Forecast = "forecast",
        /// A chunk was reported complete.
        ChunkCompleted = "chunk_completed",
        /// A job failed.
        JobFailed = "job_failed",
        /// A session ended.
        SessionEnded = "session_ended",
        /// The queue of deferred deletions.
        Deferred = "deferred",
        /// Files expired.
        Expired = "expired",
    }
);

impl Phase {
    /// Whether guardian chooses here by age or by the state of a job. There a
    /// job's directory can be the unit; what its owner gave up by name goes by
    /// name.
    pub const fn takes_trees(self) -> bool {
        match self {
            Self::Orphans
            | Self::FailedJobs
            | Self::Oldest
            | Self::Results
            | Self::CompletedJobs
            | Self::MaxAge => true,
            Self::Deferred | Self::Expired | Self::Chunks | Self::Trash | Self::Sessions => false,
        }
    }
}
