//! The ledger: the durable truth about jobs, roots, holds, tracked files,
//! sessions, runs and pauses.
//!
//! Promises: a write that returned is on disk; a lost ledger is told as lost,
//! never taken for an empty one. On a full volume a new one is begun in memory,
//! where it can be read; nothing can be recorded in it until there is room.
//! Must not know: what follows from its records.

mod backup;
mod begin;
mod chunks;
mod given_up;
mod kept;
mod queue;
mod read;
mod records;
mod references;
mod requests;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod trash;

use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redb::{ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

pub use given_up::KeptAt;
pub use kept::KeptChange;
pub use read::LedgerReader;
pub use records::{ClockMark, Pause, RequestRecord, RootRecord};

use super::database::{Commit, Holder, guarded};
use super::error::Fault;
use super::rounds::Rounds;
use super::{RootKey, StoreError};
use crate::model::{JobId, JobRecord, LedgerId, Report, RootName, Timestamp};
use begin::Unborn;
use tables::{HISTORY, JOBS, LAST_RUNS, META, ROOTS, Row};

/// Name of the file in the state directory.
const FILE: &str = "ledger.redb";
/// Name of the copy in the state directory.
const BACKUP: &str = "ledger.bak";
/// The ledger is small; redb needs no more for it, in bytes.
const CACHE_BYTES: usize = 8 << 20;
/// How long a change that need not last may wait for the disk while others follow.
const LASTING_EVERY: Duration = Duration::from_secs(1);

/// Where the ledger came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerOrigin {
    /// It was there.
    Existing,
    /// There was none, and no trace of one.
    Created,
    /// It was there and could not be read, or only its backup was left. A new one
    /// was begun with the records of the backup; it is not trusted.
    Lost {
        /// What was found.
        reason: String,
    },
}

/// The ledger, open for writing. One per state directory; the caller holds its lock.
#[derive(Debug)]
pub struct Ledger {
    holder: Holder,
    rounds: Rounds<(Vec<Row>, Option<RequestRecord>)>,
    id: LedgerId,
    began_at: Timestamp,
    /// What it begins with, while there is no room for its file.
    unborn: RwLock<Option<Unborn>>,
    /// When the last durable write of [`Self::write_soon`] ended.
    lasting_at: Mutex<Option<Instant>>,
}

fn identity(transaction: &ReadTransaction) -> Result<Option<(LedgerId, Timestamp)>, Fault> {
    let id = tables::get(transaction, META, b"id")?;
    Ok(id.zip(tables::get(transaction, META, b"began_at")?))
}

impl Ledger {
    /// Opens the ledger in the state directory `dir`, or begins one at `now`. A
    /// damaged file is set aside as `ledger.redb.damaged-N`.
    pub fn open(dir: &Path, now: Timestamp) -> Result<(Self, LedgerOrigin), StoreError> {
        let path = dir.join(FILE);
        let existed = std::fs::metadata(&path).is_ok_and(|m| m.len() > 0);
        let holder = Holder::new(&path, CACHE_BYTES, tables::create);
        // Opening would make the file: a new one appears whole or not at all, so
        // that one that was never finished is not taken for a lost one.
        let found = match existed {
            true => holder.begin_read().and_then(|t| guarded(|| identity(&t))),
            false => Ok(None),
        };
        let reason = match found {
            Ok(Some((id, began_at))) => {
                let ledger = Self {
                    holder,
                    rounds: Rounds::default(),
                    id,
                    began_at,
                    unborn: RwLock::default(),
                    lasting_at: Mutex::default(),
                };
                return Ok((ledger, LedgerOrigin::Existing));
            }
            Ok(None) if existed => Some("it has no id".to_owned()),
            Ok(None) => {
                dir.join(BACKUP).exists().then(|| "the file is gone, only its backup is left".to_owned())
            }
            Err(fault) if super::index::is_damage(&fault) => Some(holder.error("open", fault).to_string()),
            Err(fault) => return Err(holder.error("open", fault)),
        };
        if existed && reason.is_some() {
            holder.set_aside().map_err(|error| StoreError::io("set aside", &path, error))?;
        }
        let kept = if reason.is_some() { backup::read(&dir.join(BACKUP)) } else { None };
        let id = LedgerId::new(uuid::Uuid::new_v4().to_string());
        let unborn = Unborn::new(id.clone(), now, reason.is_none(), kept)
            .map_err(|fault| holder.error("create", fault))?;
        let ledger = Self {
            holder,
            rounds: Rounds::default(),
            id,
            began_at: now,
            unborn: RwLock::new(Some(unborn)),
            lasting_at: Mutex::default(),
        };
        match ledger.make_file() {
            Ok(()) => {}
            // Cleaning must not wait for room: it is what makes some.
            Err(error) if error.is_no_space() => {
                tracing::error!(%error, "no job can be registered and no run recorded until there is room");
            }
            Err(error) => return Err(error),
        }
        let origin = reason.map_or(LedgerOrigin::Created, |reason| LedgerOrigin::Lost { reason });
        Ok((ledger, origin))
    }

