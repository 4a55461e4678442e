//! The one walker of trees: parallel, by directory handles.
//!
//! Promises: a directory is delivered whole or not at all; other mounts and
//! devices are never entered; guardian's private directory and excluded inodes
//! are not seen; open descriptors stay bounded however deep or wide the tree
//! is. What could not be read is said, never passed over in silence: an
//! absent listing must not be taken for an empty directory.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::model::{FileKind, FileTimes, RelPath};

use super::dir::EntryBuffer;
use super::private_dir::PRIVATE_NAME;
use super::stat::look_at;
use super::{DirHandle, RootDir, SysError};

mod found;

pub use found::{Entry, Found, Listing, Problem, ProblemKind, WalkEnd};

/// Handles of parents kept for their subdirectories. Beyond that a directory is
/// opened by its path from the root; the usual limit is 1024 descriptors.
const MAX_KEPT_HANDLES: usize = 256;

/// Called with a directory after it was opened and before it is read.
pub type Before<'a> = &'a (dyn Fn(&DirHandle, &RelPath) + Sync);

/// A walk that has not begun.
#[expect(missing_debug_implementations, reason = "holds a closure")]
pub struct Walk<'a> {
    root: &'a RootDir,
    start: RelPath,
    threads: NonZeroUsize,
    times: FileTimes,
    exclude: Option<&'a HashSet<(u64, u64)>>,
    stop: Option<&'a AtomicBool>,
    before: Option<Before<'a>>,
    beneath: bool,
}

struct Pending {
    /// The directory above, or `None` to go from the root.
    parent: Option<Arc<Kept>>,
    parent_ino: u64,
    path: RelPath,
}

/// A handle that counts among [`MAX_KEPT_HANDLES`] while it lives.
struct Kept {
    dir: DirHandle,
    count: Arc<AtomicUsize>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Queue {
    stack: Vec<Pending>,
    busy: usize,
    /// A callback panicked: nobody must wait for what will never come.
    broken: bool,
}

struct Shared<'w, 'a, F> {
    walk: &'w Walk<'a>,
    seen: F,
    queue: Mutex<Queue>,
    changed: Condvar,
    kept: Arc<AtomicUsize>,
    directories: AtomicU64,
    entries: AtomicU64,
    unread: AtomicU64,
}

impl<'a> Walk<'a> {
    /// A walk of the whole root on one thread.
    pub fn new(root: &'a RootDir) -> Self {
        Self {
            root,
            start: RelPath::root(),
            threads: NonZeroUsize::MIN,
            times: FileTimes::default(),
            exclude: None,
            stop: None,
            before: None,
            beneath: true,
        }
    }

    /// Begin at this directory instead of the root. Guardian's private directory
    /// is read only when the start itself lies in it (the trash).
    #[must_use]
    pub fn start(mut self, path: RelPath) -> Self {
        self.start = path;
        self
    }

    /// Read on this many threads; callbacks come from all of them.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }

    /// Which times to ask for.
    #[must_use]
    pub fn times(mut self, times: FileTimes) -> Self {
        self.times = times;
        self
    }

    /// Pass over these `(device, inode)` pairs as if they were not there.
    #[must_use]
    pub fn exclude(mut self, set: &'a HashSet<(u64, u64)>) -> Self {
        self.exclude = Some(set);
        self
    }

    /// End soon after this becomes true.
    #[must_use]
    pub fn stop_on(mut self, flag: &'a AtomicBool) -> Self {
        self.stop = Some(flag);
        self
    }

    /// Call this with each directory after it was opened and before it is read.
    #[must_use]
    pub fn before(mut self, hook: Before<'a>) -> Self {
        self.before = Some(hook);
        self
    }

    /// Only the starting directory, nothing beneath.
    #[must_use]
    pub fn only_start(mut self) -> Self {
        self.beneath = false;
        self
    }

    /// Walks. Returns when everything was delivered or the flag was raised.
    ///
    /// # Errors
    /// When the directory above the start cannot be opened or a thread cannot
    /// be started. A start that cannot be read itself is [`Found::Unread`].
    pub fn run(self, seen: impl Fn(Found) + Sync) -> Result<WalkEnd, SysError> {
        let parent_ino = match self.root.open_parent(&self.start) {
            None => self.root.ino(),
            Some(parent) => parent?.ino(),
        };
        let first = Pending { parent: None, parent_ino, path: self.start.clone() };
        let shared = Shared {
            walk: &self,
            seen,
            queue: Mutex::new(Queue { stack: vec![first], ..Queue::default() }),
            changed: Condvar::new(),
            kept: Arc::default(),
            directories: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            unread: AtomicU64::new(0),
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.get() {
                let thread = std::thread::Builder::new().name("guardian-walk".to_owned());
                // Fewer threads than wished for are slower, not wrong.
                if thread.spawn_scoped(scope, || shared.work()).is_err() {
                    break;
                }
            }
            shared.work();
        });
        Ok(WalkEnd {
            directories: shared.directories.load(Ordering::Relaxed),
            entries: shared.entries.load(Ordering::Relaxed),
            unread: shared.unread.load(Ordering::Relaxed),
            stopped: self.is_stopped(),
        })
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// Marks a worker as busy with a directory, also when its callback panics.
struct Busy<'s, 'w, 'a, F>(&'s Shared<'w, 'a, F>);

impl<F> Drop for Busy<'_, '_, '_, F> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.busy -= 1;
        queue.broken |= std::thread::panicking();
        if queue.broken || (queue.busy == 0 && queue.stack.is_empty()) {
            self.0.changed.notify_all();
        }
    }
}

