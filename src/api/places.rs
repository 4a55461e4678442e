//! Places for large bodies: how many are in memory at once.
//!
//! Promises: root has one that nobody else takes, and no other user has more
//! than one, so that whoever sends slowly keeps only himself waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Those of all users but root.
const OTHERS: usize = 2;

/// All places.
pub(super) struct Places {
    roots: Semaphore,
    others: Semaphore,
    /// The one that each user may have, as long as he has it or waits for it.
    own: Mutex<Option<HashMap<u32, Weak<Semaphore>>>>,
}

/// One of them, free again on drop.
pub(super) struct Place<'a> {
    _of_all: SemaphorePermit<'a>,
    _own: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) const fn new() -> Self {
        Self { roots: Semaphore::const_new(1), others: Semaphore::const_new(OTHERS), own: Mutex::new(None) }
    }

    /// Waits for a place.
    pub(super) async fn take(&self, uid: u32) -> Result<Place<'_>, AcquireError> {
        if uid == 0 {
            return Ok(Place { _of_all: self.roots.acquire().await?, _own: None });
        }
        let own = self.own_of(uid).acquire_owned().await?;
        Ok(Place { _of_all: self.others.acquire().await?, _own: Some(own) })
    }

    fn own_of(&self, uid: u32) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let users = own.get_or_insert_default();
        users.retain(|_, place| place.strong_count() > 0);
        let known = users.get(&uid).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let place = Arc::new(Semaphore::new(1));
            users.insert(uid, Arc::downgrade(&place));
            place
        })
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.others.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Looks once.
    async fn at_once(places: &Places, uid: u32) -> Option<Place<'_>> {
        tokio::time::timeout(Duration::ZERO, places.take(uid)).await.ok()?.ok()
    }

    #[tokio::test]
    async fn one_user_keeps_nobody_else_waiting_and_nobody_keeps_root_waiting() {
        let places = Places::new();
        let first = at_once(&places, 1000).await;
        assert!(first.is_some() && at_once(&places, 1000).await.is_none(), "one each");
        let second = at_once(&places, 1001).await;
        assert!(second.is_some() && at_once(&places, 1002).await.is_none(), "two in all");
        let roots = at_once(&places, 0).await;
        assert!(roots.is_some() && at_once(&places, 0).await.is_none(), "and root's");
        drop(first);
        assert!(at_once(&places, 1000).await.is_some(), "free again");
    }
}
