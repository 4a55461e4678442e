//! Queue and trash of a root: what lies in its private directory under an ID,
//! or waits in its place.
//!
//! Promises: an entry is in the ledger, durably, before anything moves, and
//! described by a file beside it, so that neither a kill at any point nor a
//! lost ledger loses it; nothing there is removed but by [`super::execute`]; moving
//! in, putting back and removing take turns. The private directory is checked
//! before each use. Must not know: HTTP, who may ask.

pub mod info;
pub mod inspect;
pub mod manifest;
pub mod moving;
mod nominate;
mod permission;
pub mod replay;
pub mod returning;
pub mod settling;
mod trees;
mod turn;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::model::{EntryId, QueueEntry, RootName, Timestamp, TrashEntry};
use crate::store::StoreError;
use crate::store::ledger::{Ledger, LedgerReader};
use crate::sys::private_dir::PrivateDir;
use crate::sys::{DirHandle, RootDir, SysError};

use info::Entry;
use manifest::Manifests;
use settling::Aside;
pub use turn::{Held, Turn};

pub use nominate::{KeptActions, is_new};

/// The two directories in the private one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Deferred deletions.
    Queue,
    /// Soft-deleted files.
    Trash,
}

/// Reads the entries: of the ledger, or of its copy in a dry run.
pub trait KeptEntries: Send + Sync {
    /// Deferred deletions of a root that are due, the first due first.
    fn deferred(
        &self,
        root: &RootName,
        until: Timestamp,
        after: Option<(Timestamp, &EntryId)>,
        limit: usize,
    ) -> Result<Vec<QueueEntry>, StoreError>;

    /// What was soft-deleted up to `until`, the oldest first.
    fn trashed(
        &self,
        root: &RootName,
        until: Timestamp,
        after: Option<(Timestamp, &EntryId)>,
        limit: usize,
    ) -> Result<Vec<TrashEntry>, StoreError>;

    /// One entry, as it is now.
    fn entry(&self, id: &EntryId) -> Result<Option<Entry>, StoreError>;
}

macro_rules! entries {
    ($ledger:ty) => {
        impl KeptEntries for $ledger {
            fn deferred(
                &self,
                root: &RootName,
                until: Timestamp,
                after: Option<(Timestamp, &EntryId)>,
                limit: usize,
            ) -> Result<Vec<QueueEntry>, StoreError> {
                self.queue_due(root, until, after, limit)
            }

            fn trashed(
                &self,
                root: &RootName,
                until: Timestamp,
                after: Option<(Timestamp, &EntryId)>,
                limit: usize,
            ) -> Result<Vec<TrashEntry>, StoreError> {
                self.trash_due(root, until, after, limit)
            }

            fn entry(&self, id: &EntryId) -> Result<Option<Entry>, StoreError> {
                match self.queue_entry(id)? {
                    Some(entry) => Ok(Some(Entry::Queue(entry))),
                    None => Ok(self.trash_entry(id)?.map(Entry::Trash)),
                }
            }
        }
    };
}

entries!(Ledger);
entries!(LedgerReader);

/// Queue and trash of one root.
pub struct RootVault {
    private: Arc<PrivateDir>,
    entries: Arc<dyn KeptEntries>,
    /// Where changes are recorded; `None` in a dry run.
    book: Option<Arc<Ledger>>,
    /// Moving in, putting back and removing take turns.
    turn: Turn,
    /// Ledger and directory were brought to one account.
    settled: AtomicBool,
    /// What describes many entries at once.
    manifests: Manifests,
    /// What emergencies did to entries, on its way into the ledger.
    aside: Aside,
}

/// Its directories, open.
#[derive(Debug)]
pub struct Rooms {
    queue: DirHandle,
    trash: DirHandle,
    manifests: Manifests,
}

impl Rooms {
    /// One of them.
    pub const fn of(&self, room: Room) -> &DirHandle {
        match room {
            Room::Queue => &self.queue,
            Room::Trash => &self.trash,
        }
    }
}

impl RootVault {
    /// With a ledger to record in.
    pub fn new(private: Arc<PrivateDir>, ledger: Arc<Ledger>, turn: Turn) -> Self {
        let entries = Arc::clone(&ledger) as Arc<dyn KeptEntries>;
        Self { book: Some(ledger), turn, settled: AtomicBool::new(false), ..Self::reading(private, entries) }
    }

    /// To be read only.
    pub fn reading(private: Arc<PrivateDir>, entries: Arc<dyn KeptEntries>) -> Self {
        Self {
            private,
            entries,
            book: None,
            turn: Turn::default(),
            settled: AtomicBool::new(true),
            manifests: Manifests::default(),
            aside: Aside::default(),
        }
    }

    /// Takes the turn: until it is given back nothing moves in, out or away.
    pub fn turn(&self) -> Held<'_> {
        self.turn.take()
    }

    /// The turn, if it can be had within `limit`.
    pub fn turn_within(&self, limit: Duration) -> Option<Held<'_>> {
        self.turn.take_within(limit, false)
    }

    /// The turn for an emergency, before all others who wait for it; whoever has
    /// it ends as soon as he can ([`Self::is_wanted`]).
    pub fn urgent_turn_within(&self, limit: Duration) -> Option<Held<'_>> {
        self.turn.take_within(limit, true)
    }

    /// Whether an emergency waits for the turn.
    pub fn is_wanted(&self) -> bool {
        self.turn.is_wanted()
    }

    /// Whether ledger and directory were brought to one account since it was
    /// opened. Before that nothing is removed: what the ledger takes for waiting
    /// may have been moved.
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// An entry as it is now.
    pub(super) fn entry(&self, id: &EntryId) -> Result<Option<Entry>, StoreError> {
        self.entries.entry(id)
    }

    /// Makes what was written in it lasting. Can take seconds.
    pub fn make_lasting(&self) {
        if let Err(error) = crate::sys::volume::syncfs(self.private.handle()) {
            tracing::warn!(%error, "descriptions of entries may be lost in a power cut");
        }
    }

    /// Opens its directories, making them where they are not there.
    ///
    /// # Errors
    /// [`SysError::NotOurs`] when the private directory is not what it was:
    /// then there is neither trash nor deferral.
    pub fn open(&self, root: &RootDir) -> Result<Rooms, SysError> {
        self.private.check(root)?;
        let (queue, trash) = (self.private.subdirectory("queue")?, self.private.subdirectory("trash")?);
        Ok(Rooms { queue, trash, manifests: self.manifests.clone() })
    }
}
