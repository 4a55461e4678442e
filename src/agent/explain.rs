//! What guardian would do with one path, and why.
//!
//! Promises: the verdicts come out of the very classification that sweeps use,
//! on the file as it is on disk now; nothing is written. What was given up at
//! the path and is not gone yet is told beside what lies there now. What the
//! index believes is shown only where it differs. Must not know: HTTP, who asks.

mod given_up;
mod place;
mod told;
mod tree;
mod verdicts;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use crate::api::{ApiError, Explanation, JobReading};
use crate::model::{FileFacts, FileKind, JobId, RelPath, RootName, Timestamp, WirePath, escape_control};
use crate::policy::{FileAt, JobsView, PathReadings, ReferenceView};
use crate::store::index::{Found, Snapshot};
use crate::store::{RootKey, StoreError};
use crate::sweep::root::GuardedRoot;
use crate::sys::private_dir::PRIVATE_NAME;

use given_up::Heap;
pub use given_up::KeptBook;
use place::Place;
use verdicts::{shown, summary, verdicts};

/// What decisions about a path are made with.
pub struct Knowledge<'a> {
    /// The registered jobs.
    pub jobs: &'a JobsView,
    /// Holds and other references.
    pub references: &'a RwLock<ReferenceView>,
    /// Wall-clock time.
    pub now: Timestamp,
    /// Whether the clock can be trusted with ages.
    pub clock_trusted: bool,
    /// The index and the key of the root's rows, where there are any.
    pub index: Option<(&'a Snapshot, RootKey)>,
    /// Queue and trash, where there are any.
    pub kept: Option<&'a dyn KeptBook>,
    /// What stands against removals of any file now, in words.
    pub halts: Vec<String>,
}

/// The part of an absolute path below a root. `None`: it does not lie in the root.
pub fn below(root: &Path, path: &[u8]) -> Option<RelPath> {
    let cut = |root: &Path| {
        let rest = path.strip_prefix(root.as_os_str().as_bytes())?;
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b"/")? };
        let rest = rest.strip_suffix(b"/").unwrap_or(rest);
        RelPath::from_bytes(rest).ok()
    };
    cut(root).or_else(|| cut(&root.canonicalize().ok()?))
}

/// What is said of a path that lies in no root that is guarded now.
pub fn outside(path: &[u8], root: Option<&RootName>, why: &str) -> Explanation {
    let exists = Path::new(OsStr::from_bytes(path)).symlink_metadata().is_ok();
    Explanation {
        path: WirePath::from_bytes(path),
        root: root.cloned(),
        exists,
        kind: None,
        size_bytes: None,
        allocated_bytes: None,
        uid: None,
        age_seconds: None,
        jobs: Vec::new(),
        summary: why.to_owned(),
        given_up: Vec::new(),
        policies: Vec::new(),
        notes: Vec::new(),
    }
}

/// What each policy says about `path`, which lies below `root`.
///
/// # Errors
/// When the path can't be looked at (not: when it does not exist).
pub fn explain(root: &GuardedRoot, path: &RelPath, with: &Knowledge<'_>) -> Result<Explanation, ApiError> {
    let mut told = by_itself(root, path, with)?;
    tree::tell(root, path, with, &mut told);
    Ok(told)
}

