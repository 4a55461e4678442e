//! The index: which files lie where, how old and how large they are, and which
//! jobs their names may belong to. A cache that can be rebuilt at any time.
//!
//! Promises: every query costs what it gives; a directory is renamed by moving
//! one row; a damaged row is refused; no index at all is a value.
//! Must not know: the file system, policies, what a job pattern looks like
//! (the readings of names are handed in).

mod bulk;
mod codec;
mod entry;
mod grown;
mod oldest;
mod read;
mod rows;
mod session;
mod tables;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub use bulk::BulkLoad;
pub use entry::{
    Applied, BadCursor, Change, Counters, Cursor, DirEntry, FileEntry, Found, IndexedFile, JobMatch, Listing,
    RootInfo, RootState, Subdir, SubtreeDir,
};
pub use grown::{Growth, GrowthKey, GrowthSums};
pub use oldest::Oldest;
pub use read::{NameRange, Snapshot};

use super::database::{self, Commit, Holder};
use super::error::Fault;
use super::{RootKey, StoreError};
use session::Session;

/// Gives the shortest job readings of a name (see `policy`): none, one or several.
pub type Readings = Arc<dyn Fn(&[u8], &mut Vec<Box<[u8]>>) + Send + Sync>;

/// How an index is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// Most memory that redb keeps pages in, in bytes.
    pub cache_bytes: usize,
    /// The readings of names, by root.
    pub readings: Arc<dyn Fn(RootKey) -> Readings + Send + Sync>,
}

/// What opening an index found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It was closed in order.
    Clean,
    /// There was none.
    Created,
    /// It was not closed in order; the last seconds may be missing.
    Repaired,
    /// It was damaged: set aside as `FILE.damaged-N`, an empty one begun.
    Quarantined(String),
    /// None can be had now; each call tries again.
    Unavailable(String),
}

/// The index. Cheap to clone; all clones are one index.
#[derive(Clone)]
pub struct Index {
    holder: Arc<Holder>,
    options: OpenOptions,
    damage: Arc<Mutex<Option<String>>>,
}

impl Index {
    /// Opens the index file `path`, repairs it or begins a new one. Fails only
    /// when another process has it open.
    pub fn open(path: &Path, options: OpenOptions) -> Result<(Self, Opened), StoreError> {
        let holder = Arc::new(Holder::new(path, options.cache_bytes, rows::create_tables));
        let index = Self { holder, options, damage: Arc::default() };
        let opened = match index.holder.open() {
            Ok(database::Found::Clean) => Opened::Clean,
            Ok(database::Found::Created) => Opened::Created,
            Ok(database::Found::Repaired) => Opened::Repaired,
            Err(Fault::Database(redb::Error::DatabaseAlreadyOpen)) => {
                return Err(StoreError::Busy(path.to_owned()));
            }
            Err(fault) if is_damage(&fault) => {
                let reason = index.holder.error("open", fault).to_string();
                match index.quarantine(&reason) {
                    Ok(()) => Opened::Quarantined(reason),
                    Err(error) => Opened::Unavailable(format!("{reason}; {error}")),
                }
            }
            Err(fault) => Opened::Unavailable(chain(&index.holder.error("open", fault))),
        };
        Ok((index, opened))
    }

    /// Starts replacing a root's rows. What was loaded so far can be read, as an
    /// incomplete root, and changed by [`Self::apply`] once it is flushed.
    pub fn bulk_load(&self, root: RootKey, fingerprint: u64) -> Result<BulkLoad, StoreError> {
        BulkLoad::begin(self.clone(), root, fingerprint)
    }

    /// Applies changes in order, in one transaction: visible when this returns,
    /// durable with the next [`Self::flush`].
    pub fn apply(&self, root: RootKey, changes: &[Change]) -> Result<Applied, StoreError> {
        self.session(root, "update", Commit::Later, |session| session.apply(changes))
    }

    /// Records how far the rows of a root can be relied on.
    pub fn set_state(&self, root: RootKey, state: RootState) -> Result<(), StoreError> {
        self.session(root, "update", Commit::Later, |session| {
            session.info.state = state;
            Ok(())
        })
    }

    /// Records that the marks of all files of a root were looked at.
    pub fn set_marks_read(&self, root: RootKey) -> Result<(), StoreError> {
        self.session(root, "update", Commit::Later, |session| {
            session.info.marks_read = true;
            Ok(())
        })
    }

    /// Removes all rows of a root.
    pub fn remove_root(&self, root: RootKey) -> Result<(), StoreError> {
        let readings = (self.options.readings)(root);
        self.write("update", Commit::Durable, |transaction| {
            Session::begin(transaction, root, readings)?.forget()
        })
    }

    /// Makes everything applied so far durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.write("flush", Commit::Durable, |_| Ok(()))
    }

    /// Makes everything durable and the next opening quick, also after a crash.
    /// Costs more than [`Self::flush`]: for checkpoints and the shutdown.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.write("flush", Commit::QuickRepair, |_| Ok(()))
    }

    /// How often an open database had to be given up since [`Self::open`]. When
    /// it has grown, changes since the last flush may be lost: every root must be reconciled.
    pub fn losses(&self) -> u64 {
        self.holder.losses()
    }

    /// Sets the file aside as `FILE.damaged-N` and begins an empty index.
    pub fn quarantine(&self, reason: &str) -> Result<(), StoreError> {
        let path = self.holder.path();
        tracing::warn!(path = %path.display(), reason, "the index is damaged: set aside, will be rebuilt");
        self.holder.set_aside().map_err(|error| StoreError::io("set aside", path, error))?;
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.holder.open().map(drop).map_err(|fault| self.holder.error("create", fault))
    }

    /// The rows as they are now. Keep it short: the file grows while it lives.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::begin(self)
    }

    /// Files of a root, oldest first, exactly (by age time, then directory, then
    /// name). Costs what is taken from it; holds no transaction between pages.
    pub fn oldest(&self, root: RootKey) -> Oldest {
        Oldest::new(self.clone(), root)
    }

    fn session<T>(
        &self,
        root: RootKey,
        action: &'static str,
        commit: Commit,
        work: impl FnOnce(&mut Session<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let readings = (self.options.readings)(root);
        self.write(action, commit, |transaction| {
            let mut session = Session::begin(transaction, root, readings)?;
            let value = work(&mut session)?;
            session.finish()?;
            Ok(value)
        })
    }

    fn write<T>(
        &self,
        action: &'static str,
        commit: Commit,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(reason) = damage {
            self.quarantine(&reason)?;
        }
        self.holder.write(commit, work).map_err(|fault| self.failed(action, fault))
    }

    /// Remembers damage: the next write sets the file aside.
    fn failed(&self, action: &'static str, fault: Fault) -> StoreError {
        // A file that was begun while there was no room can't be opened either.
        let damage = is_damage(&fault);
        let error = self.holder.error(action, fault);
        if damage {
            *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
        error
    }
}

/// Whether an existing file cannot be opened because of what it holds.
pub(in crate::store) fn is_damage(fault: &Fault) -> bool {
    fault.means_damage()
        || matches!(fault, Fault::Database(redb::Error::Io(error)) if matches!(
            error.kind(),
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
        ))
}

use crate::model::with_causes as chain;
