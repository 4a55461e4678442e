//! Where hints wait until they are fetched: bounded, and honest when full.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{DirId, Seen};

/// What was heard since the last look.
#[derive(Debug, Default)]
pub struct Batch {
    /// Hints, those of one directory in order.
    pub seen: Vec<Seen>,
    /// Directories of which something may have been missed: list them again.
    pub lost: Vec<DirId>,
}

impl Batch {
    /// Whether nothing was heard.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.lost.is_empty()
    }
}

#[derive(Default)]
struct Waiting {
    seen: Vec<Seen>,
    lost: HashSet<DirId>,
}

/// The bounded meeting point of all shards and the one reader.
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    capacity: usize,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Inbox {
    pub(super) fn new(capacity: usize, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { waiting: Mutex::default(), capacity, wake }
    }

    /// Takes a hint in. When there is no room, its directory counts as lost
    /// until the next fetch; hints of a lost directory need no room at all.
    pub(super) fn put(&self, hint: Seen) {
        let mut waiting = self.lock();
        let was_empty = waiting.is_empty();
        if waiting.seen.len() >= self.capacity {
            waiting.lost.insert(hint.dir);
        } else if !waiting.lost.contains(&hint.dir) {
            waiting.seen.push(hint);
        }
        drop(waiting);
        if was_empty {
            (self.wake)();
        }
    }

    /// Notes directories of which something may have been missed.
    pub(super) fn lose(&self, dirs: impl IntoIterator<Item = DirId>) {
        let mut waiting = self.lock();
        waiting.lost.extend(dirs);
        drop(waiting);
        (self.wake)();
    }

    /// Everything that waits.
    pub(super) fn take(&self) -> Batch {
        let Waiting { seen, lost } = std::mem::take(&mut *self.lock());
        Batch { seen, lost: lost.into_iter().collect() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Each change below the lock is one insertion: nothing to repair.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.lost.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::What;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn hint(ino: u64, name: &str) -> Seen {
        let dir = DirId { root: 1, ino };
        Seen { dir, name: name.as_bytes().into(), what: What::Created, is_dir: Some(false) }
    }

    #[test]
    fn a_full_inbox_names_the_directories_it_dropped_hints_of() {
        let inbox = Inbox::new(2, Box::new(|| ()));
        for (dir, name) in [(7, "a"), (7, "b"), (7, "c"), (8, "d")] {
            inbox.put(hint(dir, name));
        }
        let mut batch = inbox.take();
        batch.lost.sort();
        assert_eq!(batch.seen.len(), 2);
        assert_eq!(batch.lost, [DirId { root: 1, ino: 7 }, DirId { root: 1, ino: 8 }]);
        inbox.put(hint(7, "e"));
        let batch = inbox.take();
        assert_eq!((batch.seen.len(), batch.lost.len()), (1, 0));
    }

    #[test]
    fn the_reader_is_woken_once_for_hints_that_wait_together() {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let inbox = Inbox::new(
            100,
            Box::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
            }),
        );
        inbox.put(hint(1, "a"));
        inbox.put(hint(1, "b"));
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        assert!(!inbox.take().is_empty());
        inbox.put(hint(1, "c"));
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
