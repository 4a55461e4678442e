//! Which holds are being released.
//!
//! Promises: who releases one hold follow each other, so that the second finds
//! it gone; those who release several go to the disk together. Must not know:
//! what a release does.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::model::HoldId;

/// The holds that somebody is releasing.
#[derive(Debug, Default)]
pub(super) struct Releasing {
    claimed: Mutex<HashSet<HoldId>>,
    released: Condvar,
}

/// The right to release one hold; ends when dropped.
pub(super) struct Claim<'r> {
    of: &'r Releasing,
    id: &'r HoldId,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.of.claimed().remove(self.id);
        self.of.released.notify_all();
    }
}

impl Releasing {
    fn claimed(&self) -> MutexGuard<'_, HashSet<HoldId>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else is releasing the hold.
    pub(super) fn claim<'r>(&'r self, id: &'r HoldId) -> Claim<'r> {
        let is_claimed = |claimed: &mut HashSet<HoldId>| claimed.contains(id);
        let mut claimed =
            self.released.wait_while(self.claimed(), is_claimed).unwrap_or_else(PoisonError::into_inner);
        claimed.insert(id.clone());
        Claim { of: self, id }
    }
}
