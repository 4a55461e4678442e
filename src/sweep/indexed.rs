//! Candidates from the index.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::model::{ChunkId, FileFacts, Identity, JobId, RelPath, Timestamp};
use crate::store::RootKey;
use crate::store::index::{FileEntry, Index, IndexedFile, JobMatch, NameRange, Snapshot, SubtreeDir};

use super::SweepError;
use super::nominate::{Candidate, Candidates, Nominator, Totals};
use super::root::GuardedRoot;

/// The index of one root.
pub struct Indexed<'a> {
    index: Index,
    key: RootKey,
    root: &'a GuardedRoot,
    complete: bool,
}

/// Directories whose paths are remembered while candidates stream by.
const REMEMBERED_PATHS: usize = 4096;

impl<'a> Indexed<'a> {
    /// The index as the source for `root`; `complete` says whether every file is in it.
    pub const fn new(index: Index, key: RootKey, root: &'a GuardedRoot, complete: bool) -> Self {
        Self { index, key, root, complete }
    }

    fn failed(&self) -> impl Fn(crate::store::StoreError) -> SweepError + use<> {
        let root = self.root.path().to_owned();
        move |source| SweepError::Index { root: root.clone(), source }
    }

    fn candidate(&self, dir: RelPath, entry: FileEntry) -> Candidate {
        let age_by = self.root.rules.age_by;
        Candidate {
            dir,
            facts: FileFacts {
                id: Identity {
                    dev: self.root.dev(),
                    ino: entry.ino,
                    kind: entry.kind,
                    size: entry.size,
                    mtime: entry.mtime,
                    ctime: entry.ctime,
                },
                allocated: entry.allocated,
                nlink: entry.nlink,
                uid: entry.uid,
                // The index keeps only the newest of the times that count; as
                // access and creation times they give that same age again.
                atime: age_by.atime.then_some(entry.age_time),
                btime: age_by.btime.then_some(entry.age_time),
                expires_at: entry.expires_at.filter(|_| self.root.xattr_expiry),
            },
            age_time: entry.age_time,
            name: entry.name,
        }
    }

    fn all(&self, snapshot: &Snapshot, files: Vec<IndexedFile>) -> Result<Vec<Candidate>, SweepError> {
        let mut paths: HashMap<u64, Option<RelPath>> = HashMap::new();
        let mut found = Vec::with_capacity(files.len());
        for file in files {
            let path = match paths.get(&file.dir) {
                Some(path) => path.clone(),
                None => {
                    let path = snapshot.path_of(self.key, file.dir).map_err(self.failed())?;
                    paths.insert(file.dir, path.clone());
                    path
                }
            };
            if let Some(dir) = path {
                found.push(self.candidate(dir, file.entry));
            }
        }
        Ok(found)
    }

