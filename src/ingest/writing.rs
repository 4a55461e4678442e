//! From changes to rows: in bursts, and again while the index does not take them.

use std::time::{Duration, Instant};

use crate::model::Timestamp;
use crate::store::index::{Applied, Change};
use crate::sys::clock;

use super::handle::lock;
use super::root::{MAX_WAITING, Root, World};

/// Changes in one transaction.
const CHUNK: usize = 8_192;

impl Root {
    /// Writes what waits. `background`: differences found count as drift.
    /// `false` if the index did not take it.
    pub(super) fn commit(&mut self, world: &World, background: bool) -> bool {
        if self.changes.is_empty() && self.trouble.is_none() {
            return true;
        }
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| now < at) {
            self.bound_waiting();
            return false;
        }
        let changes = std::mem::take(&mut self.changes);
        let mut done = 0;
        for chunk in changes.chunks(CHUNK) {
            match world.index.apply(self.key(), chunk) {
                Ok(mut applied) => {
                    let grown = std::mem::take(&mut applied.grown);
                    // When what a comparison finds came, nobody knows.
                    if !background {
                        lock(&world.growths).add(self.key(), grown, clock::since_boot());
                    }
                    self.applied(chunk, &applied, background);
                }
                Err(error) => {
                    let text = super::worker::chain(&error);
                    if self.trouble.is_none() {
                        tracing::warn!(root = %self.task.name, error = %text, "the index does not take changes");
                    }
                    self.trouble = Some(text);
                    self.retry_at = Some(now + Duration::from_secs(1));
                    let mut waiting = changes;
                    waiting.drain(..done);
                    waiting.append(&mut self.changes);
                    self.changes = waiting;
                    self.bound_waiting();
                    return false;
                }
            }
            done += chunk.len();
            self.written += chunk.len() as u64;
        }
        self.check_arrived(world);
        if self.trouble.take().is_some() {
            tracing::info!(root = %self.task.name, "the index takes changes again");
            self.retry_at = None;
            if std::mem::take(&mut self.dropped) {
                self.reconcile();
            }
        }
        true
    }

    /// A directory's rows may have gone before it turned up, when something
    /// else took its old name or that of a directory above. Then it counts as
    /// new to the index, and is listed again with all beneath it.
    fn check_arrived(&mut self, world: &World) {
        if self.arrived.is_empty() {
            return;
        }
        let arrived = std::mem::take(&mut self.arrived);
        let snapshot = world.index.snapshot();
        for ino in arrived {
            let row =
                snapshot.as_ref().ok().and_then(|snapshot| snapshot.dir(self.key(), ino).ok().flatten());
            if row.is_none_or(|row| !row.listed) {
                self.queue(ino, true);
            }
        }
    }

    fn bound_waiting(&mut self) {
        if self.changes.len() > MAX_WAITING {
            self.changes = Vec::new();
            self.dropped = true;
        }
    }

    fn applied(&mut self, changes: &[Change], applied: &Applied, background: bool) {
        if background {
            self.drift += applied.drift;
        }
        for change in applied.unresolved.iter().filter_map(|at| changes.get(*at)) {
            match change {
                Change::PutFile { dir, .. }
                | Change::RemoveName { dir, .. }
                | Change::ReplaceListing { dir, .. } => self.restore(*dir),
                Change::PutDir { ino, .. } | Change::MoveDir { ino, .. } => self.restore(*ino),
                Change::RemoveDirTree { .. } => {}
            }
        }
    }

    /// Tells the index of a directory again that it does not know but should,
    /// and of the way down to it.
    fn restore(&mut self, dir: u64) {
        if !self.tree.contains(dir) || self.limbo.contains_key(&dir) {
            return;
        }
        let root = self.tree.root();
        let never = Timestamp::from_unix(0, 0);
        self.changes.push(Change::PutDir { parent: 0, name: Box::default(), ino: root, mtime: never });
        for (parent, name, ino) in self.tree.way_down(dir) {
            self.changes.push(Change::PutDir { parent, name, ino, mtime: never });
        }
        self.queue(dir, true);
    }
}
