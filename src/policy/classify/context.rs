//! What the files of a directory have in common.

use std::sync::Arc;

use super::tree_of;
use crate::model::{FileFacts, JobId, RelPath};
use crate::policy::{FileAt, PathReadings, Reading, RootRules};

/// What all files of one directory share; computed once per directory.
#[derive(Debug, Clone)]
pub struct DirContext {
    /// The directory, below its root.
    pub path: RelPath,
    /// The readings of its components.
    pub readings: PathReadings,
    /// It lies in a subtree that `protect` covers, or in guardian's own.
    pub protected: bool,
    /// It lies in a subtree that `results` covers.
    pub result: bool,
    /// Inodes of the directory and of those above it; none where nobody has looked.
    pub above: Arc<[u64]>,
    /// The tree that its files are part of, where a job's directory is the unit.
    pub tree: Option<RelPath>,
}

/// Guardian's private directory, in each root.
const PRIVATE: &[u8] = b".guardian";

impl DirContext {
    /// Looks at a directory once for all its files.
    pub fn new(rules: &RootRules, path: RelPath) -> Self {
        let private = path.components().next() == Some(PRIVATE);
        Self {
            readings: PathReadings::of(&rules.patterns, &path),
            protected: private || rules.protect.covers(&path),
            result: rules.results.covers(&path),
            above: Arc::default(),
            tree: tree_of(rules, &path),
            path,
        }
    }

    /// Whether `name` in this directory is guardian's private directory.
    pub(in crate::policy) fn is_private(&self, name: &[u8]) -> bool {
        self.path.is_root() && name == PRIVATE
    }

    /// With the inodes of the directory and of those above it, as they are now:
    /// a hold on one of them binds under every name.
    pub fn with_inodes(self, above: Arc<[u64]>) -> Self {
        Self { above, ..self }
    }

    /// A file in this directory, for what is recorded of it.
    pub fn file<'a>(&'a self, rules: &'a RootRules, name: &'a [u8], facts: &'a FileFacts) -> FileAt<'a> {
        FileAt { root: &rules.root, dir: &self.path, name, facts: Some(facts), above: &self.above }
    }

    /// Every job that the file `name` in this directory may be read to name;
    /// `own` are the readings of `name` itself.
    pub(in crate::policy) fn jobs<'a>(
        &'a self,
        own: &'a [Reading],
        tracked: &[&'a JobId],
    ) -> impl Iterator<Item = &'a JobId> {
        self.readings.jobs().chain(own.iter().map(|r| &r.job)).chain(tracked.iter().copied())
    }
}
