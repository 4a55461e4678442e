//! Counting the bytes of a root without an index.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::FileKind;
use crate::sys::dir::RootDir;
use crate::sys::walk::{Found, Walk};

use super::CapacityCounter;

/// Counts the allocated bytes of a root with a capacity, each inode once, by
/// walking it at each look: for where nobody keeps counters. `own` is left out.
pub fn by_walking(dir: &Arc<RootDir>, own: &Arc<HashSet<(u64, u64)>>) -> CapacityCounter {
    by_walking_told(dir, own, || {})
}

/// The same; `told` is called for each directory: a walk can take long.
pub fn by_walking_told(
    dir: &Arc<RootDir>,
    own: &Arc<HashSet<(u64, u64)>>,
    told: impl Fn() + Send + Sync + 'static,
) -> CapacityCounter {
    let (dir, own) = (Arc::clone(dir), Arc::clone(own));
    Arc::new(move || {
        let counted: Mutex<(u64, HashSet<u64>)> = Mutex::default();
        let end = Walk::new(&dir).exclude(&own).run(|found| {
            let Found::Directory(listing) = found else { return };
            told();
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            for entry in &listing.entries {
                let facts = &entry.facts;
                let first = facts.nlink <= 1 || counted.1.insert(facts.id.ino);
                if facts.id.kind != FileKind::Directory && first {
                    counted.0 = counted.0.saturating_add(facts.allocated);
                }
            }
        });
        end.ok()?;
        Some(counted.into_inner().unwrap_or_else(PoisonError::into_inner).0)
    })
}