impl<F: Fn(Found) + Sync> Shared<'_, '_, F> {
    fn work(&self) {
        let mut buffer = EntryBuffer::default();
        while let Some((pending, _busy)) = self.take() {
            self.visit(pending, &mut buffer);
        }
    }

    fn visit(&self, pending: Pending, buffer: &mut EntryBuffer) {
        let path = pending.path.clone();
        match self.read(pending, buffer) {
            Ok(listing) => {
                self.directories.fetch_add(1, Ordering::Relaxed);
                self.entries.fetch_add(listing.entries.len() as u64, Ordering::Relaxed);
                (self.seen)(Found::Directory(listing));
            }
            Err(error) => {
                self.unread.fetch_add(1, Ordering::Relaxed);
                (self.seen)(Found::Unread { path, problem: ProblemKind::of(error) });
            }
        }
    }

    /// Reads one directory and queues its subdirectories.
    fn read(&self, pending: Pending, buffer: &mut EntryBuffer) -> io::Result<Listing> {
        let Pending { parent, parent_ino, path } = pending;
        let mut dir = match parent {
            Some(parent) => parent.dir.open_child(path.name())?,
            None => self.walk.root.handle().open_below(&path)?,
        };
        if let Some(hook) = self.walk.before {
            hook(&dir, &path);
        }
        let facts = dir.facts()?;
        let (entries, problems) = self.list(&mut dir, &path, buffer)?;
        if self.walk.beneath {
            self.queue_beneath(dir, &path, &entries);
        }
        Ok(Listing { path, dir: facts, parent_ino, entries, problems })
    }

    fn list(
        &self,
        dir: &mut DirHandle,
        path: &RelPath,
        buffer: &mut EntryBuffer,
    ) -> io::Result<(Vec<Entry>, Vec<Problem>)> {
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        let (dev, mount_id) = (dir.dev(), dir.mount_id());
        dir.entries(buffer, |dir, raw| {
            let name = raw.name.to_bytes();
            if path.is_root() && name == PRIVATE_NAME.as_bytes() {
                return Ok(());
            }
            let mut problem = |kind| problems.push(Problem { name: Some(name.into()), kind });
            match look_at(dir, raw.name, self.walk.times) {
                Ok(seen) => {
                    let id = seen.facts.id;
                    if self.walk.exclude.is_some_and(|set| set.contains(&(id.dev, id.ino))) {
                        return Ok(());
                    }
                    if seen.mount_point || id.dev != dev || seen.mount_id.is_some_and(|m| m != mount_id) {
                        problem(ProblemKind::OtherMount);
                    } else {
                        entries.push(Entry { name: name.into(), facts: seen.facts });
                    }
                }
                // Removed since the directory was read: then it is not there.
                Err(Errno::NOENT) => {}
                Err(error) => problem(ProblemKind::of(error.into())),
            }
            Ok(())
        })?;
        Ok((entries, problems))
    }

    fn queue_beneath(&self, dir: DirHandle, path: &RelPath, entries: &[Entry]) {
        let below = || entries.iter().filter(|e| e.facts.id.kind == FileKind::Directory);
        if below().next().is_none() {
            return;
        }
        let parent_ino = dir.ino();
        let keep = self.kept.fetch_add(1, Ordering::Relaxed) < MAX_KEPT_HANDLES;
        let kept = Arc::new(Kept { dir, count: Arc::clone(&self.kept) });
        let parent = keep.then_some(kept);
        let mut queue = self.lock();
        queue.stack.extend(below().map(|entry| Pending {
            parent: parent.clone(),
            parent_ino,
            path: path.join(&entry.name),
        }));
        drop(queue);
        self.changed.notify_all();
    }
}

impl<'w, 'a, F> Shared<'w, 'a, F> {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole at every point where a callback can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next directory, or `None` when there will be no more.
    fn take(&self) -> Option<(Pending, Busy<'_, 'w, 'a, F>)> {
        let mut queue = self.lock();
        loop {
            if queue.broken || self.walk.is_stopped() {
                self.changed.notify_all();
                return None;
            }
            // Last in, first out: the deepest directories go first, so that few are open at a time.
            if let Some(pending) = queue.stack.pop() {
                queue.busy += 1;
                drop(queue);
                return Some((pending, Busy(self)));
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests;
