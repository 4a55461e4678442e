//! Trees that a sweep took out and could not finish with.

use crate::model::Stage;
use crate::store::StoreError;
use crate::sys::{RootDir, SysError};

use super::info::Entry;
use super::moving::shift;
use super::replay::record;
use super::{Room, Rooms, RootVault};

/// Why an entry is not on record.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The private directory.
    #[error(transparent)]
    Sys(#[from] SysError),
}

impl RootVault {
    /// Takes what lies in the queue's directory under the ID of `entry` on record.
    /// The caller has the turn.
    ///
    /// # Errors
    /// Then it lies there still, and the next start takes it up.
    pub fn take_up(&self, root: &RootDir, rooms: &Rooms, entry: &Entry) -> Result<(), NotTaken> {
        let mut entry = entry.clone();
        entry.kept_mut().stage = Stage::Moved;
        if entry.room() != Room::Queue {
            shift(root, rooms, Room::Queue, &entry)?;
        }
        if let Some(book) = &self.book {
            book.change_kept(&[record(entry)])?;
        }
        Ok(())
    }
}
