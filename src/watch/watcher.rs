//! All shards together: which directory is watched where.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use notify::ErrorKind;

use super::inbox::{Batch, Inbox};
use super::shard::{Places, Shard, lock};
use super::{Added, DirId, Kinds, Limit, WatchError};

/// How watches are spread, and how many hints may wait.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Directories per inotify instance while there may be more instances.
    /// `notify` scans them all for each directory that goes away (about 50 ns each).
    pub shard_size: usize,
    /// The most inotify instances to use. `fs.inotify.max_user_instances` is
    /// 128 by default and shared with everything else that runs as this user.
    pub max_shards: usize,
    /// The most hints that wait to be fetched; past that, directories are reported as lost.
    pub inbox_capacity: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { shard_size: 500, max_shards: 64, inbox_capacity: 131_072 }
    }
}

/// What is watched, and what was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchStatus {
    /// Directories watched now.
    pub directories: usize,
    /// inotify instances in use.
    pub instances: usize,
    /// How often a kernel queue overflowed since the start.
    pub overflows: u64,
}

/// Watches directories. All methods may be called from any thread, except from
/// the `wake` function. Dropping it ends all watches.
pub struct Watcher {
    settings: Settings,
    inbox: Arc<Inbox>,
    places: Arc<Places>,
    groups: Mutex<HashMap<Kinds, Group>>,
    shards: Mutex<Vec<Arc<Shard>>>,
    overflows: Arc<AtomicU64>,
}

/// The shards that report the same kinds of changes.
#[derive(Default)]
struct Group {
    shards: Vec<Arc<Shard>>,
    /// The one being filled: directories added together stay together, so that
    /// a tree that goes away empties few shards instead of thinning out all.
    filling: usize,
}

