//! Forgetting what was told of files that are gone, so that it never speaks of
//! another file of that name.
//!
//! Promises: a batch is kept by nothing here, neither by a disk nor by
//! somebody's request; what was told of the next file of a name stays, in
//! memory and on record.

use std::collections::HashMap;

use crate::model::{RelPath, RootName, Timestamp};

use super::{Counted, PoisonError, References};

impl References {
    /// These files, by path and inode, are gone: what was told of them before
    /// `before` is forgotten in this process. [`Self::forget_gone`] takes it off
    /// the record.
    pub fn gone<'a>(
        &self,
        root: &RootName,
        files: impl Iterator<Item = (&'a RelPath, u64)>,
        before: Timestamp,
    ) {
        let told: Vec<(&RelPath, u64)> = {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            files.filter(|(path, _)| view.told_of(root, path).is_some()).collect()
        };
        if told.is_empty() {
            return;
        }
        let mut view = self.view_mut();
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let mut forgotten = Vec::new();
        for (path, ino) in told {
            // Told anew meanwhile, it speaks of the file that is there now.
            let of_it = view
                .told_of(root, path)
                .is_some_and(|told| told.recorded.ino == ino && told.tracked_at < before);
            if of_it && let Some(told) = view.remove_track(root, path) {
                forgotten.push(told.uid);
                gone.insert((root.clone(), path.clone()));
            }
        }
        self.counts.give_back(Counted::Tracks, forgotten.into_iter());
    }

    /// Takes what was told of files that are gone off the record. Waits for
    /// requests and for the disk: never to be called between two batches. What
    /// can't be written is tried again the next time.
    pub fn forget_gone(&self) {
        if self.gone.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return;
        }
        let _changes = self.changes();
        let gone = std::mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner));
        let mut by_root: HashMap<RootName, Vec<RelPath>> = HashMap::new();
        {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            for (root, path) in gone {
                // What is in view was told since, and its record with it.
                if view.told_of(&root, &path).is_none() {
                    by_root.entry(root).or_default().push(path);
                }
            }
        }
        for (root, paths) in by_root {
            if let Err(error) = self.ledger.remove_tracks(&root, &paths) {
                tracing::debug!(%root, reason = %crate::agent::chain(&error), "what was told of files that are gone stays on record");
                let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
                gone.extend(paths.into_iter().map(|path| (root.clone(), path)));
            }
        }
    }
}
