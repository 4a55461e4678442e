//! Looking at what somebody wants to give up, before anything is recorded.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{FileFacts, FileKind, FileTimes, Identity, JobId, Keep, RelPath, Timestamp};
use crate::policy::{DirContext, speaks_against};
use crate::sweep::execute::{Conditions, Known};
use crate::sweep::flocks::DirectoryLocks;
use crate::sweep::root::GuardedRoot;
use crate::sys::walk::{Entry, Found, Listing, ProblemKind, Walk};
use crate::sys::xattr::{self, Mark};
use crate::sys::{DirHandle, SysError};

/// Why something can't be given up.
#[derive(Debug, thiserror::Error)]
pub enum Objection {
    /// It is not there.
    #[error("does not exist")]
    Absent,
    /// It is the root, or guardian's own.
    #[error("{0}")]
    NotSubject(&'static str),
    /// It belongs to somebody else.
    #[error("{}belongs to uid {uid}", beneath(at))]
    NotYours {
        /// The file in a tree, if it is not the path itself.
        at: Option<RelPath>,
        /// Its owner.
        uid: u32,
    },
    /// Something speaks for it.
    #[error("{}{}", beneath(at), kept(keep, job.as_ref()))]
    Kept {
        /// The file in a tree, if it is not the path itself.
        at: Option<RelPath>,
        /// What.
        keep: Keep,
        /// The job, if it is one.
        job: Option<JobId>,
    },
    /// It came into a tree after that was given up.
    #[error("{0} in it is newer than the request")]
    Newer(RelPath),
    /// It can't be looked at.
    #[error("{}", crate::model::with_causes(.0))]
    Failed(#[from] SysError),
}

fn beneath(at: &Option<RelPath>) -> String {
    at.as_ref().map_or_else(String::new, |path| format!("{path} in it "))
}

fn kept(keep: &Keep, job: Option<&JobId>) -> String {
    match (keep, job) {
        (Keep::ActiveJob, Some(job)) => format!("is kept: job {job} is pending or active"),
        (Keep::Held, _) => "is kept: it is held".to_owned(),
        (Keep::Protected, _) => "is kept: it is protected".to_owned(),
        (other, _) => format!("is kept: {other}"),
    }
}

/// What was found at a path.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// The file, or the top of the tree.
    pub facts: FileFacts,
    /// Names of files.
    pub files: u64,
    /// Allocated bytes that come free.
    pub bytes: u64,
}

/// A directory that is open, with what its files share.
pub struct Place {
    /// Below the root.
    pub path: RelPath,
    /// Open.
    pub dir: DirHandle,
    /// What its files share.
    pub context: DirContext,
    /// Who holds it, or a directory above it, by `flock`.
    pub holders: Arc<[u32]>,
}

impl Place {
    /// Opens the directory in which `path` is a name, unless `last` is that one.
    pub fn of(
        root: &GuardedRoot,
        path: &RelPath,
        last: Option<Self>,
        locks: &DirectoryLocks,
    ) -> Result<Self, SysError> {
        let parent = path.parent().unwrap_or_default();
        match last {
            Some(place) if place.path == parent => Ok(place),
            _ => {
                let dir = root.dir.open_dir(&parent)?;
                let above = locks.above(root, &parent, &dir);
                let context = DirContext::new(&root.rules, parent.clone()).with_inodes(above.inodes);
                Ok(Self { context, path: parent, dir, holders: above.holders })
            }
        }
    }
}

/// Asks of paths in one root whether they may be given up.
pub struct Inspector<'a> {
    root: &'a GuardedRoot,
    with: Conditions<'a>,
    /// Whose files alone; `None`: anybody's.
    only: Option<u32>,
    locks: DirectoryLocks,
    at: Option<Place>,
}

impl<'a> Inspector<'a> {
    /// For one root. `only`: the owner whose files alone may be given up.
    pub fn new(root: &'a GuardedRoot, with: Conditions<'a>, only: Option<u32>) -> Self {
        Self { root, with, only, locks: DirectoryLocks::default(), at: None }
    }

