//! The index: which files lie where, how old and how large they are.
pub mod entry;
use super::{RootKey, StoreError};
use crate::model::{RelPath, Timestamp};
pub use entry::*;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name → the shortest job reading(s) in it.
pub type Readings = Arc<dyn Fn(&[u8], &mut Vec<Box<[u8]>>) + Send + Sync>;
/// How to open.
pub struct OpenOptions {
    /** redb's cache. */
    pub cache_bytes: usize,
    /** Of each root. */
    pub readings: Arc<dyn Fn(RootKey) -> Readings + Send + Sync>,
}
/// What opening found.
pub enum Opened {
    /***/ Clean,
    /***/ Created,
    /***/ Repaired,
    /***/ Quarantined(String),
    /***/ Unavailable(String),
}
/// Cheap to clone.
#[derive(Clone)]
pub struct Index(());
#[allow(unused)]
impl Index {
    pub fn open(path: &Path, options: OpenOptions) -> Result<(Self, Opened), StoreError> {
        todo!()
    }
    /// Starts replacing a root's rows; they are visible (as incomplete) while it lasts.
    pub fn bulk_load(&self, root: RootKey, fingerprint: u64) -> Result<BulkLoad, StoreError> {
        todo!()
    }
    /// One transaction, visible at once, durable at the next flush.
    pub fn apply(&self, root: RootKey, changes: &[Change]) -> Result<Applied, StoreError> {
        todo!()
    }
    pub fn set_state(&self, root: RootKey, state: RootState) -> Result<(), StoreError> {
        todo!()
    }
    pub fn remove_root(&self, root: RootKey) -> Result<(), StoreError> {
        todo!()
    }
    pub fn flush(&self) -> Result<(), StoreError> {
        todo!()
    }
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        todo!()
    }
    /// How often the database was reopened after an error: changes since the last flush may be lost.
    pub fn losses(&self) -> u64 {
        todo!()
    }
    pub fn quarantine(&self, reason: &str) -> Result<(), StoreError> {
        todo!()
    }
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        todo!()
    }
    /// Oldest first, exact order (age_time, dir, name); holds no read transaction between pages.
    pub fn oldest(&self, root: RootKey) -> Oldest {
        todo!()
    }
}
/// Shared by reference among scan threads.
pub struct BulkLoad(());
#[allow(unused)]
impl BulkLoad {
    pub fn push(&self, listing: Listing) -> Result<(), StoreError> {
        todo!()
    }
    pub fn flush(&self) -> Result<(), StoreError> {
        todo!()
    }
    pub fn finish(self, scanned_at: Timestamp) -> Result<Counters, StoreError> {
        todo!()
    }
}
/// Iterator of Result<IndexedFile, StoreError>.
pub struct Oldest(());
impl Iterator for Oldest {
    type Item = Result<IndexedFile, StoreError>;
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
/// Names from `start` (inclusive) to `end` (exclusive; `None`: no end).
pub struct NameRange {
    /***/ pub start: Box<[u8]>,
    /***/ pub end: Option<Box<[u8]>>,
}
/// Keep it short-lived: the file grows meanwhile.
pub struct Snapshot(());
#[allow(unused)]
impl Snapshot {
    pub fn root(&self, root: RootKey) -> Result<Option<RootInfo>, StoreError> {
        todo!()
    }
    pub fn counters(&self, root: RootKey) -> Result<Counters, StoreError> {
        todo!()
    }
    pub fn dir(&self, root: RootKey, ino: u64) -> Result<Option<DirEntry>, StoreError> {
        todo!()
    }
    pub fn path_of(&self, root: RootKey, dir: u64) -> Result<Option<RelPath>, StoreError> {
        todo!()
    }
    pub fn dir_ino(&self, root: RootKey, path: &RelPath) -> Result<Option<u64>, StoreError> {
        todo!()
    }
    pub fn lookup(&self, root: RootKey, path: &RelPath) -> Result<Option<Found>, StoreError> {
        todo!()
    }
    pub fn file(&self, root: RootKey, dir: u64, name: &[u8]) -> Result<Option<FileEntry>, StoreError> {
        todo!()
    }
    pub fn list(
        &self,
        root: RootKey,
        dir: u64,
    ) -> Result<(Vec<FileEntry>, Vec<(Box<[u8]>, u64)>), StoreError> {
        todo!()
    }
    pub fn files_page(
        &self,
        root: RootKey,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<IndexedFile>, StoreError> {
        todo!()
    }
    pub fn job_files(
        &self,
        root: RootKey,
        job: &[u8],
        ranges: &[NameRange],
        matches: &dyn Fn(&[u8]) -> bool,
        visit: &mut dyn FnMut(JobMatch) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        todo!()
    }
    pub fn job_keys(
        &self,
        root: RootKey,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Box<[u8]>>, StoreError> {
        todo!()
    }
    pub fn links_of(&self, root: RootKey, ino: u64) -> Result<Vec<IndexedFile>, StoreError> {
        todo!()
    }
    pub fn subtree(
        &self,
        root: RootKey,
        dir: u64,
        visit: &mut dyn FnMut(SubtreeDir) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        todo!()
    }
}
