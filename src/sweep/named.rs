//! Candidates by name: paths that somebody told of, looked up on the disk.
//!
//! Promises: a path is resolved beneath its root without following links, and
//! what is not there (any more) is passed over. Costs one look for each path,
//! whatever the root holds. Must not know: why these paths.

use std::collections::VecDeque;
use std::io;
use std::sync::PoisonError;

use crate::model::{FileFacts, FileKind, FileTimes, JobId, RelPath};
use crate::sys::DirHandle;

use super::nominate::{Candidate, Candidates};
use super::planner::Circumstances;
use super::root::GuardedRoot;

/// What lies at a path below `root`, with its time of creation where the file system tells.
///
/// # Errors
/// When nothing is there, or the way there leads through a link, a file or
/// another file system.
pub fn look(root: &DirHandle, path: &RelPath) -> io::Result<FileFacts> {
    let times = FileTimes { btime: true, ..FileTimes::default() };
    match path.parent() {
        None => root.look_at_self().map(|seen| seen.facts),
        Some(parent) => root.open_below(&parent)?.look(path.name(), times).map(|seen| seen.facts),
    }
}

/// Files of a root whose expiry by `track` has come, in order of expiry.
pub fn expired<'a>(root: &'a GuardedRoot, with: Circumstances<'a>) -> Candidates<'a> {
    let view = with.references.read().unwrap_or_else(PoisonError::into_inner);
    let due = view.expired_before(&root.name, with.moment.at_the_earliest());
    named(root, due.cloned())
}

/// Members of the sessions that may have ended: of the one that was asked for, or of all.
pub fn of_sessions<'a>(root: &'a GuardedRoot, with: Circumstances<'a>) -> Candidates<'a> {
    let view = with.references.read().unwrap_or_else(PoisonError::into_inner);
    let only = with.moment.session.as_ref();
    let limit = root.rules.retain.sessions;
    let sessions = view.sessions().into_iter().filter(|(id, facts)| {
        only.is_none_or(|only| only == *id)
            && (facts.ended_at.is_some() || with.moment.age(facts.last_activity) >= limit)
    });
    named(root, sessions.flat_map(|(id, _)| view.members(&root.name, id)).cloned())
}

/// Files that `track --job` gave to a job.
pub fn of_job<'a>(root: &'a GuardedRoot, with: Circumstances<'a>, job: &JobId) -> Candidates<'a> {
    let view = with.references.read().unwrap_or_else(PoisonError::into_inner);
    named(root, view.files_of_job(&root.name, job).cloned())
}

struct Named<'a> {
    root: &'a GuardedRoot,
    paths: VecDeque<RelPath>,
    /// The directory of the last one: paths of one directory often follow each other.
    at: Option<(RelPath, DirHandle)>,
}

/// The files at these paths, in their order.
pub fn named(root: &GuardedRoot, paths: impl IntoIterator<Item = RelPath>) -> Candidates<'_> {
    let paths = paths.into_iter().collect();
    Box::new(Named { root, paths, at: None }.map(Ok))
}

impl Named<'_> {
    fn look(&mut self, path: &RelPath) -> Option<Candidate> {
        let dir = path.parent()?;
        if self.at.as_ref().is_none_or(|(at, _)| *at != dir) {
            // What can't be reached does not go; a run reports nothing of it.
            self.at = Some((dir.clone(), self.root.dir.handle().open_below(&dir).ok()?));
        }
        let (_, handle) = self.at.as_ref()?;
        let age_by = self.root.rules.age_by;
        // Inode numbers are used again: the time of creation tells one file from the next.
        let seen = handle.look(path.name(), FileTimes { btime: true, ..age_by }).ok()?;
        let is_file = seen.facts.id.kind != FileKind::Directory && !seen.mount_point;
        is_file.then(|| Candidate {
            dir,
            name: path.name().into(),
            facts: seen.facts,
            age_time: age_by.newest(&seen.facts),
        })
    }
}

impl Iterator for Named<'_> {
    type Item = Candidate;

    fn next(&mut self) -> Option<Candidate> {
        while let Some(path) = self.paths.pop_front() {
            if let Some(found) = self.look(&path) {
                return Some(found);
            }
        }
        None
    }
}