    /// Makes the file, if it was not made yet.
    fn make_file(&self) -> Result<(), StoreError> {
        if self.unborn.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Ok(());
        }
        let mut unborn = self.unborn.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(beginning) = unborn.as_ref() {
            beginning.make(self.holder.path())?;
            *unborn = None;
        }
        Ok(())
    }

    pub(super) fn read<T>(
        &self,
        call: impl FnOnce(&ReadTransaction) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        if let Some(unborn) = self.unborn.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            return guarded(|| call(&unborn.memory.begin_read()?))
                .map_err(|fault| self.holder.error("read", fault));
        }
        let read = self.holder.begin_read().and_then(|t| guarded(|| call(&t)));
        read.map_err(|fault| {
            self.holder.give_up_after(&fault);
            self.holder.error("read", fault)
        })
    }

    fn write<T>(&self, change: impl FnOnce(&WriteTransaction) -> Result<T, Fault>) -> Result<T, StoreError> {
        self.make_file()?;
        let request = requests::in_hand(&self.id);
        let written = self.holder.write(Commit::Durable, |t| {
            let value = change(t)?;
            request.as_ref().map_or(Ok(()), |request| requests::append(t, request))?;
            Ok(value)
        });
        if written.is_ok() && request.is_some() {
            requests::recorded();
        }
        written.map_err(|fault| self.holder.error("write", fault))
    }

    /// Writes rows, all or none, together with what others write at the moment:
    /// for what clients ask for, many of them at once.
    fn write_rows(&self, rows: Vec<Row>) -> Result<(), StoreError> {
        self.make_file()?;
        let request = requests::in_hand(&self.id);
        let is_requested = request.is_some();
        self.rounds.write((rows, request), self.holder.path(), |all| {
            let written = self.holder.write(Commit::Durable, |t| {
                tables::apply(t, all.iter().flat_map(|(rows, _)| rows))?;
                all.iter()
                    .filter_map(|(_, request)| request.as_ref())
                    .try_for_each(|request| requests::append(t, request))
            });
            written.map_err(|fault| self.holder.error("write", fault))
        })?;
        if is_requested {
            requests::recorded();
        }
        Ok(())
    }

    /// An encoded row of `table`.
    fn row<T: serde::Serialize>(
        &self,
        table: tables::Definition,
        key: &[u8],
        value: &T,
    ) -> Result<Row, StoreError> {
        let value = tables::encode(value).map_err(|fault| self.holder.error("write", fault))?;
        Ok(Row { table, key: key.to_vec(), value: Some(value) })
    }

    /// Writes so that it can be read at once, and is on disk with the next
    /// durable write, or the next of these after [`LASTING_EVERY`].
    fn write_soon<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        self.make_file()?;
        let mut lasting_at = self.lasting_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = lasting_at.is_none_or(|at| at.elapsed() >= LASTING_EVERY);
        let commit = if due { Commit::Durable } else { Commit::Later };
        let written = self.holder.write(commit, change).map_err(|fault| self.holder.error("write", fault))?;
        if due {
            *lasting_at = Some(Instant::now());
        }
        Ok(written)
    }

    /// Brings everything that was written to the disk.
    pub fn make_lasting(&self) -> Result<(), StoreError> {
        // A durable transaction takes those before it along.
        self.write(|_| Ok(()))
    }

    /// How often a failure took what was written and not on disk yet.
    pub fn losses(&self) -> u64 {
        self.holder.losses()
    }

    /// Records whether unknown jobs may be taken for finished ones.
    pub fn set_trusted(&self, trusted: bool) -> Result<(), StoreError> {
        self.write(|t| tables::put(t, META, b"trusted", &trusted))
    }

    /// Records a job as it is now.
    pub fn put_job(&self, job: &JobRecord) -> Result<(), StoreError> {
        self.write_rows(vec![self.row(JOBS, job.id.as_str().as_bytes(), job)?])
    }

    /// Marks an ended job as one whose results went at `at`; the first time stays.
    pub fn mark_without_results(&self, id: &JobId, at: Timestamp) -> Result<(), StoreError> {
        self.write(|t| {
            let mut jobs = t.open_table(JOBS)?;
            let key = id.as_str().as_bytes();
            let Some(mut job) =
                jobs.get(key)?.map(|row| tables::decode::<JobRecord>(row.value())).transpose()?
            else {
                return Ok(());
            };
            if !job.state.is_alive() && job.results_removed_at.is_none() {
                job.results_removed_at = Some(at);
                jobs.insert(key, tables::encode(&job)?.as_slice())?;
            }
            Ok(())
        })
    }

    /// Forgets a job; whether it was known.
    pub fn remove_job(&self, id: &JobId) -> Result<bool, StoreError> {
        self.write(|t| tables::remove(t, JOBS, id.as_str().as_bytes()))
    }

    /// A key that no root of this ledger ever had.
    pub fn new_root_key(&self) -> Result<RootKey, StoreError> {
        let next = self.write(|t| {
            let mut meta = t.open_table(META)?;
            let last =
                meta.get(b"last_root_key".as_slice())?.and_then(|v| serde_json::from_slice(v.value()).ok());
            let next = last.unwrap_or(0_u32) + 1;
            if next <= u32::from(u16::MAX) {
                meta.insert(b"last_root_key".as_slice(), tables::encode(&next)?.as_slice())?;
            }
            Ok(next)
        })?;
        u16::try_from(next).map(RootKey).map_err(|_| StoreError::NoRootKey(next - 1))
    }

    /// Records a root as it is now.
    pub fn put_root(&self, root: &RootRecord) -> Result<(), StoreError> {
        self.write(|t| tables::put(t, ROOTS, root.name.as_str().as_bytes(), root))
    }

    /// Forgets a root; whether it was known. Its key stays used.
    pub fn remove_root(&self, name: &RootName) -> Result<bool, StoreError> {
        self.write(|t| tables::remove(t, ROOTS, name.as_str().as_bytes()))
    }

    /// Records a run's report.
    pub fn append_report(&self, report: &Report) -> Result<(), StoreError> {
        self.write(|t| tables::put(t, HISTORY, report.id.as_str().as_bytes(), report))
    }

    /// Forgets reports of runs that ended before `before`; how many.
    pub fn prune_history(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.write(|t| {
            let mut pruned = 0;
            t.open_table(HISTORY)?.retain(|_, value| {
                let old = serde_json::from_slice::<Report>(value).is_ok_and(|r| r.end_time < before);
                pruned += u64::from(old);
                !old
            })?;
            Ok(pruned)
        })
    }

    /// Records the clocks.
    pub fn set_clock_mark(&self, mark: &ClockMark) -> Result<(), StoreError> {
        self.write(|t| tables::put(t, META, b"clock", mark))
    }

    /// Records a pause, or its end.
    pub fn set_pause(&self, pause: Option<&Pause>) -> Result<(), StoreError> {
        self.write(|t| match pause {
            Some(pause) => tables::put(t, META, b"pause", pause),
            None => tables::remove(t, META, b"pause").map(drop),
        })
    }

    /// Records when a schedule ran.
    pub fn set_last_run(&self, schedule: &str, at: Timestamp) -> Result<(), StoreError> {
        self.write(|t| tables::put(t, LAST_RUNS, schedule.as_bytes(), &at))
    }

    /// Copies jobs, roots, holds and sessions to `path` (JSON, replaced as a whole).
    pub fn backup(&self, path: &Path) -> Result<(), StoreError> {
        // A copy without its ledger would tell of a loss.
        self.make_file()?;
        let last = self.read(|t| tables::get(t, META, b"last_root_key"))?;
        backup::Backup {
            jobs: self.all_jobs()?,
            roots: self.roots()?,
            last_root_key: last.unwrap_or(0),
            holds: self.all_holds()?,
            sessions: self.all_sessions()?,
        }
        .write(path)
    }
}
