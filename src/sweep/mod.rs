//! From pressure to plan to removal: one pipeline for emergencies, schedules
//! and people.
//!
//! nominate ([`nominate`], from the index, a walk, or by name: [`named`]) → decide ([`planner`],
//! [`merge`]) → plan ([`run`]) → verify and remove ([`execute`]) → account
//! ([`record`]). A dry run ends after the plan; there is no flag below the
//! command line and the socket that says "but don't".
//!
//! Promises: only [`execute`] removes files, only after they are on record,
//! and only what was looked at again a moment before. Works without a single
//! successful write. Must not know: HTTP, signals, how it was asked.

pub mod carry_out;
mod conditions;
pub mod dirs;
pub mod execute;
pub mod flocks;
mod given_up;
pub mod indexed;
pub mod last_phase;
pub mod merge;
pub mod named;
pub mod nominate;
pub mod orders;
pub mod planner;
pub mod record;
pub mod root;
pub mod run;
pub mod shortfall;
pub mod vault;
pub mod walked;

use std::path::PathBuf;

/// Why a run could not plan.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The tree could not be walked.
    #[error("failed to walk {root}")]
    Walk {
        /// The root.
        root: PathBuf,
        /// Why.
        #[source]
        source: crate::sys::SysError,
    },
    /// The ledger could not be read.
    #[error("failed to read the ledger for {root}")]
    Ledger {
        /// The root.
        root: PathBuf,
        /// Why.
        #[source]
        source: crate::store::StoreError,
    },
    /// The index could not be read.
    #[error("failed to read the index for {root}")]
    Index {
        /// The root.
        root: PathBuf,
        /// Why.
        #[source]
        source: crate::store::StoreError,
    },
}

#[cfg(test)]
pub(crate) mod tests;
