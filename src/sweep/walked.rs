//! Candidates from a walk of the tree: where there is no index, or none that
//! can be used.
//!
//! Promises: needs no write anywhere. Holds every file's facts in memory
//! (about 200 bytes each), which is why the index nominates where it can.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{ChunkId, FileFacts, FileKind, JobId, RelPath, Timestamp};
use crate::policy::{Patterns, tree_of};
use crate::sys::dir::RootDir;
use crate::sys::walk::{Found, Walk};
use crate::sys::xattr::{expires_by_name, may_be_marked};

use super::SweepError;
use super::nominate::{Candidate, Candidates, Nominator, Totals};
use super::root::GuardedRoot;

/// All files of a root as one walk found them.
pub struct Walked {
    /// To look for marks, which a walk leaves out.
    root: Option<Arc<RootDir>>,
    /// Oldest first; ties by path, so that two walks of the same tree agree.
    files: Vec<Candidate>,
    /// Places in `files` of each inode with several links.
    links: HashMap<u64, Vec<usize>>,
    /// Places in `files` of each tree, where a job's directory is the unit.
    trees: HashMap<RelPath, Vec<usize>>,
    totals: Totals,
    unread: u64,
    patterns: Patterns,
}

impl Walked {
    /// Walks the root now.
    ///
    /// # Errors
    /// When the root itself can't be read. Directories that can't be read are
    /// left out and make the result incomplete.
    pub fn walk(root: &GuardedRoot) -> Result<Self, SweepError> {
        let age_by = root.rules.age_by;
        let gathered: Mutex<Vec<Candidate>> = Mutex::default();
        let threads = NonZeroUsize::new(root.workers).unwrap_or(NonZeroUsize::MIN);
        let end = Walk::new(&root.dir)
            .threads(threads)
            .times(age_by)
            .exclude(&root.own.known)
            .run(|found| {
                let Found::Directory(listing) = found else { return };
                let mut here: Vec<Candidate> = listing
                    .entries
                    .into_iter()
                    .filter(|entry| entry.facts.id.kind != FileKind::Directory)
                    .map(|entry| Candidate {
                        dir: listing.path.clone(),
                        name: entry.name,
                        facts: entry.facts,
                        age_time: age_by.newest(&entry.facts),
                    })
                    .collect();
                gathered.lock().unwrap_or_else(PoisonError::into_inner).append(&mut here);
            })
            .map_err(|source| SweepError::Walk { root: root.path().to_owned(), source })?;
        let mut files = gathered.into_inner().unwrap_or_else(PoisonError::into_inner);
        files.sort_by(|a, b| (a.age_time, &a.dir, &a.name).cmp(&(b.age_time, &b.dir, &b.name)));
        let mut links: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut counted = HashSet::new();
        let mut totals = Totals::default();
        for (place, file) in files.iter().enumerate() {
            totals.files += 1;
            if file.facts.nlink > 1 {
                links.entry(file.facts.id.ino).or_default().push(place);
                if !counted.insert(file.facts.id.ino) {
                    continue;
                }
            }
            totals.bytes += file.facts.allocated;
        }
        let dir = Some(Arc::clone(&root.dir)).filter(|dir| root.xattr_expiry && may_be_marked(dir.handle()));
        let patterns = root.rules.patterns.clone();
        let trees = by_tree(root, &files);
        Ok(Self { root: dir, files, links, trees, totals, unread: end.unread, patterns })
    }

    /// Files of which a component of the path is one that `could` name.
    fn naming<'a>(&'a self, could: impl Fn(&Patterns, &[u8]) -> bool + Send + 'a) -> Candidates<'a> {
        let names = move |file: &&Candidate| {
            could(&self.patterns, &file.name) || file.dir.components().any(|part| could(&self.patterns, part))
        };
        Box::new(self.files.iter().filter(names).cloned().map(Ok))
    }
}

/// Where the files of each tree stand.
fn by_tree(root: &GuardedRoot, files: &[Candidate]) -> HashMap<RelPath, Vec<usize>> {
    let mut trees: HashMap<RelPath, Vec<usize>> = HashMap::new();
    if !root.rules.whole_trees {
        return trees;
    }
    let mut tops: HashMap<&RelPath, Option<RelPath>> = HashMap::new();
    for (place, file) in files.iter().enumerate() {
        if let Some(top) = tops.entry(&file.dir).or_insert_with(|| tree_of(&root.rules, &file.dir)) {
            trees.entry(top.clone()).or_default().push(place);
        }
    }
    trees
}

impl Nominator for Walked {
    fn by_age(&self) -> Result<Candidates<'_>, SweepError> {
        Ok(Box::new(self.files.iter().cloned().map(Ok)))
    }

    fn of_job(&self, job: &JobId) -> Result<Candidates<'_>, SweepError> {
        let job = job.clone();
        Ok(self.naming(move |patterns, part| patterns.could_name(part, &job)))
    }

    fn of_chunk(&self, job: &JobId, chunk: &ChunkId) -> Result<Candidates<'_>, SweepError> {
        let (job, chunk) = (job.clone(), chunk.clone());
        Ok(self.naming(move |patterns, part| patterns.could_name_chunk(part, &job, &chunk)))
    }

    fn due(&self, until: Timestamp) -> Result<Candidates<'_>, SweepError> {
        let Some(root) = &self.root else { return Ok(Box::new(std::iter::empty())) };
        let mut by_dir: BTreeMap<&RelPath, Vec<&Candidate>> = BTreeMap::new();
        for file in self.files.iter().filter(|file| file.facts.id.kind == FileKind::Regular) {
            by_dir.entry(&file.dir).or_default().push(file);
        }
        let mut due = Vec::new();
        for (dir, files) in by_dir {
            // One that is gone since has nothing due.
            let Ok(handle) = root.open_dir(dir) else { continue };
            for file in files {
                if let Some(at) = expires_by_name(&handle, &file.name).filter(|at| *at <= until) {
                    let facts = FileFacts { expires_at: Some(at), ..file.facts };
                    due.push((at, Candidate { facts, ..file.clone() }));
                }
            }
        }
        due.sort_by_key(|(at, _)| *at);
        Ok(Box::new(due.into_iter().map(|(_, file)| Ok(file))))
    }

    fn beneath(
        &self,
        dir: &RelPath,
        visit: &mut dyn FnMut(Candidate) -> ControlFlow<()>,
    ) -> Result<(), SweepError> {
        let known =
            self.trees.get(dir).map(|places| places.iter().filter_map(|place| self.files.get(*place)));
        let _ = match known {
            Some(mut files) => files.try_for_each(|file| visit(file.clone())),
            None => {
                let mut files = self.files.iter().filter(|file| file.dir.starts_with(dir));
                files.try_for_each(|file| visit(file.clone()))
            }
        };
        Ok(())
    }

    fn links_of(&self, ino: u64) -> Result<Vec<Candidate>, SweepError> {
        Ok(self.links.get(&ino).map_or_else(Vec::new, |places| {
            places.iter().filter_map(|place| self.files.get(*place)).cloned().collect()
        }))
    }

    fn totals(&self) -> Result<Totals, SweepError> {
        Ok(self.totals)
    }

    fn is_complete(&self) -> bool {
        self.unread == 0
    }

    fn newest(&self) -> Result<Option<Timestamp>, SweepError> {
        Ok(self.files.iter().map(|file| file.facts.id.ctime).max())
    }

    fn is_walk(&self) -> bool {
        true
    }
}
