//! Listing a directory anew: when it is new, when something of it was missed,
//! and to compare index and disk.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::model::FileKind;
use crate::store::index::{Change, FileEntry};
use crate::sys::walk::{Found, Listing, ProblemKind, Walk};
use crate::sys::{DirHandle, SysError};
use crate::watch::Added;

use super::root::{Root, World};
use super::scan::is_file;

/// Changes that wait before they are written in the midst of listing.
const BURST: usize = 8_192;

impl Root {
    /// Lists directories that wait for it, the urgent ones first, until `until`.
    pub(super) fn list_waiting(&mut self, world: &World, until: Instant) {
        // Those that strand now wait for the next round.
        self.urgent.extend(std::mem::take(&mut self.stranded));
        while let Some(dir) = self.urgent.pop_front() {
            self.list_queued(dir, world, false);
            if self.changes.len() >= BURST && !self.commit(world, false) {
                return;
            }
            if Instant::now() >= until {
                return;
            }
        }
        if self.background.is_empty() || !self.commit(world, false) {
            return;
        }
        while let Some(dir) = self.background.pop_front() {
            self.list_queued(dir, world, true);
            if self.changes.len() >= BURST && !self.commit(world, true) {
                return;
            }
            if Instant::now() >= until {
                break;
            }
        }
        self.commit(world, true);
    }

    fn list_queued(&mut self, dir: u64, world: &World, background: bool) {
        let Some(mark) = self.tree.mark_mut(dir).filter(|mark| mark.queued) else { return };
        mark.queued = false;
        let deep = std::mem::take(&mut mark.deep);
        // What is nowhere now is listed when it turns up.
        let Some(path) = self.tree.path(dir) else {
            self.strand(dir, deep);
            return;
        };
        let watch = self.task.watch && self.tree.mark(dir).is_some_and(|mark| mark.suspect || !mark.watched);
        let (id, kinds) = (self.id(dir), self.task.kinds);
        let added = Mutex::new(None);
        let hook = |handle: &DirHandle, _: &_| {
            use std::os::fd::AsFd;
            if watch && handle.ino() == dir {
                *added.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(world.watcher.add(id, handle.as_fd(), kinds));
            }
        };
        let found = Mutex::new(None);
        let root = std::sync::Arc::clone(&self.task.dir);
        let exclusions = std::sync::Arc::clone(&self.task.exclusions);
        let walked = Walk::new(&root)
            .start(path)
            .only_start()
            .times(self.task.age_by)
            .exclude(&exclusions)
            .before(&hook)
            .run(|seen| *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen));
        let added = added.into_inner().unwrap_or_else(PoisonError::into_inner);
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.note_watch(dir, added);
        self.listed(dir, walked.map(|_| found), deep, background, world);
    }

    fn note_watch(&mut self, dir: u64, added: Option<Added>) {
        match added {
            Some(Added::Watched) => self.set_watched(dir, true),
            Some(Added::LimitReached(limit)) => {
                self.note_limit(Some(limit));
                self.set_watched(dir, false);
            }
            Some(Added::Refused(error)) => {
                let error = super::worker::chain(&error);
                tracing::debug!(dir = %self.shown(dir), error, "a directory cannot be watched");
                self.set_watched(dir, false);
            }
            Some(Added::Vanished) => self.set_watched(dir, false),
            None => {}
        }
    }

    fn listed(
        &mut self,
        dir: u64,
        found: Result<Option<Found>, SysError>,
        deep: bool,
        background: bool,
        world: &World,
    ) {
        match found {
            Ok(Some(Found::Directory(listing))) if listing.dir.id.ino == dir => {
                if let Some(mark) = self.tree.mark_mut(dir) {
                    mark.suspect = false;
                }
                self.compare(dir, listing, deep, background, world);
            }
            Ok(Some(Found::Unread { problem: ProblemKind::Denied | ProblemKind::Failed(_), .. })) => {
                // Nothing is known of it: its rows stay, and it is tried again with the unwatched.
                self.set_watched(dir, false);
            }
            Err(error) if !is_elsewhere(&error) => {
                let error = super::worker::chain(&error);
                tracing::debug!(dir = %self.shown(dir), error, "a directory cannot be listed");
                self.set_watched(dir, false);
            }
            // Gone, moved, or another one is there: look at the way to it.
            Ok(_) | Err(_) => {
                self.strand(dir, deep);
                self.seek(dir);
            }
        }
    }

    /// Makes tree and index equal to a listing.
    fn compare(&mut self, dir: u64, listing: Listing, deep: bool, background: bool, world: &World) {
        let mut files = Vec::with_capacity(listing.entries.len());
        let mut subdirs = Vec::new();
        for entry in listing.entries {
            if is_file(entry.facts.id.kind) {
                if entry.facts.nlink > 1 {
                    self.saw_link();
                    self.linked.insert(entry.facts.id.ino, Some((entry.facts.nlink, entry.facts.id.ctime)));
                }
                files.push(FileEntry::from_facts(entry.name, &entry.facts, self.task.age_by));
            } else {
                debug_assert_eq!(entry.facts.id.kind, FileKind::Directory);
                subdirs.push((entry.name, entry.facts.id.ino, entry.facts.id.mtime));
            }
        }
        if self.task.marks {
            self.read_marks(dir, &mut files, world);
        }
        let there: HashMap<&[u8], u64> = subdirs.iter().map(|(name, ino, _)| (&**name, *ino)).collect();
        let is_missing = |(name, ino): &(&[u8], u64)| there.get(name) != Some(ino);
        let missing: Vec<u64> = self.tree.children(dir).filter(is_missing).map(|(_, ino)| ino).collect();
        for ino in missing {
            self.miss(ino);
        }
        if !background && !deep && self.has_links {
            // A name that the listing lacks may have been a link.
            self.hunt.missed_a_name(Instant::now());
        }
        let root = self.tree.root();
        if dir == root {
            let (name, mtime) = (Box::default(), listing.dir.id.mtime);
            self.changes.push(Change::PutDir { parent: 0, name, ino: root, mtime });
        }
        for (name, ino, mtime) in &subdirs {
            let known = self.tree.contains(*ino);
            let here = self.tree.child(dir, name) == Some(*ino);
            let suspect = self.tree.mark(*ino).is_some_and(|mark| mark.suspect);
            if !here && !self.arrive(*ino, dir, name, *mtime) {
                continue;
            }
            if deep || suspect || !known {
                self.queue_as(*ino, deep, background);
            } else {
                // If the index had lost this directory, it has lost those beneath it as well.
                self.arrived.push(*ino);
            }
        }
        let subdirs = subdirs.into_iter().map(|(name, ino, _)| (name, ino)).collect();
        self.changes.push(Change::ReplaceListing { dir, mtime: listing.dir.id.mtime, files, subdirs });
    }

    /// A directory that is not where it should be is listed as soon as it, or
    /// the one above that was moved, has turned up; or it is forgotten.
    fn strand(&mut self, dir: u64, deep: bool) {
        if let Some(mark) = self.tree.mark_mut(dir) {
            mark.suspect = true;
            mark.queued = true;
            mark.deep |= deep;
            self.stranded.push(dir);
        }
    }

    fn queue_as(&mut self, dir: u64, deep: bool, background: bool) {
        if background {
            if let Some(mark) = self.tree.mark_mut(dir) {
                mark.deep |= deep;
                mark.queued = true;
                self.background.push_back(dir);
            }
        } else {
            self.queue(dir, deep);
        }
    }
}

fn is_elsewhere(error: &SysError) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::CrossesDevices)
        || error.errno() == Some(libc::ELOOP)
}
