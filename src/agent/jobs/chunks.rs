//! Chunks that jobs report complete.
//!
//! Promises: a report that was answered is in the ledger and holds until
//! nothing of the chunk is left, also over a restart of the agent; it ends when
//! its job starts again, because then the same names stand for new work.

use std::collections::HashMap;
use std::sync::Arc;

use super::change::permit;
use super::registry::store;
use super::{Caller, JobError, JobRegistry, Now};
use crate::model::{ChunkFiles, ChunkId, CompletedChunk, JobId, JobRecord};
use crate::policy::{JobFacts, JobsView};
use crate::store::StoreError;

impl JobRegistry {
    /// Records that a job has processed a chunk, whatever state the job is in;
    /// `files`: only these.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` and `Store`; nothing has changed then.
    pub fn complete_chunk(
        &self,
        id: &JobId,
        chunk: &ChunkId,
        files: Option<ChunkFiles>,
        by: Caller,
        now: Now,
    ) -> Result<Arc<CompletedChunk>, JobError> {
        let _claim = self.claim(id);
        let record = self.lookup(&self.live(), id)?.ok_or_else(|| JobError::NotFound(id.clone()))?;
        permit(&record, by)?;
        let done = CompletedChunk { job: id.clone(), chunk: chunk.clone(), at: now.wall, files };
        self.book.put_chunk(&done).map_err(|source| store(id, source))?;
        let done = Arc::new(done);
        if let Some(job) = self.view_mut().jobs.get_mut(id) {
            job.completed.push(Arc::clone(&done));
        }
        Ok(done)
    }

    /// Forgets a chunk of which nothing is left.
    ///
    /// # Errors
    /// When the ledger can't be written; it is known then as before.
    pub fn forget_chunk(&self, done: &CompletedChunk) -> Result<(), StoreError> {
        let _claim = self.claim(&done.job);
        self.book.remove_chunk(done)?;
        if let Some(job) = self.view_mut().jobs.get_mut(&done.job) {
            job.completed.retain(|other| **other != *done);
        }
        Ok(())
    }

    /// Before a job that had ended is on record as living: what it gave up in
    /// its earlier life is not given up in this one.
    pub(super) fn begin_anew(&self, record: &JobRecord) -> Result<(), JobError> {
        let before = {
            let view = self.view().read().unwrap_or_else(std::sync::PoisonError::into_inner);
            view.jobs.get(&record.id).is_some_and(|job| is_over(job, record) && !job.completed.is_empty())
        };
        if before {
            self.book.remove_chunks_of(&record.id).map_err(|source| store(&record.id, source))?;
        }
        Ok(())
    }
}

/// Whether `record` begins another life of the job.
fn is_over(job: &JobFacts, record: &JobRecord) -> bool {
    !job.state.is_alive() && record.state.is_alive()
}

/// Shows a job as it is now. Its completed chunks stay, unless it began anew.
pub(super) fn show(view: &mut JobsView, record: &JobRecord) {
    let before = view.jobs.remove(&record.id).filter(|job| !is_over(job, record));
    let completed = before.map(|job| job.completed).unwrap_or_default();
    view.jobs.insert(record.id.clone(), JobFacts { completed, ..JobFacts::from(record) });
}

/// The jobs with the chunks that they completed.
pub(super) fn with_chunks(records: &[JobRecord], chunks: Vec<CompletedChunk>) -> HashMap<JobId, JobFacts> {
    let mut jobs: HashMap<JobId, JobFacts> =
        records.iter().map(|record| (record.id.clone(), JobFacts::from(record))).collect();
    for chunk in chunks {
        if let Some(job) = jobs.get_mut(&chunk.job) {
            job.completed.push(Arc::new(chunk));
        }
    }
    jobs
}