/// The same for a path that is no part of a tree.
fn by_itself(root: &GuardedRoot, path: &RelPath, with: &Knowledge<'_>) -> Result<Explanation, ApiError> {
    let absolute = path.under(root.path());
    let mut told = outside(absolute.as_os_str().as_bytes(), Some(&root.name), "");
    told.exists = false;
    let readings = PathReadings::of(&root.rules.patterns, path);
    told.jobs = jobs_of(readings.jobs(), with.jobs);
    if path.components().next() == Some(PRIVATE_NAME.as_bytes()) {
        told.exists = Place::find(root, path).is_ok();
        told.summary = given_up::of_private(root, path, with);
        return Ok(told);
    }
    let heap = Heap::at(root, path, with);
    told.given_up = heap.shown(root);
    let place = match Place::find(root, path) {
        Ok(place) => place,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            told.summary = heap.in_place_of_nothing(root, path, with.now);
            told.notes.extend(heap.notes(root, path, None, with.now));
            told.notes.extend(differences(None, path, with));
            if told.given_up.is_empty() {
                let named = escape_control(&String::from_utf8_lossy(path.as_bytes()));
                told.notes
                    .push(format!("`guardian audit --path '{named}'` tells whether guardian removed it"));
            } else {
                told.notes.extend(with.halts.iter().cloned());
            }
            return Ok(told);
        }
        Err(error) if error.raw_os_error() == Some(libc::EXDEV) => {
            told.exists = true;
            told.summary = "kept: lies on another file system, which guardian never enters".to_owned();
            return Ok(told);
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENOTDIR)) => {
            told.summary = "leads through a symbolic link or a file: guardian follows no links".to_owned();
            return Ok(told);
        }
        Err(error) => {
            return Err(ApiError::internal(&crate::sys::SysError::io("look at", absolute, error)));
        }
    };
    let mut facts = place.seen.facts;
    if root.xattr_expiry && facts.id.kind == FileKind::Regular {
        facts.expires_at = place.marks(path).1;
    }
    let facts = facts;
    let above = place.above(root, path);
    told.exists = true;
    told.kind = Some(kind(facts.id.kind).to_owned());
    told.size_bytes = Some(facts.id.size);
    told.allocated_bytes = Some(facts.allocated);
    told.uid = Some(facts.uid);
    told.age_seconds = Some(root.rules.age_by.newest(&facts).age_at(with.now).as_secs());
    let among_own = place.dir.as_ref().is_some_and(|dir| root.own.contains_dir(dir.dev(), dir.ino()));
    if among_own || root.own.contains(&facts.id) {
        told.summary = "kept: guardian's own".to_owned();
        return Ok(told);
    }
    if place.seen.mount_point {
        told.summary = "kept: something is mounted on it".to_owned();
        return Ok(told);
    }
    {
        let references = with.references.read().unwrap_or_else(PoisonError::into_inner);
        let parent = path.parent().unwrap_or_default();
        let at =
            FileAt { root: &root.name, dir: &parent, name: path.name(), facts: Some(&facts), above: &above };
        let tracked = references.tracked_jobs(&at);
        told.jobs = jobs_of(readings.jobs().chain(tracked), with.jobs);
        told.notes.extend(told::notes(&references, &at, path, root, with.now));
    }
    let given_up = heap.here(root, path, &facts);
    told.notes.extend(heap.notes(root, path, Some(given_up), with.now));
    if facts.id.kind == FileKind::Directory {
        told.summary = match given_up {
            _ if path.is_root() => "the root itself: never removed".to_owned(),
            Some(entry) => given_up::sentence(entry, path, root, with.now),
            None => "a directory: goes only when a sweep has emptied it and it is old enough".to_owned(),
        };
        return Ok(told);
    }
    told.notes.extend(differences(Some(&facts), path, with));
    told.notes.extend(with.halts.iter().cloned());
    let (quiet, urgent) = verdicts(root, path, (&facts, above), with);
    let new_until = root.new_until.filter(|until| with.now < *until);
    let found = place.obstacles(root, path, &facts, with.now);
    told.summary = match given_up {
        Some(entry) => given_up::sentence(entry, path, root, with.now),
        None => summary(&quiet, &urgent, &found, new_until),
    };
    told.policies = quiet
        .iter()
        .map(|one| shown(one, one.phase.as_str().to_owned(), found.quiet))
        .chain(urgent.iter().map(|one| shown(one, format!("emergency:{}", one.phase), found.urgent)))
        .collect();
    told.notes.extend(found.notes);
    if let Some(until) = new_until {
        told.notes.push(format!(
            "the root is new: until {until:#} scheduled sweeps only plan (adoption_grace); emergencies and people's sweeps act"
        ));
    }
    if !with.clock_trusted {
        // To find that change, all files would have to be looked at for one.
        let why = "an emergency counts ages from the newest change in the root while the clock is not trusted: \
                   what would go by its age here may still be kept";
        told.notes.push(why.to_owned());
    }
    Ok(told)
}

const fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Regular => "regular",
        FileKind::Symlink => "symlink",
        FileKind::Directory => "directory",
        FileKind::Special => "special",
    }
}

/// The jobs that a path may name: registered ones first, the longest of them first.
fn jobs_of<'a>(named: impl Iterator<Item = &'a JobId>, jobs: &JobsView) -> Vec<JobReading> {
    let mut found: Vec<JobReading> = named
        .map(|id| JobReading { id: id.clone(), state: jobs.jobs.get(id).map(|job| job.state) })
        .collect();
    found.dedup();
    found.sort_by_key(|job| {
        let alive = job.state.is_some_and(|state| state.is_alive());
        let length = job.id.as_str().len();
        (!alive, job.state.is_none(), if job.state.is_some() { usize::MAX - length } else { length })
    });
    found
}

/// Where the index believes something else than the disk shows.
fn differences(facts: Option<&FileFacts>, path: &RelPath, with: &Knowledge<'_>) -> Option<String> {
    let (snapshot, key) = with.index?;
    let known: Result<Option<Found>, StoreError> = snapshot.lookup(key, path);
    match (known, facts) {
        (Err(error), _) => Some(format!("the index could not be asked: {}", crate::agent::chain(&error))),
        (Ok(None), Some(_)) => Some("the index does not know it (yet)".to_owned()),
        (Ok(Some(_)), None) => Some("the index still knows it".to_owned()),
        (Ok(Some(Found::Dir(_))), Some(_)) => Some("the index takes it for a directory".to_owned()),
        (Ok(Some(Found::File(file))), Some(facts)) => {
            let entry = file.entry;
            let same = (entry.ino, entry.size, entry.mtime) == (facts.id.ino, facts.id.size, facts.id.mtime);
            (!same).then(|| {
                format!(
                    "the index knows it otherwise: inode {}, {} bytes, modified {}",
                    entry.ino, entry.size, entry.mtime
                )
            })
        }
        (Ok(None), None) => None,
    }
}
