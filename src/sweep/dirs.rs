//! Directories that a run emptied.
//!
//! A directory goes only if guardian emptied it in this run, nothing had
//! touched it for the orphan age before that, and it is not a child of the
//! root (unless its name is a job's). `rmdir` does the rest: it refuses what
//! is not empty, so that a file created meanwhile is never lost.

use std::collections::{BTreeMap, HashMap};

use crate::model::RelPath;
use crate::policy::{DirContext, FileAt, JobsView, RootRules};
use crate::sys::remove::remove_empty_dir;

use super::execute::{Conditions, DirBefore};
use super::flocks::{DirectoryLocks, keep};
use super::root::GuardedRoot;

/// Directories that lost entries in this run, as they were before the first
/// of our removals.
#[derive(Debug, Default)]
pub struct Emptied {
    before: BTreeMap<RelPath, DirBefore>,
}

impl Emptied {
    /// Takes note of a batch. What was seen first stays: later times are our own doing.
    pub fn note(&mut self, directories: HashMap<RelPath, DirBefore>) {
        for (path, before) in directories {
            self.before.entry(path).or_insert(before);
        }
    }

    /// Removes what is empty now and may go, deepest first. Returns their paths.
    pub fn remove(&mut self, root: &GuardedRoot, with: Conditions<'_>) -> Vec<RelPath> {
        let mut removed = Vec::new();
        // Paths sort below their parents' children, so taking from the end goes bottom up.
        let locks = DirectoryLocks::default();
        while let Some((path, before)) = self.before.pop_last() {
            let Some(parent) = path.parent() else { continue };
            if !may_go(root, &path, &before, with) {
                continue;
            }
            let Ok(handle) = root.dir.open_dir(&path) else { continue };
            let around = locks.above(root, &path, &handle);
            drop(handle);
            if keep(&around.holders, before.facts.uid, with.moment.emergency) {
                continue;
            }
            let Ok(above) = root.dir.open_dir(&parent) else { continue };
            let Ok(above_before) = above.facts() else { continue };
            let id = before.facts.id;
            // Jobs and holds stay as they are from the last look until the directory is gone.
            let known = with.read();
            let at = FileAt {
                root: &root.name,
                dir: &parent,
                name: path.name(),
                facts: Some(&before.facts),
                above: &around.inodes,
            };
            if lives(&root.rules, &known.jobs, &path)
                || known.references.is_held(&at, with.moment.at_the_earliest())
            {
                continue;
            }
            if matches!(remove_empty_dir(&above, path.name(), id.dev, id.ino), Ok(true)) {
                drop(known);
                if !parent.is_root() {
                    self.before.entry(parent).or_insert(DirBefore { facts: above_before });
                }
                removed.push(path);
            }
        }
        removed
    }
}

fn may_go(root: &GuardedRoot, path: &RelPath, before: &DirBefore, with: Conditions<'_>) -> bool {
    let rules = &root.rules;
    let limit = rules.orphan_age(with.moment.emergency);
    let context = DirContext::new(rules, path.clone());
    let parent = path.parent().unwrap_or_default();
    let is_child_of_root = parent.is_root();
    let names_a_job = !rules.patterns.readings(path.name()).is_empty();
    with.moment.age(before.facts.id.mtime) >= limit
        && (!is_child_of_root || names_a_job)
        && !context.protected
        && !root.own.contains(&before.facts.id)
}

/// Whether a living job may still want the directory: by any reading of its
/// path, whoever owns it. A directory costs nothing; a job that misses its own does.
fn lives(rules: &RootRules, jobs: &JobsView, path: &RelPath) -> bool {
    let context = DirContext::new(rules, path.clone());
    context.readings.jobs().any(|id| jobs.jobs.get(id).is_some_and(|job| job.state.is_alive()))
}
