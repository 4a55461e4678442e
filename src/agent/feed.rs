//! Keeps the index abreast of our own removals, without waiting for events.

use std::collections::HashMap;

use crate::ingest::IngestHandle;
use crate::model::RelPath;
use crate::store::RootKey;
use crate::store::index::Index;

use super::surroundings::Feed;

/// Has the names that went looked at again.
pub struct IndexFeed {
    index: Index,
    ingest: IngestHandle,
}

impl IndexFeed {
    /// For this index and its writer.
    pub const fn new(index: Index, ingest: IngestHandle) -> Self {
        Self { index, ingest }
    }
}

impl Feed for IndexFeed {
    fn look_at(&self, root: RootKey, paths: &[RelPath]) {
        // What can't be told now is seen by events or the next comparison.
        let Ok(snapshot) = self.index.snapshot() else { return };
        let mut dirs: HashMap<RelPath, Option<u64>> = HashMap::new();
        let mut names = Vec::with_capacity(paths.len());
        for path in paths {
            let parent = path.parent().unwrap_or_default();
            let ino =
                *dirs.entry(parent).or_insert_with_key(|dir| snapshot.dir_ino(root, dir).ok().flatten());
            if let Some(ino) = ino {
                names.push((ino, Box::from(path.name())));
            }
        }
        drop(snapshot);
        if let Err(error) = self.ingest.look_at(root, names) {
            tracing::debug!(reason = %super::chain(&error), "the index learns of removals by events alone");
        }
    }
}
