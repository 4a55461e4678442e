//! The only removal of other people's files in the program.
//!
//! Promises: a name is unlinked only while a descriptor holds the very inode
//! that was planned, whose device, inode, kind, size, mtime and ctime were
//! compared a moment ago, that nobody else has open or mapped as far as the
//! host lets us ask, and that the name still stood for one call earlier.
//!
//! What remains: Linux has no "unlink this inode". Between the last `statx` of
//! the name and `unlinkat` lie a few microseconds in which whoever may write to
//! the directory can put another file under the same name; that file would go
//! instead. Under the lease a *second opener* in that window blocks until we
//! are done and then holds a removed file.

use std::io;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

use crate::model::{FileFacts, FileKind, FileTimes, Identity, Skip};

use super::open_check::{Lease, LeaseError, OpenCheck};
use super::stat::{Seen, look_at_fd};
use super::xattr::{self, Mark};
use super::{DirHandle, SysError};

mod kept;
mod tree;

pub use kept::remove_kept;
pub use tree::{MayGo, RemovedTree, TreeEnd, remove_tree};

/// Why a file was not removed.
#[derive(Debug)]
pub enum Refusal {
    /// Expected: the file should stay, now.
    Skip(Skip),
    /// The kernel refused.
    Failed(SysError),
}

impl Refusal {
    fn failed(verb: &'static str, name: &[u8], error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Skip(Skip::Vanished),
            // ELOOP and ENXIO: a link, or a socket, where a file was planned.
            Errno::LOOP | Errno::NXIO => Self::Skip(Skip::Changed),
            Errno::BUSY | Errno::TXTBSY => Self::Skip(Skip::InUse),
            other => Self::Failed(SysError::named(verb, name, other)),
        }
    }
}

/// A file that may be removed now. While this lives a lease may be held on the
/// file, and whoever opens it waits: keep it for microseconds.
#[derive(Debug)]
pub struct Verified<'d> {
    dir: &'d DirHandle,
    name: Box<[u8]>,
    held: Held,
}

/// An inode held by descriptor, known to be in nobody's use.
#[derive(Debug)]
struct Held {
    fd: OwnedFd,
    lease: Option<Lease>,
    /// As read from the descriptor after the last change that we made ourselves.
    facts: FileFacts,
    keep: Mark,
    readable: bool,
}

/// A name that was unlinked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Links before this one went; 1: it was the last.
    pub nlink_before: u32,
    /// Allocated bytes that come free, if it was the last link; else 0.
    pub freed_if_last: u64,
    /// The file as it was just before.
    pub facts: FileFacts,
}

/// An inode of which a name was unlinked, and whose other planned names may follow.
#[derive(Debug)]
pub struct Unit(Held);

fn skip<T>(why: Skip) -> Result<T, Refusal> {
    Err(Refusal::Skip(why))
}

/// Looks again at a planned file: the name, then the inode behind a descriptor,
/// then whether anybody else uses it.
///
/// `name` is a single name as a directory lists it. FIFOs, sockets, devices and
/// directories are refused as protected. A mount point is refused as protected.
///
/// # Errors
/// [`Refusal::Skip`] for whatever was to be expected; [`Refusal::Failed`] when
/// the kernel refuses, also when it cannot be asked under [`OpenCheck::Lease`]
/// whether the file is open (it belongs to somebody else and we lack
/// `CAP_LEASE`): such a file stays.
pub fn verify<'d>(
    dir: &'d DirHandle,
    name: &[u8],
    expected: &Identity,
    how: &OpenCheck,
) -> Result<Verified<'d>, Refusal> {
    look_at_name(dir, name, expected)?;
    let held = match expected.kind {
        FileKind::Regular => hold_regular(dir, name, expected, how)?,
        FileKind::Symlink => hold_by_path(dir, name, expected, Mark::Absent)?,
        FileKind::Directory | FileKind::Special => return skip(Skip::Protected),
    };
    Ok(Verified { dir, name: name.into(), held })
}

/// The name must still stand for the expected file, on the directory's own mount.
fn look_at_name(dir: &DirHandle, name: &[u8], expected: &Identity) -> Result<Seen, Refusal> {
    let seen = super::stat::look_at(dir, name, FileTimes::default())
        .map_err(|e| Refusal::failed("look at file", name, e))?;
    if seen.mount_point || seen.mount_id.is_some_and(|id| id != dir.mount_id()) {
        return skip(Skip::Protected);
    }
    if seen.facts.id != *expected {
        return skip(Skip::Changed);
    }
    Ok(seen)
}

