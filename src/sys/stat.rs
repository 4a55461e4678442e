//! `statx` into facts.

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::model::{FileFacts, FileKind, FileTimes, Identity, Timestamp};

/// What one look at a name or descriptor showed.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The facts of the file.
    pub facts: FileFacts,
    /// Whether something is mounted on it (`STATX_ATTR_MOUNT_ROOT`, since Linux 5.8).
    pub mount_point: bool,
    /// The mount it was reached through (`STATX_MNT_ID`, since Linux 5.8).
    pub mount_id: Option<u64>,
    /// Permission bits (`st_mode & 07777`).
    pub permissions: u32,
    /// Group.
    pub gid: u32,
}

fn time(at: StatxTimestamp) -> Timestamp {
    Timestamp::from_unix(at.tv_sec, at.tv_nsec)
}

fn kind(mode: u16) -> FileKind {
    match FileType::from_raw_mode(u32::from(mode)) {
        FileType::RegularFile => FileKind::Regular,
        FileType::Symlink => FileKind::Symlink,
        FileType::Directory => FileKind::Directory,
        _ => FileKind::Special,
    }
}

fn seen(stat: &Statx, times: FileTimes) -> Seen {
    let has = |flag: StatxFlags| stat.stx_mask & flag.bits() != 0;
    let facts = FileFacts {
        id: Identity {
            dev: makedev(stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
            kind: kind(stat.stx_mode),
            size: stat.stx_size,
            mtime: time(stat.stx_mtime),
            ctime: time(stat.stx_ctime),
        },
        allocated: stat.stx_blocks.saturating_mul(512),
        nlink: stat.stx_nlink,
        uid: stat.stx_uid,
        atime: (times.atime && has(StatxFlags::ATIME)).then(|| time(stat.stx_atime)),
        btime: (times.btime && has(StatxFlags::BTIME)).then(|| time(stat.stx_btime)),
        // Marks are read from an open file, not by a look.
        expires_at: None,
    };
    Seen {
        facts,
        mount_point: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        mount_id: has(StatxFlags::MNT_ID).then_some(stat.stx_mnt_id),
        permissions: u32::from(stat.stx_mode) & 0o7777,
        gid: stat.stx_gid,
    }
}

fn mask(times: FileTimes) -> StatxFlags {
    let mut wanted = StatxFlags::TYPE
        | StatxFlags::MODE
        | StatxFlags::NLINK
        | StatxFlags::UID
        | StatxFlags::GID
        | StatxFlags::MTIME
        | StatxFlags::CTIME
        | StatxFlags::INO
        | StatxFlags::SIZE
        | StatxFlags::BLOCKS
        | StatxFlags::MNT_ID;
    if times.atime {
        wanted |= StatxFlags::ATIME;
    }
    if times.btime {
        wanted |= StatxFlags::BTIME;
    }
    wanted
}

/// Looks at `name` in `dir` itself: a link is not followed, nothing is mounted by looking.
pub(super) fn look_at(dir: impl AsFd, name: impl Arg, times: FileTimes) -> Result<Seen, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    Ok(seen(&statx(dir, name, flags, mask(times))?, times))
}

/// Looks at what `fd` (also one opened with `O_PATH`) stands for.
pub(super) fn look_at_fd(fd: impl AsFd, times: FileTimes) -> Result<Seen, Errno> {
    Ok(seen(&statx(fd, c"", AtFlags::EMPTY_PATH, mask(times))?, times))
}

/// Looks at what `name` in `dir` leads to, without asking a file server: used
/// on the magic links of `/proc`, where a dead server must not block us.
pub(super) fn look_through(dir: impl AsFd, name: impl Arg) -> Result<Seen, Errno> {
    let times = FileTimes::default();
    Ok(seen(&statx(dir, name, AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT, mask(times))?, times))
}
