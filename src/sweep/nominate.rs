//! Where candidates come from: the index, or a walk of the tree.
//!
//! Promises: candidates in order of age, oldest first, without the whole world
//! in memory where the index serves them. A candidate is a suggestion and no
//! more: policy decides on it, and the filesystem confirms it.

use std::ops::ControlFlow;

use crate::model::{ChunkId, FileFacts, JobId, RelPath, Timestamp};

use super::SweepError;

/// A file that might go.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its directory.
    pub dir: RelPath,
    /// Its name there.
    pub name: Box<[u8]>,
    /// What was last known of it.
    pub facts: FileFacts,
    /// The moment its age counts from, by the root's `age_by`.
    pub age_time: Timestamp,
}

impl Candidate {
    /// Its path below the root.
    pub fn path(&self) -> RelPath {
        self.dir.join(&self.name)
    }
}

/// How much there is in a root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Names of files.
    pub files: u64,
    /// Allocated bytes, each inode once.
    pub bytes: u64,
}

/// Candidates one after the other; an error ends them.
pub type Candidates<'a> = Box<dyn Iterator<Item = Result<Candidate, SweepError>> + Send + 'a>;

/// A source of candidates for one root.
pub trait Nominator: Send + Sync {
    /// Every file, oldest first.
    fn by_age(&self) -> Result<Candidates<'_>, SweepError>;

    /// Files whose path may name this job, in any order: a superset is fine,
    /// policy decides on each.
    fn of_job(&self, job: &JobId) -> Result<Candidates<'_>, SweepError>;

    /// Files whose path may name this chunk of this job, as [`Self::of_job`].
    fn of_chunk(&self, job: &JobId, chunk: &ChunkId) -> Result<Candidates<'_>, SweepError>;

    /// Files whose own mark says that they expire at or before `until`. Whether
    /// it still says so is read again where a file is about to go.
    fn due(&self, until: Timestamp) -> Result<Candidates<'_>, SweepError>;

    /// Visits every file beneath a directory, in any order, until told to stop.
    /// Costs what is visited.
    fn beneath(
        &self,
        dir: &RelPath,
        visit: &mut dyn FnMut(Candidate) -> ControlFlow<()>,
    ) -> Result<(), SweepError>;

    /// All known paths of one inode.
    fn links_of(&self, ino: u64) -> Result<Vec<Candidate>, SweepError>;

    /// How much there is.
    fn totals(&self) -> Result<Totals, SweepError>;

    /// Whether every file of the root is known. Phase 4 waits for that.
    fn is_complete(&self) -> bool;

    /// The newest ctime found in the root: ages are measured against it in an
    /// emergency while the clock is not trusted. Of the times of a file the one
    /// that its owner can't set: a single file from the future would make all
    /// others old. `None` if the root is empty.
    fn newest(&self) -> Result<Option<Timestamp>, SweepError>;

    /// Whether this is a walk just done: nothing better can be asked.
    fn is_walk(&self) -> bool;
}

/// Nominates nothing: for what was planned before.
pub struct Nothing;

impl Nominator for Nothing {
    fn by_age(&self) -> Result<Candidates<'_>, SweepError> {
        Ok(Box::new(std::iter::empty()))
    }

    fn of_job(&self, _: &JobId) -> Result<Candidates<'_>, SweepError> {
        Ok(Box::new(std::iter::empty()))
    }

    fn of_chunk(&self, _: &JobId, _: &ChunkId) -> Result<Candidates<'_>, SweepError> {
        Ok(Box::new(std::iter::empty()))
    }

    fn due(&self, _: Timestamp) -> Result<Candidates<'_>, SweepError> {
        Ok(Box::new(std::iter::empty()))
    }

    fn beneath(
        &self,
        _: &RelPath,
        _: &mut dyn FnMut(Candidate) -> ControlFlow<()>,
    ) -> Result<(), SweepError> {
        Ok(())
    }

    fn links_of(&self, _: u64) -> Result<Vec<Candidate>, SweepError> {
        Ok(Vec::new())
    }

    fn totals(&self) -> Result<Totals, SweepError> {
        Ok(Totals::default())
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn newest(&self) -> Result<Option<Timestamp>, SweepError> {
        Ok(None)
    }

    fn is_walk(&self) -> bool {
        true
    }
}
