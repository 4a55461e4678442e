//! Marks that people put on files: `user.guardian.keep`, `user.guardian.expires`, `user.expires`.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use rustix::fd::AsFd;
use rustix::fs::{fgetxattr, flistxattr_query, lgetxattr, llistxattr, llistxattr_query};
use rustix::io::Errno;

use crate::model::Timestamp;

use super::DirHandle;

/// Whether a mark is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is not, or the file system has no marks.
    Absent,
    /// It is.
    Present,
    /// Not to be found out: no permission to read the file.
    Unknown,
}

/// Whether the file carries `user.guardian.keep`, with any value.
pub fn keep_mark(fd: impl AsFd) -> Mark {
    // An empty buffer asks for the length only (fgetxattr(2)).
    match fgetxattr(fd, c"user.guardian.keep", &mut [0_u8; 0]) {
        Ok(_) | Err(Errno::RANGE) => Mark::Present,
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Mark::Absent,
        Err(_) => Mark::Unknown,
    }
}

/// The marks that give an expiry, the one that goes before first.
const EXPIRY: [&CStr; 2] = [c"user.guardian.expires", c"user.expires"];
/// The longest RFC 3339 time is about 40 characters; a longer value is none.
const LONGEST: usize = 64;
/// Whether the file `name` in `dir` carries `user.guardian.keep`, without opening it.
pub fn keep_mark_at(dir: &DirHandle, name: &[u8]) -> Mark {
    let path = dir.proc_path().join(OsStr::from_bytes(name));
    match lgetxattr(&path, c"user.guardian.keep", &mut [0_u8; 0]) {
        Ok(_) | Err(Errno::RANGE) => Mark::Present,
        // PERM: what is neither file nor directory has no such marks (xattr(7)).
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => Mark::Absent,
        Err(_) => Mark::Unknown,
    }
}

/// The most bytes of one value that [`all_at`] gives.
const MAX_VALUE: usize = 16 << 10;

/// The extended attributes of `name` in `dir`, as far as they can be read.
pub fn all_at(dir: &DirHandle, name: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let path = dir.proc_path().join(OsStr::from_bytes(name));
    let mut names = vec![0_u8; 16 << 10];
    let Ok(length) = llistxattr(&path, &mut names) else { return Vec::new() };
    let mut value = vec![0_u8; MAX_VALUE];
    names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let length = lgetxattr(&path, name, &mut value).ok()?;
            Some((name.to_vec(), value[..length].to_vec()))
        })
        .collect()
}

/// When the file expires by its own mark (RFC 3339 or Unix seconds);
/// `user.guardian.expires` goes before `user.expires`. `None` without a mark or with an unreadable one.
pub fn expires(fd: impl AsFd) -> Option<Timestamp> {
    let fd = fd.as_fd();
    first_of(|mark, value| fgetxattr(fd, mark, value))
}

/// The same of a file that is not open, by its name in a directory. One system
/// call for a file without any mark. It is not opened, and a link not followed.
pub fn expires_by_name(dir: &DirHandle, name: &[u8]) -> Option<Timestamp> {
    let path = dir.proc_path().join(OsStr::from_bytes(name));
    if !matches!(llistxattr_query(&path), Ok(1..)) {
        return None;
    }
    first_of(|mark, value| lgetxattr(&path, mark, value))
}

/// What the first mark says that is there. One that can't be read is there, and
/// may mean a later time: the other does not stand in for it.
fn first_of(mut get: impl FnMut(&CStr, &mut [u8]) -> rustix::io::Result<usize>) -> Option<Timestamp> {
    let mut value = [0_u8; LONGEST];
    EXPIRY
        .into_iter()
        .map(|mark| get(mark, &mut value).map(|length| read(&value[..length])))
        .find(|got| !matches!(got, Err(Errno::NODATA)))?
        .ok()?
}

/// Whether a directory has an access list beside its bits (acl(5)). One that
/// can't be asked may have one.
pub fn may_have_access_list(dir: impl AsFd) -> bool {
    let asked = fgetxattr(dir, c"system.posix_acl_access", &mut [0_u8; 0]);
    !matches!(asked, Err(Errno::NODATA | Errno::OPNOTSUPP))
}

/// Whether the file system of a directory can have marks at all.
pub fn may_be_marked(dir: impl AsFd) -> bool {
    !matches!(flistxattr_query(dir), Err(Errno::OPNOTSUPP))
}

fn read(value: &[u8]) -> Option<Timestamp> {
    Timestamp::parse(std::str::from_utf8(value).ok()?.trim())
}
