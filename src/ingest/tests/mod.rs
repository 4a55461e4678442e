//! Behaviour on real trees: whatever happens on disk, the index comes to equal it.

mod following;
mod limits;
mod measures;
mod standing;
mod storm;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::model::{FileTimes, RelPath};
use crate::store::index::{Index, OpenOptions};
use crate::watch::Kinds;

const KEY: RootKey = RootKey(3);

/// Path below the root to inode and size (0 for directories).
type Entries = BTreeMap<Vec<u8>, (u64, u64)>;

struct Setup {
    tree: TempDir,
    state: TempDir,
    index: Index,
    ingest: Ingest,
    task: RootTask,
}

fn open_index(state: &Path) -> Index {
    let readings = Arc::new(|_| -> crate::store::index::Readings { Arc::new(|_: &[u8], _: &mut Vec<_>| ()) });
    Index::open(&state.join("index.redb"), OpenOptions { cache_bytes: 16 << 20, readings }).unwrap().0
}

fn task(tree: &Path) -> RootTask {
    RootTask {
        key: KEY,
        name: "scratch".parse().unwrap(),
        dir: Arc::new(RootDir::open(tree).unwrap()),
        exclusions: Arc::default(),
        watch: true,
        kinds: Kinds::default(),
        marks: true,
        age_by: FileTimes::default(),
        fingerprint: 7,
    }
}

fn settings() -> Settings {
    Settings { scan_threads: NonZeroUsize::new(2).unwrap(), ..Settings::default() }
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

impl Setup {
    fn with(settings: Settings, prepare: impl FnOnce(&Path), adapt: impl FnOnce(&mut RootTask)) -> Self {
        let (tree, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        prepare(tree.path());
        let mut task = task(tree.path());
        adapt(&mut task);
        let index = open_index(state.path());
        let ingest = Ingest::start(index.clone(), settings, Arc::default()).unwrap();
        ingest.handle().add_root(task.clone()).unwrap();
        Self { tree, state, index, ingest, task }
    }

    fn new(prepare: impl FnOnce(&Path)) -> Self {
        let setup = Self::with(settings(), prepare, |_| ());
        setup.settle();
        setup
    }

    fn settle(&self) {
        self.ingest.handle().settle(KEY, later()).unwrap();
    }

    fn path(&self, below: &str) -> PathBuf {
        self.tree.path().join(below)
    }

    fn indexed(&self) -> Entries {
        indexed(&self.index, self.task.dir.ino())
    }

    fn status(&self) -> RootStatus {
        self.ingest.handle().status(KEY).unwrap()
    }

    /// As [`Self::assert_equal`], but a moment later: a file that was written
    /// through a link that nobody looked at is found only by comparing everything.
    fn assert_equal_soon(&self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.indexed() != on_disk(self.tree.path()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.assert_equal();
    }

    /// Settles, then compares; each path that differs is named.
    fn assert_equal(&self) {
        self.settle();
        assert_same(&self.indexed(), &on_disk(self.tree.path()));
        let mut seen = HashSet::new();
        let allocated: u64 = walkdir::WalkDir::new(self.tree.path())
            .into_iter()
            .map(|entry| entry.unwrap().metadata().unwrap())
            .filter(|meta| !meta.is_dir() && seen.insert(meta.ino()))
            .map(|meta| meta.blocks() * 512)
            .sum();
        // The other names of a file that was linked are found a moment later.
        wait_for("bytes in the index equal those on disk", || {
            let counters = self.index.snapshot().unwrap().counters(KEY).unwrap();
            counters.allocated_bytes == allocated
        });
    }
}

fn assert_same(indexed: &Entries, disk: &Entries) {
    let show = |entries: &Entries, other: &Entries| -> Vec<String> {
        let differing = entries.iter().filter(|(path, facts)| other.get(*path) != Some(facts));
        differing
            .take(10)
            .map(|(path, facts)| format!("{:?} {facts:?}", String::from_utf8_lossy(path)))
            .collect()
    };
    assert!(
        indexed == disk,
        "{} indexed, {} on disk; only indexed: {:#?}; only on disk: {:#?}",
        indexed.len(),
        disk.len(),
        show(indexed, disk),
        show(disk, indexed)
    );
}

fn indexed(index: &Index, root: u64) -> Entries {
    let mut entries = Entries::new();
    let mut visit = |sub: crate::store::index::SubtreeDir| {
        if !sub.path.is_root() {
            entries.insert(sub.path.as_bytes().to_vec(), (sub.dir.ino, 0));
        }
        for file in sub.files {
            entries.insert(sub.path.join(&file.name).as_bytes().to_vec(), (file.ino, file.size));
        }
        ControlFlow::Continue(())
    };
    index.snapshot().unwrap().subtree(KEY, root, &mut visit).unwrap();
    entries
}

fn on_disk(tree: &Path) -> Entries {
    let mut entries = Entries::new();
    for entry in walkdir::WalkDir::new(tree).min_depth(1) {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        let path = entry.path().strip_prefix(tree).unwrap().as_os_str().as_bytes().to_vec();
        entries.insert(path, (meta.ino(), if meta.is_dir() { 0 } else { meta.len() }));
    }
    entries
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = later();
    while !done() {
        assert!(Instant::now() < deadline, "did not happen: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Some files in some directories.
fn plant(tree: &Path, dirs: usize, files: usize) {
    for dir in 0..dirs {
        let dir = tree.join(format!("d{dir}/e"));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..files {
            fs::write(dir.join(format!("f{file}")), vec![b'x'; file]).unwrap();
        }
    }
}
