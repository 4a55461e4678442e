//! What guardian would do with one path, and why.
//!
//! Promises: the verdicts come out of the very classification that sweeps use,
//! on the file as it is on disk now; nothing is written. What the index
//! believes is shown only where it differs. Must not know: HTTP, who asks.

mod told;
mod tree;

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use crate::api::{ApiError, Explanation, JobReading, PolicyVerdict, Verdict as WireVerdict};
use crate::model::{
    FileFacts, FileKind, FileTimes, JobId, Phase, RelPath, RootName, Skip, Timestamp, WirePath,
};
use crate::policy::{self, FileAt, JobsView, Moment, PathReadings, PhaseVerdict, ReferenceView, Verdict};
use crate::store::index::{Found, Snapshot};
use crate::store::{RootKey, StoreError};
use crate::sweep::root::GuardedRoot;
use crate::sys::Seen;
use crate::sys::dir::DirHandle;
use crate::sys::open_check::{OpenCheckKind, OpenFiles};
use crate::sys::xattr::{self, Mark};

/// The phases that scheduled cleanup and people's sweeps go through.
const QUIET: [Phase; 8] = [
    Phase::Chunks,
    Phase::Expired,
    Phase::Sessions,
    Phase::FailedJobs,
    Phase::CompletedJobs,
    Phase::Orphans,
    Phase::Results,
    Phase::MaxAge,
];
/// The phases of an emergency that are decided from facts.
const EMERGENCY: [Phase; 5] =
    [Phase::Expired, Phase::Chunks, Phase::Orphans, Phase::FailedJobs, Phase::Oldest];

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
    let place = match Place::find(root, path) {
        Ok(place) => place,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            told.summary = "does not exist".to_owned();
            told.notes.extend(differences(None, path, with));
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
    if facts.id.kind == FileKind::Directory {
        told.summary = if path.is_root() {
            "the root itself: never removed"
        } else {
            "a directory: goes only when a sweep has emptied it and it is old enough"
        }
        .to_owned();
        return Ok(told);
    }
    told.notes.extend(differences(Some(&facts), path, with));
    let (quiet, urgent) = verdicts(root, path, (&facts, above), with);
    let found = place.obstacles(root, path, &facts, with.now);
    told.summary = summary(&quiet, &urgent, &found);
    told.policies = quiet
        .iter()
        .map(|one| shown(one, one.phase.as_str().to_owned(), found.quiet))
        .chain(urgent.iter().map(|one| shown(one, format!("emergency:{}", one.phase), found.urgent)))
        .collect();
    told.notes.extend(found.notes);
    if !with.clock_trusted {
        // To find that change, all files would have to be looked at for one.
        let why = "an emergency counts ages from the newest change in the root while the clock is not trusted: \
                   what would go by its age here may still be kept";
        told.notes.push(why.to_owned());
    }
    Ok(told)
}

/// What stands against a removal that policy would allow.
#[derive(Debug, Clone, Copy)]
struct Bar {
    skip: Skip,
    why: &'static str,
}

/// What was found at a file that policy does not see.
#[derive(Debug, Default)]
struct Obstacles {
    notes: Vec<String>,
    /// Binds outside emergencies.
    quiet: Option<Bar>,
    /// Binds in emergencies.
    urgent: Option<Bar>,
}

/// A name, and what lies there.
struct Place {
    dir: Option<DirHandle>,
    seen: Seen,
}

impl Place {
    fn find(root: &GuardedRoot, path: &RelPath) -> std::io::Result<Self> {
        let Some(parent) = path.parent() else {
            return Ok(Self { dir: None, seen: root.dir.handle().look_at_self()? });
        };
        let dir = root.dir.handle().open_below(&parent)?;
        // The time of creation tells a tracked file from a later one of its name.
        let seen = dir.look(path.name(), FileTimes { btime: true, ..root.rules.age_by })?;
        Ok(Self { dir: Some(dir), seen })
    }

