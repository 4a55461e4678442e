//! One root: what is known of it, and what waits to be done.
//!
//! Promises: a directory that is not where it was is sought before it is
//! forgotten. Must not know: how the index is written, how directories are read.

mod comparing;
mod hearing;
mod standing;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::model::{RelPath, Timestamp};
use crate::store::RootKey;
use crate::store::index::{Change, Index};
use crate::watch::{DirId, Limit, Watcher};

use super::growth::Growths;
use super::handles::Handles;
use super::hints::{Heard, Hints};
use super::links::Hunt;
use super::tree::Tree;
use super::{RootTask, Settings};

/// Changes that may wait while the index does not take them. Past that they
/// are dropped, and everything is compared once it does.
pub(super) const MAX_WAITING: usize = 200_000;
/// How often a directory is sought where it should be before all is compared.
const MAX_TRIES: u8 = 5;
/// What a root needs from outside.
pub(super) struct World {
    pub(super) watcher: Arc<Watcher>,
    pub(super) index: Index,
    pub(super) settings: Settings,
    /// What came to each root lately, for whoever asks.
    pub(super) growths: Arc<Mutex<Growths>>,
}

/// One root.
pub(super) struct Root {
    pub(super) task: RootTask,
    pub(super) tree: Tree,
    pub(super) handles: Handles,
    pub(super) hints: Hints,
    /// Hints whose directory was not where it should be.
    pub(super) later: Hints,
    pub(super) urgent: VecDeque<u64>,
    pub(super) background: VecDeque<u64>,
    /// Directories to be listed that are nowhere at the moment.
    pub(super) stranded: Vec<u64>,
    /// Directories that are not where they were and may turn up elsewhere, and
    /// the rounds in which they were missed. The index still has them where they were.
    pub(super) limbo: HashMap<u64, u64>,
    /// Directories of which it is to be seen, when all is written, whether the index kept their rows.
    pub(super) arrived: Vec<u64>,
    pub(super) changes: Vec<Change>,
    /// Files that somebody has open for writing (only where writes are heard of).
    pub(super) open: HashSet<(u64, Box<[u8]>)>,
    /// Inodes with several names, of which one was looked at: its links and
    /// ctime then, or `None` if that name is gone.
    pub(super) linked: HashMap<u64, Option<(u32, Timestamp)>>,
    /// Whether files with several names may be here: only then what a name was
    /// matters once it is gone.
    pub(super) has_links: bool,
    /// Whether any was seen since the last comparison of everything began.
    links_seen: bool,
    /// Links whose other names are still to be found.
    pub(super) hunt: Hunt,
    /// Whether the index knows the marks of all files.
    pub(super) marks_read: bool,
    pub(super) scanning: bool,
    pub(super) reconciling: bool,
    pub(super) reconcile_at: Instant,
    reconcile_began: Instant,
    reconcile_takes: Duration,
    doubts_not_before: Instant,
    pub(super) round: u64,
    /// Changes that the index has taken.
    pub(super) written: u64,
    unwatched_at: Option<Instant>,
    limit: Option<Limit>,
    lost_while_scanning: HashSet<u64>,
    events: u64,
    overflows: u64,
    pub(super) drift: u64,
    last_reconcile: Option<Timestamp>,
    pub(super) trouble: Option<String>,
    pub(super) retry_at: Option<Instant>,
    pub(super) dropped: bool,
}

impl Root {
    pub(super) fn new(task: RootTask, now: Instant, settings: &Settings) -> Self {
        Self {
            tree: Tree::new(task.dir.ino()),
            task,
            handles: Handles::default(),
            hints: Hints::default(),
            later: Hints::default(),
            urgent: VecDeque::new(),
            background: VecDeque::new(),
            stranded: Vec::new(),
            limbo: HashMap::new(),
            arrived: Vec::new(),
            changes: Vec::new(),
            open: HashSet::new(),
            linked: HashMap::new(),
            has_links: false,
            links_seen: false,
            hunt: Hunt::default(),
            marks_read: false,
            scanning: false,
            reconciling: false,
            reconcile_at: now + settings.reconcile_interval,
            reconcile_began: now,
            reconcile_takes: Duration::ZERO,
            doubts_not_before: now,
            round: 0,
            written: 0,
            unwatched_at: None,
            limit: None,
            lost_while_scanning: HashSet::new(),
            events: 0,
            overflows: 0,
            drift: 0,
            last_reconcile: None,
            trouble: None,
            retry_at: None,
            dropped: false,
        }
    }

