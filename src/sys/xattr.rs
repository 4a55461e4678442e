//! Marks that people put on files: `user.guardian.keep`, `user.guardian.expires`, `user.expires`.

use rustix::fd::AsFd;
use rustix::fs::fgetxattr;
use rustix::io::Errno;

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