    /// Looks at `path`.
    ///
    /// # Errors
    /// Why it can't be given up.
    pub fn look(&mut self, path: &RelPath) -> Result<Subject, Objection> {
        if path.is_root() {
            return Err(Objection::NotSubject("is the root itself"));
        }
        let place = match Place::of(self.root, path, self.at.take(), &self.locks) {
            Ok(place) => self.at.insert(place),
            Err(error) => return Err(unreachable(error)),
        };
        let name = path.name();
        let seen = place.dir.look(name, FileTimes::default()).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Objection::Absent,
            _ => Objection::Failed(SysError::named("look at", name, error)),
        })?;
        let own = &self.root.own;
        if own.contains(&seen.facts.id) || own.contains_dir(place.dir.dev(), place.dir.ino()) {
            return Err(Objection::NotSubject("is guardian's own"));
        }
        if seen.mount_point || seen.facts.id.dev != self.root.dev() {
            return Err(Objection::NotSubject("has something mounted on it"));
        }
        if seen.facts.id.kind == FileKind::Special {
            return Err(Objection::NotSubject("is a FIFO, socket or device"));
        }
        let known = self.with.read();
        check(self.root, self.with, &known, self.only, &place.context, name, &seen.facts, false)?;
        drop(known);
        if seen.facts.id.kind == FileKind::Regular && marked(self.root, place, name, &seen.facts) {
            return Err(Objection::Kept { at: None, keep: Keep::Held, job: None });
        }
        if seen.facts.id.kind != FileKind::Directory {
            let bytes = if seen.facts.nlink <= 1 { seen.facts.allocated } else { 0 };
            return Ok(Subject { facts: seen.facts, files: 1, bytes });
        }
        let known = self.with.read();
        let (files, bytes) = tree(self.root, self.with, &known, self.only, None, path)?;
        Ok(Subject { facts: seen.facts, files, bytes })
    }
}

/// Whether a `keep` mark binds. One that can't be read may be there.
fn marked(root: &GuardedRoot, place: &Place, name: &[u8], facts: &FileFacts) -> bool {
    root.user_marks.bind(facts.uid, false) && xattr::keep_mark_at(&place.dir, name) != Mark::Absent
}

fn unreachable(error: SysError) -> Objection {
    match error.errno() {
        Some(libc::ENOENT) => Objection::Absent,
        Some(libc::ELOOP | libc::ENOTDIR) => {
            Objection::NotSubject("leads through a symbolic link or a file: guardian follows no links")
        }
        Some(libc::EXDEV) => Objection::NotSubject("lies on another file system"),
        _ => Objection::Failed(error),
    }
}

#[expect(clippy::too_many_arguments, reason = "each is a fact of its own")]
fn check(
    root: &GuardedRoot,
    with: Conditions<'_>,
    known: &Known<'_>,
    only: Option<u32>,
    dir: &DirContext,
    name: &[u8],
    facts: &FileFacts,
    beneath: bool,
) -> Result<(), Objection> {
    let at = || beneath.then(|| dir.path.join(name));
    if only.is_some_and(|uid| uid != facts.uid) {
        return Err(Objection::NotYours { at: at(), uid: facts.uid });
    }
    let now = with.moment.at_the_earliest();
    match speaks_against(&root.rules, now, &known.jobs, &known.references, dir, name, facts) {
        Some((keep, job)) => Err(Objection::Kept { at: at(), keep, job: job.cloned() }),
        None => Ok(()),
    }
}

