//! One redb database that outlives its own failures.
//!
//! Promises: after an I/O error redb answers `PreviousIo` until it is opened
//! again, so the database is dropped and the next call opens it anew; a panic
//! inside redb (a damaged file can cause one) comes back as a [`Fault`].
//! Must not know: what the tables mean.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::error::{Fault, StoreError};

/// How a commit reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    /// With the next durable commit.
    Later,
    /// Before the call returns.
    Durable,
    /// Durable, and with the allocator's state, so that opening needs no repair.
    QuickRepair,
}

/// What opening the file found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Clean,
    Created,
    Repaired,
}

/// Creates the tables, so that reading never meets a missing one.
pub(super) type CreateTables = fn(&WriteTransaction) -> Result<(), Fault>;

/// A database that is opened again after a failure.
pub(super) struct Holder {
    path: PathBuf,
    cache_bytes: usize,
    tables: CreateTables,
    slot: RwLock<Option<Database>>,
    losses: AtomicU64,
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Holder").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Holder {
    /// A holder whose database is opened by the first call.
    pub(super) fn new(path: &Path, cache_bytes: usize, tables: CreateTables) -> Self {
        Self {
            path: path.to_owned(),
            cache_bytes,
            tables,
            slot: RwLock::new(None),
            losses: AtomicU64::new(0),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How often an open database had to be given up.
    pub(super) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Opens the database if it is not open.
    pub(super) fn open(&self) -> Result<Found, Fault> {
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            return Ok(Found::Clean);
        }
        let existed = std::fs::metadata(&self.path).is_ok_and(|m| m.len() > 0);
        let repaired = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&repaired);
        let database = guarded(|| {
            let mut builder = Database::builder();
            builder.set_cache_size(self.cache_bytes);
            builder.set_repair_callback(move |_| seen.store(true, Ordering::Relaxed));
            let database = builder.create(&self.path)?;
            let transaction = database.begin_write()?;
            (self.tables)(&transaction)?;
            transaction.commit()?;
            Ok(database)
        })?;
        *slot = Some(database);
        Ok(match (existed, repaired.load(Ordering::Relaxed)) {
            (false, _) => Found::Created,
            (true, true) => Found::Repaired,
            (true, false) => Found::Clean,
        })
    }

    /// Closes the database; the next call opens it again.
    pub(super) fn close(&self) {
        let database = self.slot.write().unwrap_or_else(PoisonError::into_inner).take();
        // Closing a latched database can fail inside; there is nothing left to save.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }

    /// Closes the database, moves the file to `PATH.damaged-N` and returns that path.
    pub(super) fn set_aside(&self) -> std::io::Result<PathBuf> {
        self.close();
        set_aside(&self.path)
    }

    /// Begins reading.
    pub(super) fn begin_read(&self) -> Result<ReadTransaction, Fault> {
        self.with(|database| Ok(database.begin_read()?))
    }

    /// Runs `change` in one transaction. Nothing of it remains if it fails.
    pub(super) fn write<T>(
        &self,
        commit: Commit,
        change: impl FnOnce(&WriteTransaction) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.with(|database| {
            let mut transaction = database.begin_write()?;
            match commit {
                Commit::Later => transaction.set_durability(Durability::None)?,
                Commit::Durable => transaction.set_durability(Durability::Immediate)?,
                Commit::QuickRepair => transaction.set_quick_repair(true),
            }
            let value = change(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
    }

    fn with<T>(&self, call: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, Fault> {
        // Only opening and closing lock alone: readers never wait for a write in progress.
        if self.slot.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.open()?;
        }
        let result = {
            let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
            match slot.as_ref() {
                Some(database) => guarded(|| call(database)),
                None => Err(redb::Error::DatabaseClosed.into()),
            }
        };
        if let Err(fault) = &result {
            self.give_up_after(fault);
        }
        result
    }

    /// Drops the database if this fault has made it unusable.
    pub(super) fn give_up_after(&self, fault: &Fault) {
        if fault.needs_reopening() {
            self.losses.fetch_add(1, Ordering::Relaxed);
            self.close();
        }
    }

    /// The fault as the room's error.
    pub(super) fn error(&self, action: &'static str, fault: Fault) -> StoreError {
        fault.on(action, &self.path)
    }
}

/// Runs a call into redb; a panic comes back as a value.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Fault::Panicked(text.unwrap_or_else(|| "unknown reason".to_owned())))
    })
}

/// Renames a file to the first free `PATH.damaged-N`.
pub(super) fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let mut n = 1_u32;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{n}"));
        let aside = PathBuf::from(name);
        if aside.symlink_metadata().is_err() {
            std::fs::rename(path, &aside)?;
            return Ok(aside);
        }
        n += 1;
    }
}
