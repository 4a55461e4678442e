//! When everything is compared with the disk: by the clock, after doubts, and
//! by the first scan.
//!
//! Promises: comparing because of doubts takes its share of the time, no more;
//! what the first scan saw twice is looked at again. Must not know: how a
//! directory is listed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::Timestamp;
use crate::watch::Limit;

use super::super::Settings;
use super::super::scan::ScannedDir;
use super::super::tree::Tree;
use super::Root;

/// Comparing everything because a link may have been missed takes at most one
/// part in so many of the time.
const DOUBT_SHARE: u32 = 25;
impl Root {
    /// Has everything compared with the disk, in the background.
    pub(in crate::ingest) fn reconcile(&mut self) {
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
    pub(in crate::ingest) fn reconcile_soon(&mut self) {
        self.reconcile_at = self.reconcile_at.min(Instant::now() + Duration::from_secs(1));
    }

    /// What happens by the clock. Gives the next time at which something will.
    pub(in crate::ingest) fn tick(&mut self, now: Instant, settings: &Settings) -> Option<Instant> {
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
    pub(in crate::ingest) fn reconciled(&mut self, at: Timestamp) {
        self.reconciling = false;
        self.last_reconcile = Some(at);
        self.has_links = self.links_seen;
        let took = self.reconcile_began.elapsed();
        self.reconcile_takes = took;
        self.doubts_not_before = Instant::now() + took * DOUBT_SHARE;
    }

    /// Forgets what is known: all of it is about to be found anew.
    pub(in crate::ingest) fn begin_scan(&mut self) {
        self.scanning = true;
        self.reconcile_began = Instant::now();
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
    pub(in crate::ingest) fn scanned(&mut self, dirs: Vec<ScannedDir>, limit: Option<Limit>, at: Timestamp) {
        self.scanning = false;
        self.last_reconcile = Some(at);
        // Until one was seen: a comparison reads what the scan has read.
        self.reconcile_takes = self.reconcile_began.elapsed();
        self.note_limit(limit);
        let mut beneath: HashMap<u64, Vec<ScannedDir>> = HashMap::new();
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
}