/// Looks at everything in a tree: one file that must stay keeps it whole, and
/// so does one that came, or was changed, after the tree was given up at `asked_at`.
/// Returns the names of files, and the bytes that go with their last links.
///
/// Whoever moves or removes the tree after this keeps `known` until he has: a
/// job or a hold that is answered meanwhile may be about a file in it.
///
/// # Errors
/// The first objection.
pub fn tree(
    root: &GuardedRoot,
    with: Conditions<'_>,
    known: &Known<'_>,
    only: Option<u32>,
    asked_at: Option<Timestamp>,
    top: &RelPath,
) -> Result<(u64, u64), Objection> {
    let first: Mutex<Option<Objection>> = Mutex::default();
    let counted: Mutex<(u64, u64, HashSet<u64>)> = Mutex::default();
    let refuse = |why: Objection| {
        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    };
    let stop = std::sync::atomic::AtomicBool::new(false);
    let walked = Walk::new(&root.dir).start(top.clone()).stop_on(&stop).run(|found| {
        let listing = match found {
            Found::Directory(listing) => listing,
            Found::Unread { path, problem } => return refuse(problem_at(path, &problem)),
        };
        for problem in &listing.problems {
            let at = problem.name.as_ref().map_or(listing.path.clone(), |name| listing.path.join(name));
            refuse(problem_at(at, &problem.kind));
        }
        let inodes = [listing.dir.id.ino, listing.parent_ino];
        let context = DirContext::new(&root.rules, listing.path.clone()).with_inodes(inodes.into());
        if let Some(name) = first_marked(root, with, &listing) {
            refuse(Objection::Kept { at: Some(listing.path.join(&name)), keep: Keep::Held, job: None });
        }
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in &listing.entries {
            if root.own.contains(&entry.facts.id) {
                refuse(Objection::NotSubject("has something of guardian's own in it"));
            }
            if let Err(why) = check(root, with, known, only, &context, &entry.name, &entry.facts, true) {
                refuse(why);
            }
            if asked_at.is_some_and(|at| is_newer(&entry.facts, at)) {
                refuse(Objection::Newer(listing.path.join(&entry.name)));
            }
            if entry.facts.id.kind != FileKind::Directory {
                counted.0 += 1;
                // Each inode once; one with links elsewhere is not known to come free.
                if entry.facts.nlink <= 1 || counted.2.insert(entry.facts.id.ino) {
                    counted.1 = counted.1.saturating_add(entry.facts.allocated);
                }
            }
        }
        let refused = first.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        stop.fetch_or(refused, std::sync::atomic::Ordering::Relaxed);
    });
    if let Some(why) = first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(why);
    }
    walked?;
    let (files, bytes, _) = counted.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((files, bytes))
}

/// Whether something in a tree came there, or was changed, after the tree was
/// given up at `asked_at`. A directory that is moved brings files in that
/// nothing shows: its own ctime does, and its mtime does not. Where both
/// changed, something in it went, perhaps by a removal of ours; what came into
/// it tells by itself.
pub fn is_newer(facts: &FileFacts, asked_at: Timestamp) -> bool {
    let Identity { kind, mtime, ctime, .. } = facts.id;
    ctime > asked_at && (kind != FileKind::Directory || mtime < ctime)
}

/// The first file of a directory whose `keep` mark binds, or may be there.
fn first_marked(root: &GuardedRoot, with: Conditions<'_>, listing: &Listing) -> Option<Box<[u8]>> {
    let bind = |entry: &&Entry| {
        entry.facts.id.kind == FileKind::Regular
            && root.user_marks.bind(entry.facts.uid, with.moment.emergency)
    };
    let mut bound = listing.entries.iter().filter(bind).peekable();
    let first = bound.peek()?.name.clone();
    let Ok(dir) = root.dir.open_dir(&listing.path) else { return Some(first) };
    bound.find(|entry| xattr::keep_mark_at(&dir, &entry.name) != Mark::Absent).map(|entry| entry.name.clone())
}

fn problem_at(path: RelPath, problem: &ProblemKind) -> Objection {
    match problem {
        ProblemKind::OtherMount => Objection::NotSubject("has something mounted in it"),
        ProblemKind::Vanished => Objection::NotSubject("changes while it is looked at; try again"),
        ProblemKind::Denied => {
            let denied = std::io::Error::from_raw_os_error(libc::EACCES);
            Objection::Failed(SysError::named("look into", path.as_bytes(), denied))
        }
        ProblemKind::Failed(error) => {
            let kind = std::io::Error::from(error.kind());
            Objection::Failed(SysError::named("look into", path.as_bytes(), kind))
        }
    }
}
