//! What is read again before each removal, and held until the file is gone.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::policy::{JobsView, Moment, ReferenceView};

/// What is read again before each removal.
#[derive(Clone, Copy)]
pub struct Conditions<'a> {
    /// The registered jobs, as they are now.
    pub jobs: &'a RwLock<JobsView>,
    /// Holds and other references, as they are now.
    pub references: &'a RwLock<ReferenceView>,
    /// Time and circumstances of the run.
    pub moment: &'a Moment,
}

/// Jobs and references as they are now, and as they stay while this is held.
pub struct Known<'a> {
    /// The registered jobs.
    pub jobs: RwLockReadGuard<'a, JobsView>,
    /// Holds and other references.
    pub references: RwLockReadGuard<'a, ReferenceView>,
}

impl<'a> Conditions<'a> {
    /// Reads them: jobs first, everywhere, so that no two wait for each other.
    pub fn read(&self) -> Known<'a> {
        Known {
            jobs: self.jobs.read().unwrap_or_else(PoisonError::into_inner),
            references: self.references.read().unwrap_or_else(PoisonError::into_inner),
        }
    }
}
