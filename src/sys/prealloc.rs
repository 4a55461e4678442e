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