fn facts_of(fd: &OwnedFd, name: &[u8]) -> Result<FileFacts, Refusal> {
    Ok(look_at_fd(fd, FileTimes::default()).map_err(|e| Refusal::failed("look at file", name, e))?.facts)
}

fn compare(fd: &OwnedFd, name: &[u8], expected: &Identity) -> Result<FileFacts, Refusal> {
    let facts = facts_of(fd, name)?;
    if facts.id == *expected { Ok(facts) } else { skip(Skip::Changed) }
}

/// Opens for reading without waiting, without following, and if permitted
/// without touching atime.
fn open_to_read(dir: &DirHandle, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    match openat(dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => openat(dir, name, flags, Mode::empty()),
        other => other,
    }
}

fn hold_regular(dir: &DirHandle, name: &[u8], expected: &Identity, how: &OpenCheck) -> Result<Held, Refusal> {
    let fd = match open_to_read(dir, name) {
        Ok(fd) => fd,
        // Somebody else's lease (or mandatory lock): the file is open.
        Err(Errno::AGAIN) => return skip(Skip::InUse),
        // Not ours to read, but perhaps ours to remove: the directory decides that.
        Err(Errno::ACCESS) => return hold_unreadable(dir, name, expected, how),
        Err(error) => return Err(Refusal::failed("open file", name, error)),
    };
    let lease = match how {
        OpenCheck::Lease => match Lease::take(&fd) {
            Ok(lease) => Some(lease),
            Err(LeaseError::InUse) => return skip(Skip::InUse),
            Err(LeaseError::Refused(e)) => {
                return Err(Refusal::failed("find out who has open file", name, e));
            }
        },
        OpenCheck::Proc(open) | OpenCheck::Partial(open) => {
            if open.contains(expected.dev, expected.ino) {
                return skip(Skip::InUse);
            }
            None
        }
    };
    // Compared under the lease: from here on nobody else can have it open and write.
    let facts = compare(&fd, name, expected)?;
    refuse_doubt(how, &facts)?;
    let keep = xattr::keep_mark(&fd);
    Ok(Held { fd, lease, facts, keep, readable: true })
}

fn hold_unreadable(
    dir: &DirHandle,
    name: &[u8],
    expected: &Identity,
    how: &OpenCheck,
) -> Result<Held, Refusal> {
    match how {
        OpenCheck::Lease => Err(Refusal::failed("find out who has open file", name, Errno::ACCESS)),
        OpenCheck::Proc(open) | OpenCheck::Partial(open) if open.contains(expected.dev, expected.ino) => {
            skip(Skip::InUse)
        }
        OpenCheck::Proc(_) | OpenCheck::Partial(_) => {
            let held = hold_by_path(dir, name, expected, Mark::Unknown)?;
            refuse_doubt(how, &held.facts)?;
            Ok(held)
        }
    }
}

/// A file that may be open where nobody let us look is not taken for closed.
fn refuse_doubt(how: &OpenCheck, facts: &FileFacts) -> Result<(), Refusal> {
    match how {
        OpenCheck::Proc(open) | OpenCheck::Partial(open) if open.may_contain(facts.uid) => skip(Skip::InUse),
        _ => Ok(()),
    }
}

/// Holds an inode without opening it: `O_PATH` gives no access to the content
/// (and none to the target of a link) but keeps the inode number from being
/// used again.
fn hold_by_path(dir: &DirHandle, name: &[u8], expected: &Identity, keep: Mark) -> Result<Held, Refusal> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(dir, name, flags, Mode::empty()).map_err(|e| Refusal::failed("hold file", name, e))?;
    let facts = compare(&fd, name, expected)?;
    Ok(Held { fd, lease: None, facts, keep, readable: false })
}

impl Held {
    /// The last look, then the one `unlinkat`.
    fn unlink(&mut self, dir: &DirHandle, name: &[u8]) -> Result<Removed, Refusal> {
        // An opener that came meanwhile waits for our lease: he was first, the file stays.
        if self.lease.as_ref().is_some_and(|lease| !lease.is_whole(&self.fd)) {
            return skip(Skip::InUse);
        }
        let facts = look_at_name(dir, name, &self.facts.id)?.facts;
        unlinkat(dir, name, AtFlags::empty()).map_err(|e| Refusal::failed("remove file", name, e))?;
        let last = facts.nlink <= 1;
        Ok(Removed {
            nlink_before: facts.nlink,
            freed_if_last: if last { facts.allocated } else { 0 },
            facts,
        })
    }
}

