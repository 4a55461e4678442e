//! Files with several names: a link or unlink at one of them changes links and
//! ctime of all, and the kernel tells only of the one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::hints::Heard;
use super::root::{Root, World};

/// Rows read at a time while looking for names.
const PAGE: usize = 10_000;
/// Names that were not found are remembered up to this number.
const REMEMBERED: usize = 10_000;

/// Inodes with more links than the index knows names as links of them: a file
/// that was linked for the first time is in the index as one with a single
/// name, and can only be found by reading all rows. That is done for all of
/// them together, and so rarely that it takes a twentieth of the time at most.
#[derive(Debug, Default)]
pub(super) struct Hunt {
    /// Inode to number of links.
    wanted: HashMap<u64, u32>,
    /// Whose other names were not to be found: they lie outside the root.
    done: HashMap<u64, u32>,
    not_before: Option<Instant>,
    took: Duration,
    /// When a file with several names was last seen.
    in_use: Option<Instant>,
    /// A name came and went unseen: if it was a link, its file may have been written through it.
    unseen: bool,
}

/// How long after a link was seen names that come and go unseen may be links.
const IN_USE: Duration = Duration::from_secs(60);

/// Up to this time a hunt is short enough to be waited for.
const SHORT: Duration = Duration::from_millis(50);

impl Hunt {
    fn want(&mut self, ino: u64, nlink: u32) {
        if self.done.get(&ino) != Some(&nlink) {
            self.wanted.insert(ino, nlink);
        }
    }

    /// When the next one may begin; `None` if there is nothing to be found.
    pub(super) fn next(&self) -> Option<Instant> {
        (!self.wanted.is_empty()).then(|| self.not_before.unwrap_or_else(Instant::now))
    }

    /// A name may have gone that nobody looked at. As long as links are in use
    /// here it may have been one.
    pub(super) fn missed_a_name(&mut self, now: Instant) {
        self.unseen |= self.in_use.is_some_and(|at| now.saturating_duration_since(at) < IN_USE);
    }

    /// Whether everything should be compared, because of names that were missed.
    pub(super) const fn doubts(&self) -> bool {
        self.unseen
    }

    pub(super) fn settle_doubts(&mut self) {
        self.unseen = false;
    }

    /// Whether one is to come that is worth waiting for.
    pub(super) fn is_near(&self) -> bool {
        !self.wanted.is_empty() && self.took < SHORT
    }

    fn begin(&mut self, now: Instant) -> Option<HashMap<u64, u32>> {
        if self.wanted.is_empty() || self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        Some(std::mem::take(&mut self.wanted))
    }

    fn end(&mut self, missing: HashMap<u64, u32>, began: Instant, now: Instant) {
        if self.done.len() > REMEMBERED {
            self.done.clear();
        }
        self.done.extend(missing);
        self.took = now - began;
        self.not_before = Some(now + self.took * 20 + Duration::from_millis(20));
    }
}

impl Root {
    /// After a link appeared or went, looks at the other names of the inode that
    /// are known to be links.
    pub(super) fn follow_links(&mut self, world: &World) {
        if self.linked.is_empty() {
            return;
        }
        let linked = std::mem::take(&mut self.linked);
        self.hunt.in_use = Some(Instant::now());
        let Ok(snapshot) = world.index.snapshot() else {
            self.reconcile_soon();
            return;
        };
        for (ino, now) in linked {
            let Ok(names) = snapshot.links_of(self.key(), ino) else { continue };
            match now {
                Some(now) => {
                    if (names.len() as u64) < u64::from(now.0) {
                        self.hunt.want(ino, now.0);
                    }
                    for name in names.into_iter().filter(|name| (name.entry.nlink, name.entry.ctime) != now) {
                        self.hints.add(name.dir, name.entry.name, Heard::default());
                    }
                }
                // One look at any other name tells how it is now.
                None => {
                    if let Some(name) = names.into_iter().next() {
                        self.hints.add(name.dir, name.entry.name, Heard::default());
                    }
                }
            }
        }
    }

    /// Looks for names of linked files that the index has as files of their own.
    pub(super) fn hunt_links(&mut self, world: &World) {
        let began = Instant::now();
        let Some(wanted) = self.hunt.begin(began) else { return };
        let mut missing = wanted.clone();
        let mut after = None;
        loop {
            let page = world
                .index
                .snapshot()
                .and_then(|snapshot| snapshot.files_page(self.key(), after.as_ref(), PAGE));
            let Ok(page) = page else {
                self.reconcile_soon();
                break;
            };
            for file in &page {
                if wanted.get(&file.entry.ino).is_some_and(|nlink| file.entry.nlink != *nlink) {
                    missing.remove(&file.entry.ino);
                    self.hints.add(file.dir, file.entry.name.clone(), Heard::default());
                }
            }
            after = page
                .last()
                .map(|last| crate::store::index::Cursor { dir: last.dir, name: last.entry.name.clone() });
            if page.len() < PAGE {
                break;
            }
        }
        self.hunt.end(missing, began, Instant::now());
    }
}
