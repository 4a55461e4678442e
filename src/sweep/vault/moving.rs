//! Into the private directory: described, then renamed.
//!
//! Promises: only what is on record, untouched and spoken for by nobody leaves
//! its place, and is described beside it before it does; what can't be renamed
//! stays where it is and is told apart from what may be tried again. Doing it
//! once more does no harm: what is there already is left there.

use std::sync::{Mutex, PoisonError};

use crate::model::{
    FileFacts, FileKind, FileTimes, Keep, Kept, QueueEntry, RelPath, Skip, Stage, with_causes,
};
use crate::policy::speaks_against;
use crate::sweep::execute::{Conditions, Known};
use crate::sweep::flocks::{DirectoryLocks, keep};
use crate::sweep::root::GuardedRoot;
use crate::sys::open_check::OpenCheck;
use crate::sys::remove::{Refusal, move_entry, verify};
use crate::sys::xattr::Mark;
use crate::sys::{DirHandle, RootDir, Seen, SysError, own_file};

use super::info::{Entry, Info, discard};
use super::inspect::{Objection, Place, tree};
use super::{Room, Rooms, manifest};

/// More deferred deletions than this are described in one file together.
const FEW: usize = 8;
/// Entries of one directory that one thread takes at a time.
const SHARE: usize = 128;

/// How it went for one entry.
#[derive(Debug, Clone)]
pub enum Taken {
    /// It lies in the private directory; as it is there.
    Moved(FileFacts),
    /// A rename can't be, and why: it stays in its place, under its identity.
    InPlace(String),
    /// It must stay now, and why: to be tried again.
    Later(String),
    /// It is not what was given up any more: gone, or changed by somebody.
    Gone,
    /// There was no time for it: somebody more urgent waits.
    NotYet,
}

/// One entry under way.
struct Moving<'a> {
    entry: &'a Entry,
    path: RelPath,
    end: Option<Taken>,
}