impl Verified<'_> {
    /// The file as it is now.
    pub const fn facts(&self) -> &FileFacts {
        &self.held.facts
    }

    /// Whether it carries `user.guardian.keep`; the caller decides whether that binds.
    pub const fn keep_mark(&self) -> Mark {
        self.held.keep
    }

    /// When it expires by its own mark; `None` without one.
    pub fn expires(&self) -> Option<crate::model::Timestamp> {
        if self.held.readable { xattr::expires(&self.held.fd) } else { None }
    }

    /// Removes the name.
    pub fn remove(mut self) -> Result<Removed, Refusal> {
        self.held.unlink(self.dir, &self.name)
    }

    /// Removes the name and keeps hold of the inode, for its other planned names.
    ///
    /// Our own unlink changes ctime and the number of links, so what is
    /// expected of the next name is read again from the descriptor.
    pub fn remove_first(mut self) -> Result<(Removed, Unit), Refusal> {
        let removed = self.held.unlink(self.dir, &self.name)?;
        self.held.facts = facts_of(&self.held.fd, &self.name)?;
        Ok((removed, Unit(self.held)))
    }

    /// Moves the file to `to_name` in `to` (never onto something that is there)
    /// instead of removing it, and tells what it is there: a rename changes ctime.
    ///
    /// Failures to be expected: `EXDEV` (overlay lower layers), `ENOSPC`, `EPERM`, `EROFS`.
    pub fn move_to(self, to: &DirHandle, to_name: &[u8]) -> Result<FileFacts, Refusal> {
        if self.held.lease.as_ref().is_some_and(|lease| !lease.is_whole(&self.held.fd)) {
            return skip(Skip::InUse);
        }
        look_at_name(self.dir, &self.name, &self.held.facts.id)?;
        move_entry(self.dir, &self.name, to, to_name).map_err(Refusal::Failed)?;
        facts_of(&self.held.fd, &self.name)
    }
}

impl Unit {
    /// The inode as it is after our last unlink.
    pub const fn facts(&self) -> &FileFacts {
        &self.0.facts
    }

    /// Removes one more name of the same inode.
    pub fn remove_link(&mut self, dir: &DirHandle, name: &[u8]) -> Result<Removed, Refusal> {
        let removed = self.0.unlink(dir, name)?;
        self.0.facts = facts_of(&self.0.fd, name)?;
        Ok(removed)
    }
}

/// Moves an entry of any kind; refuses to replace anything (`renameat2` with `RENAME_NOREPLACE`).
///
/// For directories, and for entries of guardian's private directory; files of
/// others go through [`Verified::move_to`].
pub fn move_entry(from: &DirHandle, name: &[u8], to: &DirHandle, to_name: &[u8]) -> Result<(), SysError> {
    renameat_with(from, name, to, to_name, RenameFlags::NOREPLACE)
        .map_err(|e| SysError::named("move", name, e))
}

/// Removes a directory that is empty and still the one with `dev` and `ino`.
/// `Ok(false)`: it is not empty.
///
/// # Errors
/// [`Skip::Changed`] for another directory under that name, [`Skip::Protected`]
/// for a mount point, [`Skip::Vanished`] when it is gone.
pub fn remove_empty_dir(parent: &DirHandle, name: &[u8], dev: u64, ino: u64) -> Result<bool, Refusal> {
    let seen = parent.look(name, FileTimes::default()).map_err(|e| {
        if e.kind() == io::ErrorKind::NotFound {
            Refusal::Skip(Skip::Vanished)
        } else {
            Refusal::Failed(SysError::named("look at directory", name, e))
        }
    })?;
    let id = seen.facts.id;
    if seen.mount_point || seen.mount_id.is_some_and(|mount| mount != parent.mount_id()) {
        return skip(Skip::Protected);
    }
    if (id.dev, id.ino, id.kind) != (dev, ino, FileKind::Directory) {
        return skip(Skip::Changed);
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(Errno::NOTDIR) => skip(Skip::Changed),
        Err(error) => Err(Refusal::failed("remove directory", name, error)),
    }
}

#[cfg(test)]
mod tests;
