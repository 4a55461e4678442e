//! From a hint to a change: the name is looked at, and what is there counts.

use std::io;
use std::time::Instant;

use crate::model::{FileFacts, FileKind, Timestamp};
use crate::store::StoreError;
use crate::store::index::{Change, FileEntry, Snapshot};
use crate::sys::{Seen, xattr};
use crate::watch::Watcher;

use super::hints::{Heard, Hint};
use super::root::{Root, World};

/// A read transaction, opened when first needed.
pub(super) struct Reading<'a> {
    world: &'a World,
    snapshot: Option<Result<Snapshot, StoreError>>,
}

impl<'a> Reading<'a> {
    pub(super) const fn new(world: &'a World) -> Self {
        Self { world, snapshot: None }
    }

    /// `None` while the index cannot be read: then what it would have told is
    /// set right by the next comparison.
    fn get(&mut self) -> Option<&Snapshot> {
        self.snapshot.get_or_insert_with(|| self.world.index.snapshot()).as_ref().ok()
    }
}

impl Root {
    /// Looks at everything that was heard of.
    pub(super) fn look_at_hints(&mut self, world: &World) {
        self.round += 1;
        let mut reading = Reading::new(world);
        for hint in self.hints.take() {
            self.look(hint, &world.watcher, &mut reading);
        }
        drop(reading);
        let later = self.later.take();
        for hint in later {
            self.hints.add(hint.dir, hint.name, hint.heard);
        }
    }

    fn look(&mut self, hint: Hint, watcher: &Watcher, reading: &mut Reading<'_>) {
        if !self.tree.contains(hint.dir) {
            // Beneath a directory that is gone from here: none of ours any more.
            watcher.remove(self.id(hint.dir));
            return;
        }
        if self.is_own(hint.dir, &hint.name) {
            return;
        }
        let (times, marks) = (self.task.age_by, self.task.marks);
        let mut expires_at = None;
        let looked = match self.open(hint.dir) {
            Ok(dir) => dir.look(&hint.name, times).inspect(|seen| {
                if marks && seen.facts.id.kind == FileKind::Regular {
                    expires_at = xattr::expires_by_name(dir, &hint.name);
                }
            }),
            Err(error) => {
                tracing::debug!(dir = %self.shown(hint.dir), %error, "a directory is not where it was");
                self.put_off(hint.dir, hint.name, hint.heard);
                return;
            }
        };
        match looked {
            Ok(seen) if self.is_foreign(&seen) => self.gone(hint, watcher, reading),
            Ok(seen) if seen.facts.id.kind == FileKind::Directory => self.found_directory(&hint, &seen.facts),
            Ok(seen) => self.found_file(hint, &FileFacts { expires_at, ..seen.facts }, reading),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.gone(hint, watcher, reading),
            Err(error) => {
                tracing::debug!(dir = %self.shown(hint.dir), %error, "failed to look at a file");
                self.put_off(hint.dir, hint.name, hint.heard);
            }
        }
    }