    /// Files with a component that `matches`, and so names `job`; every name
    /// that does begins with one of `prefixes`.
    fn naming(
        &self,
        snapshot: &Snapshot,
        job: &JobId,
        prefixes: Vec<Vec<u8>>,
        matches: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<Candidate>, SweepError> {
        let ranges: Vec<NameRange> = prefixes.into_iter().map(starting_with).collect();
        let mut files = Vec::new();
        let mut trees = Vec::new();
        snapshot
            .job_files(self.key, job.as_str().as_bytes(), &ranges, matches, &mut |found| {
                match found {
                    JobMatch::File(file) => files.push(file),
                    JobMatch::Dir(dir) => trees.push(dir.ino),
                }
                ControlFlow::Continue(())
            })
            .map_err(self.failed())?;
        for tree in trees {
            snapshot
                .subtree(self.key, tree, &mut |beneath| {
                    let ino = beneath.dir.ino;
                    files.extend(beneath.files.into_iter().map(|entry| IndexedFile { dir: ino, entry }));
                    ControlFlow::Continue(())
                })
                .map_err(self.failed())?;
        }
        self.all(snapshot, files)
    }

    fn snapshot(&self) -> Result<Snapshot, SweepError> {
        self.index.snapshot().map_err(self.failed())
    }

    /// What may be a job's, as of `snapshot`: for whoever asks about many jobs.
    pub fn of_job_in(&self, snapshot: &Snapshot, job: &JobId) -> Result<Vec<Candidate>, SweepError> {
        let patterns = &self.root.rules.patterns;
        self.naming(snapshot, job, patterns.name_prefixes(job), &|name| patterns.could_name(name, job))
    }
}

fn stream<'a>(found: Vec<Candidate>) -> Candidates<'a> {
    Box::new(found.into_iter().map(Ok))
}

/// All names that begin with `prefix`.
fn starting_with(prefix: Vec<u8>) -> NameRange {
    let mut end = prefix.clone();
    // The first name after them: the last byte that can grow, grown.
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    NameRange { start: prefix.into(), end: (!end.is_empty()).then(|| end.into()) }
}

impl Nominator for Indexed<'_> {
    fn by_age(&self) -> Result<Candidates<'_>, SweepError> {
        let mut paths: HashMap<u64, RelPath> = HashMap::new();
        let files = self.index.oldest(self.key);
        Ok(Box::new(files.filter_map(move |file| {
            let file = match file.map_err(self.failed()) {
                Ok(file) => file,
                Err(error) => return Some(Err(error)),
            };
            if paths.len() >= REMEMBERED_PATHS {
                paths.clear();
            }
            let dir = match paths.get(&file.dir) {
                Some(dir) => dir.clone(),
                None => {
                    let path = self.index.snapshot().and_then(|shot| shot.path_of(self.key, file.dir));
                    match path.map_err(self.failed()) {
                        Ok(Some(dir)) => {
                            paths.insert(file.dir, dir.clone());
                            dir
                        }
                        // Moved out or removed since the page was read.
                        Ok(None) => return None,
                        Err(error) => return Some(Err(error)),
                    }
                }
            };
            Some(Ok(self.candidate(dir, file.entry)))
        })))
    }

    fn of_job(&self, job: &JobId) -> Result<Candidates<'_>, SweepError> {
        self.of_job_in(&self.snapshot()?, job).map(stream)
    }

    fn of_chunk(&self, job: &JobId, chunk: &ChunkId) -> Result<Candidates<'_>, SweepError> {
        let patterns = &self.root.rules.patterns;
        let prefixes = patterns.chunk_prefixes(job, chunk);
        if prefixes.is_empty() {
            return Ok(stream(Vec::new()));
        }
        let matches = |name: &[u8]| patterns.could_name_chunk(name, job, chunk);
        self.naming(&self.snapshot()?, job, prefixes, &matches).map(stream)
    }

    fn due(&self, until: Timestamp) -> Result<Candidates<'_>, SweepError> {
        if !self.root.xattr_expiry {
            return Ok(stream(Vec::new()));
        }
        let snapshot = self.snapshot()?;
        let files = snapshot.due(self.key, until).map_err(self.failed())?;
        self.all(&snapshot, files).map(stream)
    }

    fn beneath(
        &self,
        dir: &RelPath,
        visit: &mut dyn FnMut(Candidate) -> ControlFlow<()>,
    ) -> Result<(), SweepError> {
        let snapshot = self.snapshot()?;
        let Some(top) = snapshot.dir_ino(self.key, dir).map_err(self.failed())? else { return Ok(()) };
        let mut each = |found: SubtreeDir| {
            let path = found.path;
            found.files.into_iter().try_for_each(|entry| visit(self.candidate(path.clone(), entry)))
        };
        snapshot.subtree(self.key, top, &mut each).map_err(self.failed())
    }

    fn links_of(&self, ino: u64) -> Result<Vec<Candidate>, SweepError> {
        let snapshot = self.snapshot()?;
        let files = snapshot.links_of(self.key, ino).map_err(self.failed())?;
        self.all(&snapshot, files)
    }

    fn totals(&self) -> Result<Totals, SweepError> {
        let counters =
            self.index.snapshot().and_then(|shot| shot.counters(self.key)).map_err(self.failed())?;
        Ok(Totals { files: counters.files, bytes: counters.allocated_bytes })
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn newest(&self) -> Result<Option<Timestamp>, SweepError> {
        let mut newest = None;
        for file in self.index.oldest(self.key) {
            let file = file.map_err(self.failed())?;
            newest = newest.max(Some(file.entry.ctime));
        }
        Ok(newest)
    }

    fn is_walk(&self) -> bool {
        false
    }
}