/// Takes entries from their places, as long as `goes_on`. One answer for each,
/// in their order. The caller has the turn, and each is on record.
///
/// What is synced before what: the row of the ledger, which is durable before
/// this is called, is the record. From it each entry is found again wherever a
/// kill or a power cut leaves it: in its place (also when the cut undoes a
/// rename) or here. The description beside it only stands in for a ledger that
/// is lost altogether; for that it must be lasting some time after the move,
/// not before it ([`super::RootVault::make_lasting`] at the end of a burst). Only
/// the trash, whose entries stay for weeks, is synced at once. A directory
/// that is back in its place can't be told from one that was given back, so of
/// trees the rename is lasting before the ledger says that they were moved.
pub fn take_in(
    root: &GuardedRoot,
    rooms: &Rooms,
    entries: &[Entry],
    with: Conditions<'_>,
    goes_on: &(dyn Fn() -> bool + Sync),
) -> Vec<Taken> {
    let mut all: Vec<Moving<'_>> = entries
        .iter()
        .map(|entry| {
            let path = entry.kept().rel();
            let end = path.as_ref().err().map(|error| Taken::InPlace(error.to_string()));
            Moving { entry, path: path.unwrap_or_default(), end }
        })
        .collect();
    let locks = DirectoryLocks::default();
    describe_all(root, rooms, &mut all, &locks);
    let how = root.prepare_open_check(false);
    let mut shares: Vec<&mut [Moving<'_>]> = all
        .chunk_by_mut(|one, next| one.path.parent() == next.path.parent())
        .flat_map(|alike| alike.chunks_mut(SHARE))
        .collect();
    shares.reverse();
    let threads = root.workers.clamp(1, shares.len().max(1));
    let shares = Mutex::new(shares);
    let worker = || {
        let mut at = None;
        loop {
            let share = shares.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(share) = share else { break };
            for moving in share.iter_mut().filter(|moving| moving.end.is_none()) {
                let end = match goes_on() {
                    true => take(root, rooms, moving, &mut at, &how, &locks, with),
                    false => Taken::NotYet,
                };
                moving.end = Some(match end {
                    // It may have been moved before a kill.
                    Taken::Gone => lies_in(rooms, moving.entry.room(), moving.entry.kept())
                        .map_or(Taken::Gone, Taken::Moved),
                    end => end,
                });
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            let thread = std::thread::Builder::new().name("guardian-take".to_owned());
            // Fewer threads than wished for are slower, not wrong.
            if thread.spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        worker();
    });
    for moving in all.iter().filter(|moving| !matches!(moving.end, Some(Taken::Moved(_)))) {
        // What is left of it would only be looked at again at the next start.
        let _ = discard(rooms, moving.entry.room(), &moving.entry.kept().id);
    }
    for room in [Room::Queue, Room::Trash] {
        let lasts = |one: &Moving<'_>| room == Room::Trash || one.entry.kept().is_tree();
        let moved = |one: &Moving<'_>| one.entry.room() == room && matches!(one.end, Some(Taken::Moved(_)));
        if all.iter().any(|one| moved(one) && lasts(one))
            && let Err(error) = own_file::sync_names(rooms.of(room))
        {
            tracing::warn!(root = %root.name, reason = %with_causes(&error), "moved entries may be back after a power cut");
        }
    }
    all.into_iter().map(|moving| moving.end.unwrap_or(Taken::Gone)).collect()
}

/// Describes all of them: many deferred deletions in one file, the others each in its own.
fn describe_all(root: &GuardedRoot, rooms: &Rooms, all: &mut [Moving<'_>], locks: &DirectoryLocks) {
    let queued: Vec<&QueueEntry> = all
        .iter()
        .filter(|moving| moving.end.is_none())
        .filter_map(|moving| match moving.entry {
            Entry::Queue(entry) => Some(entry),
            Entry::Trash(_) => None,
        })
        .collect();
    let together = queued.len() > FEW;
    let failed = if together { manifest::write(rooms, &queued).err() } else { None };
    let few = all.len() <= FEW;
    let mut at = None;
    for moving in all.iter_mut().filter(|moving| moving.end.is_none()) {
        match moving.entry {
            Entry::Queue(_) if together => moving.end = failed.as_ref().map(impossible),
            entry => describe(root, rooms, moving, &mut at, locks, few && entry.room() == Room::Trash),
        }
    }
}

/// Whether the entry lies in `room` already, as what it was.
pub fn lies_in(rooms: &Rooms, room: Room, kept: &Kept) -> Option<FileFacts> {
    let dir = rooms.of(room);
    let seen = dir.look(kept.id.as_str().as_bytes(), FileTimes::default()).ok()?;
    let same = seen.facts.id.dev == dir.dev() && kept.facts.is_same_elsewhere(&seen.facts);
    same.then_some(seen.facts)
}

/// Writes what the entry is, beside where it will be.
fn describe(
    root: &GuardedRoot,
    rooms: &Rooms,
    moving: &mut Moving<'_>,
    at: &mut Option<Place>,
    locks: &DirectoryLocks,
    sync: bool,
) {
    let entry = moving.entry;
    if let Some(there) = lies_in(rooms, entry.room(), entry.kept()) {
        moving.end = Some(Taken::Moved(there));
        return;
    }
    let place = match Place::of(root, &moving.path, at.take(), locks) {
        Ok(place) => at.insert(place),
        Err(error) => {
            moving.end = Some(unreachable(&error));
            return;
        }
    };
    let name = moving.path.name();
    let seen: Seen = match place.dir.look(name, FileTimes::default()) {
        Ok(seen) => seen,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            moving.end = Some(Taken::Gone);
            return;
        }
        Err(error) => {
            moving.end = Some(Taken::Later(with_causes(&SysError::named("look at", name, error))));
            return;
        }
    };
    if !entry.kept().is_untouched(&seen.facts) || seen.facts.id.dev != root.dev() {
        moving.end = Some(Taken::Gone);
        return;
    }
    // On record as what it is once it was moved: so a lost ledger is rebuilt.
    let mut moved = entry.clone();
    moved.kept_mut().stage = Stage::Moved;
    let info = Info::of(&moved, root.path(), &place.dir, name, &seen);
    if let Err(error) = info.write(rooms, entry.room(), &entry.kept().id, sync) {
        moving.end = Some(impossible(&error));
    }
}

fn unreachable(error: &SysError) -> Taken {
    match error.errno() {
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EXDEV) => Taken::Gone,
        _ => Taken::Later(with_causes(error)),
    }
}

/// What a failed write or rename means. What the volume can't do now it may
/// not do for long; the entry then goes from its place.
fn impossible(error: &SysError) -> Taken {
    match error.errno() {
        Some(
            libc::EXDEV
            | libc::ENOSPC
            | libc::EDQUOT
            | libc::EPERM
            | libc::EACCES
            | libc::EROFS
            | libc::EINVAL
            | libc::ENOSYS
            | libc::EOPNOTSUPP
            | libc::EMLINK,
        ) => Taken::InPlace(with_causes(error)),
        Some(libc::ENOENT) => Taken::Gone,
        _ => Taken::Later(with_causes(error)),
    }
}

fn take(
    root: &GuardedRoot,
    rooms: &Rooms,
    moving: &Moving<'_>,
    at: &mut Option<Place>,
    how: &OpenCheck,
    locks: &DirectoryLocks,
    with: Conditions<'_>,
) -> Taken {
    let place = match Place::of(root, &moving.path, at.take(), locks) {
        Ok(place) => at.insert(place),
        Err(error) => return unreachable(&error),
    };
    let kept = moving.entry.kept();
    let to = rooms.of(moving.entry.room());
    let name = moving.path.name();
    if keep(&place.holders, kept.facts.uid, false) {
        return Taken::Later("a directory above is locked (flock)".to_owned());
    }
    // Held until it has left its place: a job whose start was answered loses nothing.
    let known = with.read();
    if kept.is_tree()
        && let Err(why) = tree(root, with, &known, None, Some(moving.entry.asked_at()), &moving.path)
    {
        return match why {
            Objection::Absent => Taken::Gone,
            Objection::Failed(error) => Taken::Later(with_causes(&error)),
            other => Taken::Later(other.to_string()),
        };
    }
    #[cfg(test)]
    crate::sweep::execute::seam::pass(crate::sweep::execute::Step::LookedThrough);
    if root.own.contains(&kept.facts.id) || root.own.contains_dir(place.dir.dev(), place.dir.ino()) {
        return Taken::Later("is guardian's own".to_owned());
    }
    let (rules, now, Known { jobs, references }) = (&root.rules, with.moment.at_the_earliest(), &known);
    match speaks_against(rules, now, jobs, references, &place.context, name, &kept.facts) {
        Some((Keep::ActiveJob, Some(job))) => {
            return Taken::Later(format!("job {job} is pending or active"));
        }
        Some((why, _)) => return Taken::Later(format!("is kept: {why}")),
        None => {}
    }
    if !root.dir.is_in_place() {
        return Taken::Later("its root is not at its path now".to_owned());
    }
    // Its descriptor would lead on to wherever the directory was moved.
    if !root.dir.leads_to(&place.path, &place.dir) {
        return Taken::Gone;
    }
    let moved = if kept.is_tree() {
        take_tree(&place.dir, name, kept.facts.id.ino, to, kept.id.as_str().as_bytes())
    } else {
        take_file(root, &place.dir, name, &kept.facts, how, to, kept.id.as_str().as_bytes())
    };
    match moved {
        Ok(facts) => Taken::Moved(facts),
        Err(Refusal::Skip(Skip::Changed | Skip::Vanished)) => Taken::Gone,
        Err(Refusal::Skip(Skip::InUse)) => Taken::Later("open or mapped by somebody".to_owned()),
        Err(Refusal::Skip(why)) => Taken::Later(format!("is kept: {why}")),
        Err(Refusal::Failed(error)) => impossible(&error),
    }
}

fn take_file(
    root: &GuardedRoot,
    dir: &DirHandle,
    name: &[u8],
    facts: &FileFacts,
    how: &OpenCheck,
    to: &DirHandle,
    id: &[u8],
) -> Result<FileFacts, Refusal> {
    let mut identity = facts.id;
    identity.dev = root.dev();
    let verified = verify(dir, name, &identity, how)?;
    let bind = root.user_marks.bind(verified.facts().uid, false);
    if bind && !matches!(verified.keep_mark(), Mark::Absent) {
        return Err(Refusal::Skip(Skip::Held));
    }
    verified.move_to(to, id)
}

fn take_tree(
    dir: &DirHandle,
    name: &[u8],
    ino: u64,
    to: &DirHandle,
    id: &[u8],
) -> Result<FileFacts, Refusal> {
    let seen = dir
        .look(name, FileTimes::default())
        .map_err(|e| Refusal::Failed(SysError::named("look at directory", name, e)))?;
    if seen.mount_point {
        return Err(Refusal::Skip(Skip::Protected));
    }
    if (seen.facts.id.ino, seen.facts.id.kind) != (ino, FileKind::Directory) {
        return Err(Refusal::Skip(Skip::Changed));
    }
    move_entry(dir, name, to, id).map_err(Refusal::Failed)?;
    to.stat(id, FileTimes::default()).map_err(|e| Refusal::Failed(SysError::named("look at entry", id, e)))
}

/// Brings an entry, with its description, from one room into the other. What
/// is there already stays.
///
/// # Errors
/// When the kernel refuses; it is then where it was.
pub fn shift(root: &RootDir, rooms: &Rooms, from: Room, entry: &Entry) -> Result<(), SysError> {
    let (id, to) = (&entry.kept().id, entry.room());
    let mut moved = entry.clone();
    moved.kept_mut().stage =
        if lies_in(rooms, from, entry.kept()).is_some() || lies_in(rooms, to, entry.kept()).is_some() {
            Stage::Moved
        } else {
            entry.kept().stage
        };
    let described = match Info::read(rooms, from, id)? {
        Some(mut info) => {
            info.describe(&moved);
            Some(info)
        }
        // It shared a description with others.
        None => {
            let (dir, name) = (rooms.of(from), id.as_str().as_bytes());
            let seen = dir.look(name, FileTimes::default()).ok();
            seen.map(|seen| Info::of(&moved, root.path(), dir, name, &seen))
        }
    };
    if let Some(info) = described {
        info.write(rooms, to, id, true)?;
    }
    if lies_in(rooms, to, entry.kept()).is_none() && lies_in(rooms, from, entry.kept()).is_some() {
        let name = id.as_str().as_bytes();
        move_entry(rooms.of(from), name, rooms.of(to), name)?;
    }
    own_file::sync_names(rooms.of(to))?;
    discard(rooms, from, id)
}
