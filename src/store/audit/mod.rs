//! The audit log: which file went, why, in which run; and who changed what.
//!
//! Promises: a batch is on record before its files go, also with no byte free
//! on the volume (one segment and a spare are preallocated); a batch whose end
//! is not on record is told as such. Must not know: how files are removed.
//! One process appends at a time: the caller holds the state directory's lock.
//!
//! The segments are the truth. Each full one gets a sidecar that says which of
//! its blocks may hold what ([`AuditLog::index_sealed`]), on a thread that no
//! removal waits for; a query without them reads more and finds the same.

mod filter_bits;
mod indexing;
mod query;
mod records;
mod segment;
mod sidecar;
#[cfg(test)]
mod tests;
mod wanted;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use query::{AuditCursor, Page};
pub use records::{
    AcceptsPath, AuditEntry, AuditFilter, AuditRecord, AuditedChange, BatchHeader, NotRemoved, Outcome,
};

use super::StoreError;
use crate::model::Timestamp;
use indexing::Indexing;
use records::{Frame, ReadFrame};
use segment::{SEGMENT, Segment};

/// Failures of the audit log; [`StoreError::is_no_space`] tells a full volume
/// (then the caller logs the batch's paths instead).
pub type AuditError = StoreError;

/// Longest payload; a longer batch is split.
const MAX_PAYLOAD: usize = (SEGMENT / 4) as usize;

/// A batch on record; give it back to [`AuditLog::finish_batch`].
#[derive(Debug)]
#[must_use = "without an outcome the batch is reported as unknown"]
pub struct BatchTicket {
    batch: u64,
}

#[derive(Debug)]
struct State {
    current: Segment,
    spare: Option<Segment>,
    /// Full segments that are not synced yet.
    full: Vec<File>,
    dirty: bool,
    synced_at: Option<Duration>,
}

/// The audit log; shared by reference.
#[derive(Debug)]
pub struct AuditLog {
    dir: PathBuf,
    state: Mutex<State>,
    /// Held while a segment is made. Never waits for `state`.
    making: Mutex<()>,
    indexing: Indexing,
}

impl AuditLog {
    /// Opens the log in `dir` (made if needed) and preallocates. Where there is
    /// no room for a segment, each append tries again to make one.
    pub fn open(dir: &Path) -> Result<Self, AuditError> {
        let failed = |error| StoreError::io("open audit log", dir, error);
        std::fs::create_dir_all(dir).map_err(failed)?;
        let numbers = segment::numbers(dir).map_err(failed)?;
        let mut current: Option<Segment> = None;
        let mut spare = None;
        for number in numbers.iter().rev() {
            let one = Segment::open(dir, *number).map_err(failed)?;
            let used = one.end > 0;
            spare = current.replace(one);
            if used {
                break;
            }
        }
        let current = match current {
            Some(current) => current,
            None => match Segment::create(dir, 1) {
                // The first append with room makes one.
                Err(error) if crate::store::error::is_full(&error) => Segment::absent(dir).map_err(failed)?,
                made => made.map_err(failed)?,
            },
        };
        let state = State { current, spare, full: Vec::new(), dirty: false, synced_at: None };
        let log = Self {
            dir: dir.to_owned(),
            state: Mutex::new(state),
            making: Mutex::default(),
            indexing: Indexing::default(),
        };
        log.reserve();
        Ok(log)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: std::io::Error) -> AuditError {
        StoreError::io("append to audit log", &self.dir, error)
    }

    /// Keeps a spare at hand; without room the next time tries again. Takes as
    /// long as the disk does, so that nobody who removes may wait for it.
    fn reserve(&self) {
        let number = {
            let state = self.lock();
            if state.spare.is_some() {
                return;
            }
            state.current.number + 1
        };
        let Ok(made) = self.make_segment(number) else { return };
        let mut state = self.lock();
        // Else an append was faster, and uses the same file.
        if state.spare.is_none() && state.current.number < number {
            state.spare = Some(made);
        }
    }

