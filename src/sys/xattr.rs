//! Marks that people put on files: `user.guardian.keep`, `user.guardian.expires`, `user.expires`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fd::AsFd;
use rustix::fs::{fgetxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

use super::DirHandle;
use crate::model::Timestamp;

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
    // The longest RFC 3339 time is about 40 characters; a longer value is none.
    let mut value = [0_u8; 64];
    [c"user.guardian.expires", c"user.expires"].into_iter().find_map(|name| {
        let length = fgetxattr(fd, name, &mut value).ok()?;
        Timestamp::parse(std::str::from_utf8(&value[..length]).ok()?.trim())
    })
}
