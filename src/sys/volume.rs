//! How full a volume is, what it is, and its identity.

use std::io;
use std::path::Path;

use rustix::fd::AsFd;
use rustix::fs::{fstatfs, fstatvfs};

use crate::model::VolumeUsage;

use super::SysError;

/// Totals as `df` counts them (statvfs(3)): blocks in units of `f_frsize`,
/// available to ordinary users from `f_bavail`.
pub fn usage(fd: impl AsFd) -> io::Result<VolumeUsage> {
    let stat = fstatvfs(fd)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(VolumeUsage {
        total: bytes(stat.f_blocks),
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        available: bytes(stat.f_bavail),
        inodes_total: stat.f_files,
        inodes_used: stat.f_files.saturating_sub(stat.f_ffree),
        inodes_available: stat.f_favail,
    })
}

/// Identity of a file system across runs: its magic number and `f_fsid`.
///
/// ext4, btrfs and f2fs derive `f_fsid` from their UUID and tmpfs draws a new
/// one for each mount; xfs derives it from the device number, so there it can
/// change when disks are found in another order.
pub fn fs_id(fd: impl AsFd) -> io::Result<String> {
    let fd = fd.as_fd();
    let magic = fstatfs(fd)?.f_type;
    Ok(format!("{magic:x}-{:016x}", fstatvfs(fd)?.f_fsid))
}

/// What a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsKind {
    /// Its name; `unknown` for those that make no difference here.
    pub name: &'static str,
    /// Other hosts may change it without this kernel knowing. FUSE counts: nobody knows what is behind.
    pub is_network: bool,
}

/// Magic numbers from linux/magic.h and the file systems' own headers.
const KINDS: &[(u32, &str, bool)] = &[
    (0xEF53, "ext4", false),
    (0x5846_5342, "xfs", false),
    (0x9123_683E, "btrfs", false),
    (0x0102_1994, "tmpfs", false),
    (0x794C_7630, "overlay", false),
    (0xF2F5_2010, "f2fs", false),
    (0x2FC1_2FC1, "zfs", false),
    (0xCA45_1A4E, "bcachefs", false),
    (0x6969, "nfs", true),
    (0x517B, "smb", true),
    (0xFF53_4D42, "cifs", true),
    (0xFE53_4D42, "smb2", true),
    (0x6573_5546, "fuse", true),
    (0x0102_1997, "9p", true),
    (0x00C3_6400, "ceph", true),
    (0x5346_414F, "afs", true),
    (0x6B41_4653, "kafs", true),
    (0x7375_7245, "coda", true),
    (0x0BD0_0BD0, "lustre", true),
    (0x0116_1970, "gfs2", true),
    (0x7461_636F, "ocfs2", true),
    (0x4750_4653, "gpfs", true),
    (0x1983_0326, "beegfs", true),
];

/// What the file system of `fd` is.
pub fn fs_kind(fd: impl AsFd) -> io::Result<FsKind> {
    // The magic number has 32 bits; the field is wider and may be sign-extended.
    let magic = fstatfs(fd)?.f_type as u32;
    let known = KINDS.iter().find(|(number, ..)| *number == magic);
    Ok(known.map_or(FsKind { name: "unknown", is_network: false }, |&(_, name, is_network)| FsKind {
        name,
        is_network,
    }))
}

/// Writes everything of the file system out; can take seconds (syncfs(2)).
pub fn syncfs(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::syncfs(fd)?)
}

/// Size in bytes of the file system at `path`, for messages where no handle exists.
pub fn total_by_path(path: &Path) -> Result<u64, SysError> {
    fs2::total_space(path).map_err(|e| SysError::io("measure the volume of", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::trees::{mount_tmpfs, tree, with_private_mounts};

    #[test]
    fn a_volume_is_counted_by_handle_as_by_path() {
        let tree = tree();
        let usage = usage(&tree.root).unwrap();
        assert_eq!(usage.total, total_by_path(&tree.path).unwrap());
        assert!(usage.used + usage.available <= usage.total);
    }

    #[test]
    fn a_file_system_keeps_its_identity_and_a_fresh_one_has_another() {
        with_private_mounts(|| {
            let tree = tree();
            let id = || fs_id(crate::sys::DirHandle::open_absolute(&tree.path).unwrap()).unwrap();
            mount_tmpfs(&tree.path);
            let first = id();
            assert_eq!(first, id());
            mount_tmpfs(&tree.path);
            assert_ne!(first, id());
            let top = crate::sys::DirHandle::open_absolute(&tree.path).unwrap();
            assert_eq!(fs_kind(&top).unwrap(), FsKind { name: "tmpfs", is_network: false });
            syncfs(&top).unwrap();
        });
    }
}
