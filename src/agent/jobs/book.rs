//! What the registry keeps on disk.

use crate::model::{CompletedChunk, JobId, JobRecord, JobState, Timestamp};
use crate::store::StoreError;
use crate::store::ledger::Ledger;

/// The part of the ledger that the registry uses; a trait so that tests can
/// make its writes fail.
pub trait JobBook: Send + Sync {
    /// See [`Ledger::job`].
    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, StoreError>;
    /// See [`Ledger::jobs_page`].
    fn jobs_page(
        &self,
        after: Option<&JobId>,
        limit: usize,
        state: Option<JobState>,
    ) -> Result<Vec<JobRecord>, StoreError>;
    /// See [`Ledger::put_job`].
    fn put_job(&self, job: &JobRecord) -> Result<(), StoreError>;
    /// See [`Ledger::remove_job`].
    fn remove_job(&self, id: &JobId) -> Result<bool, StoreError>;
    /// See [`Ledger::chunks`].
    fn chunks(&self) -> Result<Vec<CompletedChunk>, StoreError>;
    /// See [`Ledger::put_chunk`].
    fn put_chunk(&self, chunk: &CompletedChunk) -> Result<(), StoreError>;
    /// See [`Ledger::remove_chunk`].
    fn remove_chunk(&self, chunk: &CompletedChunk) -> Result<bool, StoreError>;
    /// See [`Ledger::remove_chunks_of`].
    fn remove_chunks_of(&self, job: &JobId) -> Result<(), StoreError>;
    /// See [`Ledger::began_at`].
    fn began_at(&self) -> Timestamp;
    /// See [`Ledger::trusted`].
    fn trusted(&self) -> Result<bool, StoreError>;
    /// See [`Ledger::set_trusted`].
    fn set_trusted(&self, trusted: bool) -> Result<(), StoreError>;
}

impl JobBook for Ledger {
    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, StoreError> {
        Self::job(self, id)
    }

    fn jobs_page(
        &self,
        after: Option<&JobId>,
        limit: usize,
        state: Option<JobState>,
    ) -> Result<Vec<JobRecord>, StoreError> {
        Self::jobs_page(self, after, limit, state)
    }

    fn put_job(&self, job: &JobRecord) -> Result<(), StoreError> {
        Self::put_job(self, job)
    }

    fn remove_job(&self, id: &JobId) -> Result<bool, StoreError> {
        Self::remove_job(self, id)
    }

    fn chunks(&self) -> Result<Vec<CompletedChunk>, StoreError> {
        Self::chunks(self)
    }

    fn put_chunk(&self, chunk: &CompletedChunk) -> Result<(), StoreError> {
        Self::put_chunk(self, chunk)
    }

    fn remove_chunk(&self, chunk: &CompletedChunk) -> Result<bool, StoreError> {
        Self::remove_chunk(self, chunk)
    }

    fn remove_chunks_of(&self, job: &JobId) -> Result<(), StoreError> {
        Self::remove_chunks_of(self, job)
    }

    fn began_at(&self) -> Timestamp {
        Self::began_at(self)
    }

    fn trusted(&self) -> Result<bool, StoreError> {
        Self::trusted(self)
    }

    fn set_trusted(&self, trusted: bool) -> Result<(), StoreError> {
        Self::set_trusted(self, trusted)
    }
}
