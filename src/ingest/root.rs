//! One root: what is known of it, and what waits to be done.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::model::{FileKind, RelPath, Timestamp};
use crate::store::RootKey;
use crate::store::index::{Change, Index};
use crate::watch::{Batch, DirId, Limit, Seen, Watcher, What};

use super::growth::Growths;
use super::handles::Handles;
use super::hints::{Heard, Hints};
use super::links::Hunt;
use super::status::{Confidence, RootState, RootStatus};
use super::tree::Tree;
use super::{RootTask, Settings};

/// Changes that may wait while the index does not take them. Past that they
/// are dropped, and everything is compared once it does.
pub(super) const MAX_WAITING: usize = 200_000;
/// How often a directory is sought where it should be before all is compared.
const MAX_TRIES: u8 = 5;
/// Comparing everything because a link may have been missed takes at most one
/// part in so many of the time.
const DOUBT_SHARE: u32 = 25;
/// Up to this time such a comparison is worth waiting for.
const SHORT: Duration = Duration::from_millis(10);

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

    /// Takes in what was heard of this root.
    pub(super) fn hear(&mut self, seen: Seen) {
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
    pub(super) fn lose(&mut self, dir: u64) {
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

    /// Has a directory listed soon.
    pub(super) fn queue(&mut self, dir: u64, deep: bool) {
        if let Some(mark) = self.tree.mark_mut(dir) {
            mark.deep |= deep;
            if !std::mem::replace(&mut mark.queued, true) || !self.background.is_empty() {
                self.urgent.push_back(dir);
            }
        }
    }

    /// Has everything compared with the disk, in the background.
    pub(super) fn reconcile(&mut self) {
        self.reconciling = true;
        self.reconcile_began = Instant::now();
        self.hunt.settle_doubts();
        self.links_seen = false;
        let root = self.tree.root();
        if let Some(mark) = self.tree.mark_mut(root) {
            mark.deep = true;
            mark.queued = true;
        }
        self.background.push_back(root);
    }

    /// Has everything compared soon: something does not fit together.
    pub(super) fn reconcile_soon(&mut self) {
        self.reconcile_at = self.reconcile_at.min(Instant::now() + Duration::from_secs(1));
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

    /// What happens by the clock. Gives the next time at which something will.
    pub(super) fn tick(&mut self, now: Instant, settings: &Settings) -> Option<Instant> {
        if self.scanning {
            return None;
        }
        if now >= self.reconcile_at {
            self.reconcile_at = now + settings.reconcile_interval;
            if !self.reconciling {
                self.reconcile();
            }
        }
        let doubts = (self.hunt.doubts() && !self.reconciling).then_some(self.doubts_not_before);
        if doubts.is_some_and(|at| at <= now) {
            self.reconcile();
        }
        let unwatched_at = *self.unwatched_at.get_or_insert(now + settings.unwatched_interval);
        if now >= unwatched_at {
            self.unwatched_at = Some(now + settings.unwatched_interval);
            let dirs: Vec<u64> =
                self.tree.inodes().filter(|(_, mark)| !mark.watched).map(|(ino, _)| ino).collect();
            for dir in dirs {
                self.queue(dir, false);
            }
        }
        let pending = self.retry_at.filter(|_| self.trouble.is_some());
        [Some(self.reconcile_at), self.unwatched_at, pending, self.hunt.next(), doubts]
            .into_iter()
            .flatten()
            .min()
    }

    /// The comparison of everything has come to its end.
    pub(super) fn reconciled(&mut self, at: Timestamp) {
        self.reconciling = false;
        self.last_reconcile = Some(at);
        self.has_links = self.links_seen;
        let took = self.reconcile_began.elapsed();
        self.reconcile_takes = took;
        self.doubts_not_before = Instant::now() + took * DOUBT_SHARE;
    }

    /// Forgets what is known: all of it is about to be found anew.
    pub(super) fn begin_scan(&mut self) {
        self.scanning = true;
        self.reconciling = false;
        self.tree = Tree::new(self.task.dir.ino());
        for queue in [&mut self.urgent, &mut self.background] {
            queue.clear();
        }
        self.stranded.clear();
        self.limbo.clear();
        self.arrived.clear();
        self.changes.clear();
        self.linked.clear();
        self.dropped = false;
        self.retry_at = None;
    }

    /// Takes over what the first scan found: directories as (inode, parent, name, watched).
    pub(super) fn scanned(
        &mut self,
        dirs: Vec<super::scan::ScannedDir>,
        limit: Option<Limit>,
        at: Timestamp,
    ) {
        self.scanning = false;
        self.last_reconcile = Some(at);
        self.note_limit(limit);
        let mut beneath: HashMap<u64, Vec<super::scan::ScannedDir>> = HashMap::new();
        let mut twice = Vec::new();
        for dir in dirs {
            if dir.ino == self.tree.root() {
                self.set_watched(dir.ino, dir.watched);
            } else {
                beneath.entry(dir.parent).or_default().push(dir);
            }
        }
        let mut next = vec![self.tree.root()];
        while let Some(parent) = next.pop() {
            for dir in beneath.remove(&parent).unwrap_or_default() {
                if self.tree.contains(dir.ino) || self.tree.child(parent, &dir.name).is_some() {
                    // Renamed while it was walked: seen at two places, or two at one.
                    twice.extend([parent, dir.ino]);
                } else if self.tree.attach(dir.ino, parent, &dir.name) {
                    self.set_watched(dir.ino, dir.watched);
                    next.push(dir.ino);
                }
            }
        }
        // What hangs from a directory that was not delivered was moved during the walk.
        if !beneath.is_empty() {
            self.reconcile_soon();
        }
        for dir in twice {
            self.queue(dir, true);
        }
        for dir in std::mem::take(&mut self.lost_while_scanning) {
            self.lose(dir);
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

    /// Whether something waits that the next round can do.
    pub(super) fn has_work(&self) -> bool {
        let waiting = [&self.hints, &self.later].iter().any(|hints| !hints.is_empty());
        waiting
            || !self.linked.is_empty()
            || !(self.urgent.is_empty() && self.stranded.is_empty() && self.limbo.is_empty())
    }

    /// Whether everything known of has been applied.
    pub(super) fn is_settled(&self) -> bool {
        !self.scanning
            && !self.has_work()
            && self.changes.is_empty()
            && self.arrived.is_empty()
            && !self.hunt.is_near()
            && !self.doubts_are_near()
    }

    fn doubts_are_near(&self) -> bool {
        (self.hunt.doubts() || self.reconciling)
            && self.last_reconcile.is_some()
            && self.reconcile_takes < SHORT
    }

    pub(super) fn set_trouble(&mut self, text: Option<String>) {
        self.trouble = text;
    }

    pub(super) fn status(&self, entries: Option<u64>, before: Option<&RootStatus>) -> RootStatus {
        let unwatched: Vec<u64> = if self.scanning {
            Vec::new()
        } else {
            self.tree.inodes().filter(|(_, mark)| !mark.watched).map(|(ino, _)| ino).collect()
        };
        let directories = self.tree.len() as u64;
        let state = match (self.scanning, unwatched.is_empty()) {
            (true, _) => RootState::Scanning,
            (false, true) => RootState::Ready,
            (false, false) => RootState::Unwatched,
        };
        let confidence = if self.scanning || self.trouble.is_some() || self.dropped {
            Confidence::Incomplete
        } else if self.reconciling {
            Confidence::Reconciling
        } else {
            Confidence::Exact
        };
        RootStatus {
            state,
            confidence,
            entries: entries.or(before.map(|before| before.entries)).unwrap_or(0),
            directories,
            watched: directories - unwatched.len() as u64,
            unwatched: unwatched.len() as u64,
            unwatched_examples: unwatched.iter().take(10).filter_map(|ino| self.tree.path(*ino)).collect(),
            limit: self.limit.filter(|_| !unwatched.is_empty()),
            stale: self.urgent.len() as u64,
            overflows: self.overflows,
            drift: self.drift,
            last_reconcile: self.last_reconcile,
            trouble: self.trouble.clone(),
        }
    }

    /// Whether an entry is one that must not be indexed: guardian's own.
    pub(super) fn is_own(&self, dir: u64, name: &[u8]) -> bool {
        dir == self.tree.root() && name == crate::sys::private_dir::PRIVATE_NAME.as_bytes()
    }

    /// Hands a whole batch to the roots it concerns.
    pub(super) fn distribute(roots: &mut [Self], batch: Batch) {
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

    /// A path below the root, for messages.
    pub(super) fn shown(&self, dir: u64) -> RelPath {
        self.tree.path(dir).unwrap_or_default()
    }
}

/// Whether something of this kind has a row of its own as a file.
pub(super) const fn is_file(kind: FileKind) -> bool {
    !matches!(kind, FileKind::Directory)
}
