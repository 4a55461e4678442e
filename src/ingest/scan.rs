//! The first index of a root: a parallel walk straight into a bulk load.
//!
//! Each directory is watched before it is read, so what changes during the
//! scan is heard of and looked at afterwards; duplicates do no harm.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{FileKind, RelPath};
use crate::store::StoreError;
use crate::store::index::{self, BulkLoad, FileEntry, Index};
use crate::sys::walk::{Found, Walk, WalkEnd};
use crate::sys::{DirHandle, SysError, clock};
use crate::watch::{Added, DirId, Limit, Watcher};

use super::{IngestError, RootTask, Settings};

/// A directory that the scan found.
#[derive(Debug)]
pub(super) struct ScannedDir {
    pub(super) ino: u64,
    pub(super) parent: u64,
    pub(super) name: Box<[u8]>,
    pub(super) watched: bool,
}

/// What a scan came to.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) dirs: Vec<ScannedDir>,
    /// Whether there are files with several names.
    pub(super) has_links: bool,
    pub(super) limit: Option<Limit>,
    pub(super) end: WalkEnd,
}

/// A scan that goes on.
pub(super) struct Scan {
    pub(super) stop: Arc<AtomicBool>,
    pub(super) thread: std::thread::JoinHandle<()>,
}

/// Why a scan came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error(transparent)]
    Walk(#[from] SysError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Starts scanning a root; `done` is called at the end, on the scan's thread.
pub(super) fn start(
    task: &RootTask,
    watcher: &Arc<Watcher>,
    index: &Index,
    settings: Settings,
    done: impl FnOnce(Result<Scanned, ScanError>) + Send + 'static,
) -> Result<Scan, IngestError> {
    let stop = Arc::new(AtomicBool::new(false));
    let (task, watcher, index, flag) = (task.clone(), Arc::clone(watcher), index.clone(), Arc::clone(&stop));
    let name = "guardian-scan";
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || done(scan(&task, &watcher, &index, settings, &flag)))
        .map_err(|source| IngestError::Thread { name, source })?;
    Ok(Scan { stop, thread })
}

/// What the scan's threads gather.
#[derive(Default)]
struct Gathered {
    dirs: Vec<ScannedDir>,
    watched: HashSet<u64>,
    limit: Option<Limit>,
    error: Option<StoreError>,
}

fn scan(
    task: &RootTask,
    watcher: &Watcher,
    index: &Index,
    settings: Settings,
    stop: &AtomicBool,
) -> Result<Scanned, ScanError> {
    let load = index.bulk_load(task.key, task.fingerprint)?;
    let gathered = Mutex::new(Gathered::default());
    let lock = || gathered.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = |dir: &DirHandle, _: &RelPath| {
        let id = DirId { root: u32::from(task.key.0), ino: dir.ino() };
        match watcher.add(id, dir.as_fd(), task.kinds) {
            Added::Watched => {
                lock().watched.insert(dir.ino());
            }
            Added::LimitReached(limit) => lock().limit = Some(limit),
            Added::Refused(error) => {
                let error = super::worker::chain(&error);
                tracing::debug!(root = %task.name, error, "a directory cannot be watched");
            }
            Added::Vanished => {}
        }
    };
    let mut walk = Walk::new(&task.dir)
        .threads(settings.scan_threads)
        .times(task.age_by)
        .exclude(&task.exclusions)
        .stop_on(stop);
    if task.watch {
        walk = walk.before(&hook);
    }
    let has_links = AtomicBool::new(false);
    let end = walk.run(|found| {
        let Some((dir, pushed)) = take(found, task, &load, &has_links) else { return };
        let mut gathered = lock();
        gathered.dirs.push(dir);
        if let Err(error) = pushed {
            stop.store(true, Ordering::Relaxed);
            gathered.error.get_or_insert(error);
        }
    })?;
    let Gathered { mut dirs, watched, limit, error } =
        gathered.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = error {
        return Err(error.into());
    }
    if !end.stopped {
        load.finish(clock::now())?;
    }
    for dir in &mut dirs {
        dir.watched = watched.contains(&dir.ino);
    }
    Ok(Scanned { dirs, has_links: has_links.into_inner(), limit, end })
}

fn take(
    found: Found,
    task: &RootTask,
    load: &BulkLoad,
    has_links: &AtomicBool,
) -> Option<(ScannedDir, Result<(), StoreError>)> {
    let listing = match found {
        Found::Directory(listing) => listing,
        Found::Unread { path, problem } => {
            tracing::debug!(root = %task.name, %path, ?problem, "a directory was not read");
            return None;
        }
    };
    let ino = listing.dir.id.ino;
    let parent = if listing.path.is_root() { 0 } else { listing.parent_ino };
    let name: Box<[u8]> = listing.path.name().into();
    if listing.entries.iter().any(|entry| is_file(entry.facts.id.kind) && entry.facts.nlink > 1) {
        has_links.store(true, Ordering::Relaxed);
    }
    let files = listing
        .entries
        .into_iter()
        .filter(|entry| is_file(entry.facts.id.kind))
        .map(|entry| FileEntry::from_facts(entry.name, &entry.facts, task.age_by))
        .collect();
    let dir = ScannedDir { ino, parent, name: name.clone(), watched: false };
    let pushed = load.push(index::Listing { ino, parent, name, mtime: listing.dir.id.mtime, files });
    Some((dir, pushed))
}

/// Whether something of this kind has a row of its own as a file.
pub(super) const fn is_file(kind: FileKind) -> bool {
    !matches!(kind, FileKind::Directory)
}