    pub(super) const fn key(&self) -> RootKey {
        self.task.key
    }

    pub(super) const fn id(&self, ino: u64) -> DirId {
        DirId { root: self.task.key.0 as u32, ino }
    }

    /// Has a directory listed soon.
    pub(super) fn queue(&mut self, dir: u64, deep: bool) {
        if let Some(mark) = self.tree.mark_mut(dir) {
            mark.deep |= deep;
            if !std::mem::replace(&mut mark.queued, true) || !self.background.is_empty() {
                self.urgent.push_back(dir);
            }
        }
    }

    /// Puts a hint off until the directory has been found, which is sought on
    /// the whole way down to where it should be.
    pub(super) fn put_off(&mut self, dir: u64, name: Box<[u8]>, mut heard: Heard) {
        heard.tries += 1;
        if heard.tries > MAX_TRIES {
            if let Some(mark) = self.tree.mark_mut(dir) {
                mark.suspect = true;
            }
            self.reconcile_soon();
            return;
        }
        if heard.tries == 1 {
            self.seek(dir);
        }
        self.later.add(dir, name, heard);
    }

    /// Looks at every name on the way to a directory that is not where it should be.
    pub(super) fn seek(&mut self, dir: u64) {
        self.handles.forget(dir);
        for (parent, name, _) in self.tree.way_down(dir) {
            self.hints.add(parent, name, Heard::LEFT);
        }
    }

    /// Takes a directory from its place; it is forgotten unless it turns up.
    pub(super) fn miss(&mut self, dir: u64) {
        if self.tree.place(dir).is_some() {
            self.tree.detach(dir);
            self.limbo.insert(dir, self.round);
        }
    }

    /// Forgets directories that did not turn up although everything that was
    /// queued when they were missed has been heard since.
    pub(super) fn end_limbo(&mut self, watcher: &Watcher) {
        let round = self.round;
        let over: Vec<u64> =
            self.limbo.iter().filter(|(_, since)| **since < round).map(|(ino, _)| *ino).collect();
        for ino in over {
            self.limbo.remove(&ino);
            self.forget_tree(ino, watcher);
        }
    }

    /// Forgets a directory that is gone, and all beneath it.
    pub(super) fn forget_tree(&mut self, dir: u64, watcher: &Watcher) {
        self.changes.push(Change::RemoveDirTree { ino: dir });
        // Links among what is gone may have other names elsewhere.
        self.hunt.missed_a_name(Instant::now());
        let gone = self.tree.remove(dir);
        for ino in &gone {
            watcher.remove(self.id(*ino));
            self.handles.forget(*ino);
            self.limbo.remove(ino);
        }
        if !self.open.is_empty() {
            self.open.retain(|(dir, _)| !gone.contains(dir));
        }
    }

    pub(super) const fn saw_link(&mut self) {
        self.has_links = true;
        self.links_seen = true;
    }

    pub(super) fn set_watched(&mut self, dir: u64, watched: bool) {
        if let Some(mark) = self.tree.mark_mut(dir) {
            mark.watched = watched;
        }
    }

    pub(super) fn note_limit(&mut self, limit: Option<Limit>) {
        if let Some(limit) = limit
            && self.limit != Some(limit)
        {
            tracing::warn!(root = %self.task.name, help = %limit.help(), "not all directories can be watched");
            self.limit = Some(limit);
        }
    }

    pub(super) fn set_trouble(&mut self, text: Option<String>) {
        self.trouble = text;
    }

    /// Whether an entry is one that must not be indexed: guardian's own.
    pub(super) fn is_own(&self, dir: u64, name: &[u8]) -> bool {
        dir == self.tree.root() && name == crate::sys::private_dir::PRIVATE_NAME.as_bytes()
    }

    /// A path below the root, for messages.
    pub(super) fn shown(&self, dir: u64) -> RelPath {
        self.tree.path(dir).unwrap_or_default()
    }
}
