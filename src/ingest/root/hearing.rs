//! What a root hears: changes as they come, and that some were missed.
//!
//! Promises: what was missed is listed anew; nothing heard while the first
//! scan runs is lost. Must not know: how a hint is followed up.

use crate::watch::{Batch, Seen, What};

use super::super::hints::Heard;
use super::{MAX_WAITING, Root};

impl Root {
    /// Takes in what was heard of this root.
    pub(in crate::ingest) fn hear(&mut self, seen: Seen) {
        self.events += 1;
        if seen.what == What::DirectoryGone {
            self.watch_ended(seen.dir.ino);
        } else if !self.lost_while_scanning.contains(&seen.dir.ino) {
            self.hints.add(seen.dir.ino, seen.name, Heard::of(seen.what, seen.is_dir));
        }
        if self.scanning && self.hints.len() > MAX_WAITING {
            // A listing after the scan costs less than so many looks.
            self.overflows += 1;
            self.lost_while_scanning.extend(self.hints.take().into_iter().map(|hint| hint.dir));
        }
    }

    /// Something of this directory was missed.
    pub(in crate::ingest) fn lose(&mut self, dir: u64) {
        self.overflows += 1;
        if self.scanning {
            self.lost_while_scanning.insert(dir);
        } else if let Some(mark) = self.tree.mark_mut(dir) {
            mark.suspect = true;
            self.queue(dir, false);
        }
    }

    fn watch_ended(&mut self, dir: u64) {
        if self.scanning {
            self.lost_while_scanning.insert(dir);
            return;
        }
        let Some(mark) = self.tree.mark_mut(dir) else { return };
        mark.watched = false;
        mark.suspect = true;
        self.handles.forget(dir);
        if let Some((parent, name)) = self.tree.place(dir) {
            let name = name.into();
            self.hints.add(parent, name, Heard::default());
        }
        self.queue(dir, false);
    }

    /// Hands a whole batch to the roots it concerns.
    pub(in crate::ingest) fn distribute(roots: &mut [Self], batch: Batch) {
        let find =
            |roots: &mut [Self], number: u32| roots.iter().position(|root| u32::from(root.key().0) == number);
        for seen in batch.seen {
            if let Some(at) = find(roots, seen.dir.root) {
                roots[at].hear(seen);
            }
        }
        for dir in batch.lost {
            if let Some(at) = find(roots, dir.root) {
                roots[at].lose(dir.ino);
            }
        }
    }
}