    /// The handle of a directory, verified to be the one that is meant.
    pub(super) fn open(&mut self, ino: u64) -> io::Result<&crate::sys::DirHandle> {
        if self.handles.get(ino).is_none() {
            let path = self.tree.path(ino).ok_or(io::ErrorKind::NotFound)?;
            let dir = self.task.dir.handle().open_below(&path)?;
            if dir.ino() != ino {
                return Err(io::ErrorKind::NotFound.into());
            }
            self.handles.put(dir);
        }
        self.handles.get(ino).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn is_foreign(&self, seen: &Seen) -> bool {
        let id = seen.facts.id;
        let root = &self.task.dir;
        seen.mount_point
            || id.dev != root.dev()
            || seen.mount_id.is_some_and(|mount| mount != root.mount_id())
            || self.task.exclusions.contains(&(id.dev, id.ino))
    }

    fn found_file(&mut self, hint: Hint, facts: &FileFacts, reading: &mut Reading<'_>) {
        if self.has_links {
            self.link_gone(hint.dir, &hint.name, Some(facts.id.ino), hint.heard, reading);
        }
        self.displace(hint.dir, &hint.name, None);
        let entry = FileEntry::from_facts(hint.name.clone(), facts, self.task.age_by);
        self.changes.push(Change::PutFile { dir: hint.dir, entry });
        if facts.nlink > 1 {
            self.saw_link();
            self.linked.insert(facts.id.ino, Some((facts.nlink, facts.id.ctime)));
        }
        if self.task.kinds.writes
            && let Some(open) = hint.heard.open
        {
            let file = (hint.dir, hint.name);
            if open {
                self.open.insert(file);
            } else {
                self.open.remove(&file);
            }
        }
    }

    fn found_directory(&mut self, hint: &Hint, facts: &FileFacts) {
        let ino = facts.id.ino;
        if ino == self.tree.root() {
            return;
        }
        let known = self.tree.contains(ino);
        let here = self.tree.child(hint.dir, &hint.name) == Some(ino);
        if !self.arrive(ino, hint.dir, &hint.name, facts.id.mtime) {
            return;
        }
        if known
            && !here
            && hint.heard.made
            && let Some(mark) = self.tree.mark_mut(ino)
        {
            // Made, not renamed: another directory with the number of an earlier one.
            mark.suspect = true;
        }
        if !known || self.tree.mark(ino).is_some_and(|mark| mark.suspect) {
            self.queue(ino, false);
        }
    }

    /// Notes that a directory is at this place now, whatever was there before.
    /// `false` if it cannot be there by what is known.
    pub(super) fn arrive(&mut self, ino: u64, parent: u64, name: &[u8], mtime: Timestamp) -> bool {
        self.displace(parent, name, Some(ino));
        self.limbo.remove(&ino);
        if self.tree.contains(ino) {
            self.arrived.push(ino);
        }
        if !self.tree.attach(ino, parent, name) {
            // It would lie beneath itself: what is known of the way there is out of date.
            self.seek(parent);
            self.reconcile_soon();
            return false;
        }
        self.changes.push(Change::PutDir { parent, name: name.into(), ino, mtime });
        true
    }

    /// Something else than the directory known there has this name now.
    fn displace(&mut self, dir: u64, name: &[u8], by: Option<u64>) {
        if let Some(known) = self.tree.child(dir, name)
            && by != Some(known)
        {
            self.miss(known);
        }
    }

    fn gone(&mut self, hint: Hint, watcher: &Watcher, reading: &mut Reading<'_>) {
        let Hint { dir, name, heard } = hint;
        if let Some(known) = self.tree.child(dir, &name) {
            if heard.left {
                self.miss(known);
            } else {
                self.forget_tree(known, watcher);
            }
            return;
        }
        if self.has_links {
            self.link_gone(dir, &name, None, heard, reading);
        }
        self.open.remove(&(dir, name.clone()));
        self.changes.push(Change::RemoveName { dir, name });
    }

    /// What had this name before may have other names, which are to be looked at.
    fn link_gone(
        &mut self,
        dir: u64,
        name: &[u8],
        now: Option<u64>,
        heard: Heard,
        reading: &mut Reading<'_>,
    ) {
        let key = self.key();
        match reading.get().and_then(|snapshot| snapshot.file(key, dir, name).ok().flatten()) {
            Some(before) if before.nlink > 1 && now != Some(before.ino) => {
                self.linked.entry(before.ino).or_insert(None);
            }
            // It came and went before anybody looked.
            None if now.is_none() && (heard.made || heard.arrived) => self.hunt.missed_a_name(Instant::now()),
            _ => {}
        }
    }

    /// Has the files measured again that somebody has open for writing.
    pub(super) fn look_at_open(&mut self) {
        for (dir, name) in &self.open {
            self.hints.add(*dir, name.clone(), Heard::default());
        }
    }
}
