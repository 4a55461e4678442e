//! Space reserved in advance, so that a later write cannot find the volume full.

use std::io;

use rustix::fd::AsFd;
use rustix::fs::{FallocateFlags, fallocate};

/// Reserves the first `bytes` of a file and makes it that long (fallocate(2)).
///
/// # Errors
/// `ENOSPC` (`StorageFull`) when there is not that much room; what was reserved
/// before that stays with the file until it is truncated. `EOPNOTSUPP` where
/// the file system cannot reserve.
pub fn reserve(fd: impl AsFd, bytes: u64) -> io::Result<()> {
    reserve_as(fd, FallocateFlags::empty(), bytes)
}

/// The same without making the file longer.
pub fn reserve_keeping_size(fd: impl AsFd, bytes: u64) -> io::Result<()> {
    reserve_as(fd, FallocateFlags::KEEP_SIZE, bytes)
}

fn reserve_as(fd: impl AsFd, how: FallocateFlags, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        // The kernel refuses a length of 0.
        return Ok(());
    }
    let fd = fd.as_fd();
    loop {
        match fallocate(fd, how, 0, bytes) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::sys::trees::{tree, with_private_mounts};

    #[test]
    fn too_little_room_is_told_as_such() {
        with_private_mounts(|| {
            let tree = tree();
            let options = Some(c"size=1m");
            rustix::mount::mount("none", &tree.path, "tmpfs", rustix::mount::MountFlags::empty(), options)
                .unwrap();
            let file = File::create(tree.path.join("ballast")).unwrap();
            reserve(&file, 0).unwrap();
            reserve(&file, 512 * 1024).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 512 * 1024);
            reserve_keeping_size(&file, 600 * 1024).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 512 * 1024);
            assert!(file.metadata().unwrap().blocks() * 512 >= 600 * 1024);
            assert_eq!(reserve(&file, 2 << 20).unwrap_err().kind(), io::ErrorKind::StorageFull);
        });
    }
}
