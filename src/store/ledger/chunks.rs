//! Chunks that were reported complete and of which files may be left.
//!
//! | table | key | value |
//! |---|---|---|
//! | chunks | job, 0, chunk, 0, time | [`CompletedChunk`] |

use super::tables::{self, CHUNKS};
use super::{Ledger, LedgerReader};
use crate::model::{CompletedChunk, JobId};
use crate::store::StoreError;

/// Names hold no zero byte: one job's rows are those that begin with its name and a zero.
fn key(chunk: &CompletedChunk) -> Vec<u8> {
    let time = (chunk.at.as_nanos() as u64 ^ (1 << 63)).to_be_bytes();
    [chunk.job.as_str().as_bytes(), &[0], chunk.chunk.as_str().as_bytes(), &[0], &time].concat()
}

impl Ledger {
    /// Records a chunk as completed.
    pub fn put_chunk(&self, chunk: &CompletedChunk) -> Result<(), StoreError> {
        self.write_rows(vec![self.row(CHUNKS, &key(chunk), chunk)?])
    }

    /// Forgets it: nothing of it is left.
    pub fn remove_chunk(&self, chunk: &CompletedChunk) -> Result<bool, StoreError> {
        self.write(|t| tables::remove(t, CHUNKS, &key(chunk)))
    }

    /// Forgets all of a job.
    pub fn remove_chunks_of(&self, job: &JobId) -> Result<(), StoreError> {
        let prefix = [job.as_str().as_bytes(), &[0]].concat();
        self.write(|t| {
            let mut table = t.open_table(CHUNKS)?;
            table.retain_in::<&[u8], _>(prefix.as_slice()..after(&prefix).as_slice(), |_, _| false)?;
            Ok(())
        })
    }
}

/// The first key that does not begin with `prefix`, which ends with a zero byte.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last = 1;
    }
    end
}

macro_rules! queries {
    ($ledger:ty) => {
        impl $ledger {
            /// All completed chunks, by job.
            pub fn chunks(&self) -> Result<Vec<CompletedChunk>, StoreError> {
                self.read(|t| tables::page(t, CHUNKS, None, false, usize::MAX, |_| true))
            }
        }
    };
}

queries!(Ledger);
queries!(LedgerReader);