    /// Inodes of the directories above, as far as they can be opened now.
    fn above(&self, root: &GuardedRoot, path: &RelPath) -> Arc<[u64]> {
        let mut inodes = Vec::new();
        let mut above = path.parent();
        while let Some(dir) = above.filter(|dir| !dir.is_root()) {
            inodes.extend(root.dir.open_dir(&dir).map(|opened| opened.ino()));
            above = dir.parent();
        }
        inodes.into()
    }

    /// What would be found when the file is about to go, as far as looking tells.
    fn obstacles(&self, root: &GuardedRoot, path: &RelPath, facts: &FileFacts, now: Timestamp) -> Obstacles {
        let mut found = Obstacles::default();
        if facts.nlink > 1 {
            found.notes.push(format!(
                "has {} links: sweeps that aim at space leave it while a link outside the plan remains",
                facts.nlink
            ));
        }
        if facts.id.kind != FileKind::Regular {
            return found;
        }
        let (mark, _) = self.marks(path);
        match mark {
            Mark::Present => {
                let bar = Bar { skip: Skip::Held, why: "marked user.guardian.keep: it stays" };
                found.quiet = root.user_marks.bind(facts.uid, false).then_some(bar);
                found.urgent = root.user_marks.bind(facts.uid, true).then_some(bar);
                found.notes.push(
                    match (found.urgent, found.quiet) {
                        (Some(bar), _) => bar.why,
                        (None, Some(_)) => "marked user.guardian.keep: it stays, but not in an emergency",
                        (None, None) => "marked user.guardian.keep, which does not bind here (user_marks)",
                    }
                    .to_owned(),
                );
            }
            Mark::Absent | Mark::Unknown => {}
        }
        if let Some(at) = facts.expires_at {
            let when =
                if at > now { "until then only an emergency's last phase takes it" } else { "it is due" };
            found.notes.push(format!("marked to expire at {at:#}: {when}"));
        }
        let open = OpenFiles::snapshot();
        if open.contains(facts.id.dev, facts.id.ino) {
            let bar = Bar { skip: Skip::InUse, why: "open or mapped now: it stays while it is" };
            found.quiet = found.quiet.or(Some(bar));
            found.urgent = found.urgent.or(Some(bar));
            found.notes.push(bar.why.to_owned());
        } else if root.open_check == OpenCheckKind::Proc && open.may_contain(facts.uid) {
            let bar = Bar {
                skip: Skip::InUse,
                why: "perhaps open in a process that could not be looked into: only an emergency takes it",
            };
            found.quiet = found.quiet.or(Some(bar));
            found.notes.push(bar.why.to_owned());
        } else if root.open_check == OpenCheckKind::Partial {
            found.notes.push("other hosts or layers may have it open unseen".to_owned());
        }
        found
    }

