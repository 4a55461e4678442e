//! Deferred deletions and trash: recorded, moved, given back, removed.
//!
//! Promises: what was answered is durable; what can't be done at once goes on
//! in the background and after a restart. The same for the agent and for a
//! command that works alone. Must not know: HTTP, rendering.

mod keeper;
mod moving;
mod refused;
mod returning;
mod shown;
#[cfg(test)]
mod tests;
pub mod worker;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::model::{EntryId, RootName};
use crate::sweep::vault::Turn;

pub use keeper::{Asker, Keeper, Purpose};
pub use moving::Moved;

use super::state::Bell;

/// An entry, and the root that it lies in.
pub type Handed = (RootName, EntryId);

/// What the agent's threads for queue and trash share.
#[derive(Debug, Default)]
pub struct Desk {
    /// On record, and still to be moved.
    waiting: Mutex<VecDeque<Handed>>,
    turns: Mutex<HashMap<RootName, Turn>>,
    /// Wakes the thread that moves.
    pub mover: Bell,
    /// Wakes the thread that removes.
    pub remover: Bell,
}

impl Desk {
    /// The turn at a root's queue and trash, the same for as long as the agent lives.
    pub fn turn(&self, root: &RootName) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Turn::clone(turns.entry(root.clone()).or_default())
    }

    /// Has entries moved in the background.
    pub fn hand_in(&self, entries: impl IntoIterator<Item = Handed>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).extend(entries);
        self.mover.ring();
    }

    /// The next entries to be moved.
    fn take(&self, most: usize) -> Vec<Handed> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(most);
        waiting.drain(..count).collect()
    }

    /// Whether entries are still to be moved.
    fn is_busy(&self) -> bool {
        !self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