    /// Makes the segment `number`, or opens it where another thread just made it.
    fn make_segment(&self, number: u32) -> std::io::Result<Segment> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        match Segment::create(&self.dir, number) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Segment::open(&self.dir, number)
            }
            made => made,
        }
    }

    fn append(&self, state: &mut State, payload: &[u8]) -> Result<(), AuditError> {
        if !state.current.has_room(payload.len()) {
            let next = match state.spare.take() {
                Some(spare) => spare,
                None => self.make_segment(state.current.number + 1).map_err(|e| self.failed(e))?,
            };
            let full = std::mem::replace(&mut state.current, next);
            state.full.push(full.file);
            self.indexing.ring();
        }
        state.current.append(payload).map_err(|e| self.failed(e))?;
        state.dirty = true;
        Ok(())
    }

    fn encode(&self, frame: &Frame<'_>) -> Result<Vec<u8>, AuditError> {
        serde_json::to_vec(frame).map_err(|e| self.failed(e.into()))
    }

    /// Records what is about to be removed. Only after this may it be removed.
    pub fn append_batch(
        &self,
        header: &BatchHeader,
        entries: &[AuditEntry],
    ) -> Result<BatchTicket, AuditError> {
        let mut state = self.lock();
        // Where the log stands is a number that no other batch has.
        let batch = u64::from(state.current.number) << 32 | state.current.end;
        let mut open = vec![(0, entries)];
        while let Some((first, part)) = open.pop() {
            let frame = Frame::Intent { batch, first, header, entries: part };
            let payload = self.encode(&frame)?;
            if payload.len() > MAX_PAYLOAD && part.len() > 1 {
                let (low, high) = part.split_at(part.len() / 2);
                open.push((first + low.len() as u32, high));
                open.push((first, low));
            } else {
                self.append(&mut state, &payload)?;
            }
        }
        Ok(BatchTicket { batch })
    }

    /// Records how a batch ended: all went but these.
    pub fn finish_batch(&self, ticket: BatchTicket, not_removed: &[NotRemoved]) -> Result<(), AuditError> {
        let frame = Frame::Outcome { batch: ticket.batch, not_removed };
        let payload = self.encode(&frame)?;
        self.append(&mut self.lock(), &payload)
    }

    /// Records a change that somebody asked for.
    pub fn append_change(&self, change: &AuditedChange) -> Result<(), AuditError> {
        let payload = self.encode(&Frame::Change { change })?;
        self.append(&mut self.lock(), &payload)
    }

    /// Makes everything appended durable. Appending goes on meanwhile.
    pub fn sync(&self) -> Result<(), AuditError> {
        let files = {
            let mut state = self.lock();
            if state.dirty {
                let current = state.current.file.try_clone().map_err(|e| self.failed(e))?;
                state.full.push(current);
                state.dirty = false;
            }
            std::mem::take(&mut state.full)
        };
        let synced = files.iter().try_for_each(File::sync_data);
        if let Err(error) = synced {
            self.lock().full.extend(files);
            return Err(self.failed(error));
        }
        self.reserve();
        Ok(())
    }

    /// Whether the last sync that was asked for so is at least a second ago:
    /// then the caller is to call [`Self::sync`]. `now` is a monotonic reading.
    pub fn is_sync_due(&self, now: Duration) -> bool {
        let mut state = self.lock();
        if state.synced_at.is_some_and(|at| now.saturating_sub(at) < Duration::from_secs(1)) {
            return false;
        }
        state.synced_at = Some(now);
        true
    }

    /// Removes full segments whose records are all older than `before`; how many.
    pub fn prune(&self, before: Timestamp) -> Result<u32, AuditError> {
        let failed = |error| StoreError::io("prune audit log", &self.dir, error);
        let current = self.lock().current.number;
        let mut pruned = 0;
        for number in segment::numbers(&self.dir).map_err(failed)?.into_iter().filter(|n| *n < current) {
            let Some(bytes) = segment::load(&self.dir, number).map_err(failed)? else { continue };
            let newest = segment::frames(&bytes)
                .filter_map(|(_, payload)| serde_json::from_slice::<ReadFrame<'_>>(payload).ok()?.time())
                .max();
            // Segments go in order: an outcome is never kept without its batch.
            if newest.is_some_and(|newest| newest >= before) {
                break;
            }
            // The index first: it is never left without its segment.
            match std::fs::remove_file(sidecar::path(&self.dir, number)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => self.indexing.forget(number),
            }
            std::fs::remove_file(segment::path(&self.dir, number)).map_err(failed)?;
            pruned += 1;
        }
        Ok(pruned)
    }
}