impl Watcher {
    /// Makes a watcher that watches nothing yet. `wake` is called, on a thread
    /// of the watcher, when something has arrived for [`Watcher::take`]; it must
    /// return at once (unpark a thread, set a flag).
    pub fn start(settings: Settings, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            settings,
            inbox: Arc::new(Inbox::new(settings.inbox_capacity, Box::new(wake))),
            places: Arc::default(),
            groups: Mutex::default(),
            shards: Mutex::default(),
            overflows: Arc::default(),
        }
    }

    /// Watches the directory open as `fd` (`O_PATH` suffices), whose identity
    /// is `dir`. List it only afterwards: what changes in between is reported.
    ///
    /// Adding a directory again replaces its watch. Do so for each directory
    /// that was reported as lost: the end of an earlier directory with the same
    /// inode number may be among what was missed.
    pub fn add(&self, dir: DirId, fd: BorrowedFd<'_>, kinds: Kinds) -> Added {
        let refused = |source| Added::Refused(WatchError::Directory { root: dir.root, ino: dir.ino, source });
        let shard = match self.shard_for(kinds) {
            Ok(shard) => shard,
            Err(error) if is_limit_of_instances(&error) => return Added::LimitReached(Limit::Instances),
            Err(error) => return Added::Refused(WatchError::Instance(error)),
        };
        let place = match shard.watch(dir, fd) {
            Ok(place) => place,
            Err(error) => {
                return match error.kind {
                    ErrorKind::MaxFilesWatch => Added::LimitReached(Limit::Watches),
                    // The descriptor is open, so its name exists wherever /proc is mounted.
                    ErrorKind::PathNotFound => {
                        Added::Refused(WatchError::NoProc(io::ErrorKind::NotFound.into()))
                    }
                    _ => refused(error),
                };
            }
        };
        let earlier = {
            let mut places = lock(&self.places);
            if !shard.holds(place) {
                return Added::Vanished;
            }
            places.insert(dir, place)
        };
        if let Some(earlier) = earlier {
            self.shard(earlier.shard).inspect(|shard| shard.unwatch(earlier));
        }
        Added::Watched
    }

    /// Stops watching a directory; nothing happens if it is not watched. Hints
    /// that wait already are still handed out.
    pub fn remove(&self, dir: DirId) {
        let place = lock(&self.places).remove(&dir);
        if let Some(place) = place {
            self.shard(place.shard).inspect(|shard| shard.unwatch(place));
        }
    }

    /// Stops watching all directories of a root.
    pub fn remove_root(&self, root: u32) {
        let dirs: Vec<DirId> = lock(&self.places).keys().copied().filter(|dir| dir.root == root).collect();
        for dir in dirs {
            self.remove(dir);
        }
    }

    /// Whether a directory is watched.
    pub fn watches(&self, dir: DirId) -> bool {
        lock(&self.places).contains_key(&dir)
    }

    /// Everything heard since the last call.
    pub fn take(&self) -> Batch {
        self.inbox.take()
    }

    /// Returns when every change that was made before the call is waiting for
    /// [`Watcher::take`]. Costs a round trip to each instance.
    pub fn drain(&self) {
        let shards = lock(&self.shards).clone();
        for shard in shards {
            shard.drain();
        }
    }

    /// What is watched, and what was missed.
    pub fn status(&self) -> WatchStatus {
        WatchStatus {
            directories: lock(&self.places).len(),
            instances: lock(&self.shards).len(),
            overflows: self.overflows.load(Ordering::Relaxed),
        }
    }

    /// How many directories of a root are watched.
    pub fn watched_in(&self, root: u32) -> usize {
        lock(&self.places).keys().filter(|dir| dir.root == root).count()
    }

    fn shard(&self, number: usize) -> Option<Arc<Shard>> {
        lock(&self.shards).get(number).cloned()
    }

    /// The shard that the next directory goes to. Past the limit of instances
    /// the shards grow, doubling together.
    fn shard_for(&self, kinds: Kinds) -> Result<Arc<Shard>, notify::Error> {
        let mut groups = lock(&self.groups);
        let group = groups.entry(kinds).or_default();
        let mut size = self.settings.shard_size.max(1);
        if let Some(shard) = group.with_room(size) {
            return Ok(shard);
        }
        let mut shards = lock(&self.shards);
        if group.shards.is_empty() || shards.len() < self.settings.max_shards {
            let overflows = Arc::clone(&self.overflows);
            let count = move || {
                overflows.fetch_add(1, Ordering::Relaxed);
            };
            let (inbox, places) = (Arc::clone(&self.inbox), Arc::clone(&self.places));
            match Shard::start(shards.len(), kinds, inbox, places, count) {
                Ok(shard) => {
                    let shard = Arc::new(shard);
                    shards.push(Arc::clone(&shard));
                    group.filling = group.shards.len();
                    group.shards.push(Arc::clone(&shard));
                    return Ok(shard);
                }
                Err(error) if group.shards.is_empty() || !is_limit_of_instances(&error) => return Err(error),
                Err(_) => {}
            }
        }
        loop {
            size = size.saturating_mul(2);
            if let Some(shard) = group.with_room(size) {
                return Ok(shard);
            }
        }
    }
}

impl Group {
    fn with_room(&mut self, size: usize) -> Option<Arc<Shard>> {
        let has_room = |shard: &&Arc<Shard>| shard.len() < size;
        if let Some(shard) = self.shards.get(self.filling).filter(has_room) {
            return Some(Arc::clone(shard));
        }
        let (number, shard) = self.shards.iter().enumerate().find(|(_, shard)| has_room(shard))?;
        self.filling = number;
        Some(Arc::clone(shard))
    }
}

/// inotify_init1(2): EMFILE for the user's instances or the process's
/// descriptors, ENFILE for the system's.
fn is_limit_of_instances(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::Io(source) => {
            matches!(source.raw_os_error(), Some(code) if code == libc::EMFILE || code == libc::ENFILE)
        }
        _ => false,
    }
}