    fn marks(&self, path: &RelPath) -> (Mark, Option<Timestamp>) {
        let Some(dir) = &self.dir else { return (Mark::Absent, None) };
        let name = dir.proc_path().join(OsStr::from_bytes(path.name()));
        let mut options = OpenOptions::new();
        options.read(true);
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY;
        let opened = options
            .custom_flags(flags | libc::O_NOATIME)
            .open(&name)
            .or_else(|_| options.custom_flags(flags).open(&name));
        opened.map_or((Mark::Unknown, None), |file| (xattr::keep_mark(&file), xattr::expires(&file)))
    }
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

fn verdicts(
    root: &GuardedRoot,
    path: &RelPath,
    (facts, above): (&FileFacts, Arc<[u64]>),
    with: &Knowledge<'_>,
) -> (Vec<PhaseVerdict>, Vec<PhaseVerdict>) {
    let ordinary = Moment {
        clock_trusted: with.clock_trusted,
        new_root: root.new_until.is_some_and(|until| with.now < until),
        ..Moment::ordinary(with.now)
    };
    let emergency = Moment { emergency: true, ..ordinary.clone() };
    let references = with.references.read().unwrap_or_else(PoisonError::into_inner);
    let ask = |moment: &Moment, phases: &[Phase]| {
        let said =
            policy::explain(&root.rules, moment, with.jobs, &references, path, (facts, Arc::clone(&above)));
        let mut said: Vec<PhaseVerdict> =
            said.phases.into_iter().filter(|one| phases.contains(&one.phase)).collect();
        said.sort_by_key(|one| phases.iter().position(|phase| *phase == one.phase));
        said
    };
    (ask(&ordinary, &QUIET), ask(&emergency, &EMERGENCY))
}

fn shown(one: &PhaseVerdict, policy: String, bar: Option<Bar>) -> PolicyVerdict {
    if let (Verdict::Remove { .. }, Some(bar)) = (&one.verdict, bar) {
        let (rule, reason) =
            (bar.skip.as_str().to_owned(), format!("kept: {}; otherwise {}", bar.why, one.text));
        return PolicyVerdict { policy, verdict: WireVerdict::Keep, rule, reason, due_at: None };
    }
    let (verdict, rule) = match &one.verdict {
        Verdict::Remove { reason, .. } => (WireVerdict::Remove, reason.rule()),
        Verdict::Keep { keep, .. } => (WireVerdict::Keep, keep.as_str()),
    };
    PolicyVerdict { policy, verdict, rule: rule.to_owned(), reason: one.text.clone(), due_at: one.due_at }
}

/// What will happen, in one sentence.
fn summary(quiet: &[PhaseVerdict], urgent: &[PhaseVerdict], found: &Obstacles) -> String {
    let removes = |said: &[PhaseVerdict]| said.iter().find(|one| one.verdict.is_remove()).cloned();
    let first_due = |said: &[PhaseVerdict]| said.iter().filter_map(|one| one.due_at).min();
    let text = if let Some(one) = removes(quiet) {
        format!("goes at the next scheduled sweep ({}): {}", one.phase, one.text)
    } else if let Some(one) = removes(urgent) {
        let quiet =
            first_due(quiet).map_or_else(String::new, |due| format!("; otherwise not before {due:#}"));
        format!("goes in an emergency ({}): {}{quiet}", one.phase, one.text)
    } else {
        match (first_due(quiet), first_due(urgent)) {
            (None, None) => binding(quiet).unwrap_or_else(|| "kept: no policy takes it".to_owned()),
            (Some(due), None) => {
                format!("stays for now: a scheduled sweep takes it after {due:#} at the earliest")
            }
            (None, Some(due)) => format!("stays for now: goes in an emergency after {due:#} at the earliest"),
            (Some(due), Some(urgent)) => format!(
                "stays for now: goes in an emergency after {urgent:#}, at a scheduled sweep after {due:#} at the earliest"
            ),
        }
    };
    match (found.quiet, found.urgent) {
        (None, None) => text,
        (Some(bar), Some(_)) => format!("{}; otherwise: {text}", bar.why),
        (Some(bar), None) => format!("{}, but not in an emergency; otherwise: {text}", bar.why),
        (None, Some(bar)) => format!("{}, in an emergency; otherwise: {text}", bar.why),
    }
}

/// The reason that every phase gives, or else the first that is one.
fn binding(said: &[PhaseVerdict]) -> Option<String> {
    use crate::model::Keep;
    said.iter()
        .find(|one| !matches!(&one.verdict, Verdict::Keep { keep: Keep::NotSubject, .. }))
        .map(|one| one.text.clone())
}

/// Where the index believes something else than the disk shows.
fn differences(facts: Option<&FileFacts>, path: &RelPath, with: &Knowledge<'_>) -> Option<String> {
    let (snapshot, key) = with.index?;
    let known: Result<Option<Found>, StoreError> = snapshot.lookup(key, path);
    match (known, facts) {
        (Err(error), _) => Some(format!("the index could not be asked: {}", super::chain(&error))),
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
