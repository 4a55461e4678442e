//! Who may work on a root or a ledger.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, makedev, openat};
use rustix::io::Errno;

use super::{DirHandle, SysError};

/// Longest text of a holder that is read back, in bytes.
const MAX_HOLDER: u64 = 64 * 1024;

/// What came of an attempt to lock.
#[derive(Debug)]
pub enum Locked<T> {
    /// The lock is ours while this value lives.
    Taken(T),
    /// Somebody else has it; what he wrote about himself (empty when he could not).
    Held(Vec<u8>),
}

/// A lock file that names its holder. Given back when dropped, also by a kill.
#[derive(Debug)]
pub struct LockFile {
    file: File,
}

impl LockFile {
    /// Tries to lock the file `name` in `dir`, making it if need be, and then
    /// writes `holder` (JSON) into it. A full volume leaves the text empty and the lock taken.
    pub fn take(dir: &DirHandle, name: &str, holder: &[u8]) -> Result<Locked<Self>, SysError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| SysError::named("open lock file", name.as_bytes(), e))?;
        let mut file = File::from(fd);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = Vec::new();
                file.take(MAX_HOLDER)
                    .read_to_end(&mut text)
                    .map_err(|e| SysError::named("read lock file", name.as_bytes(), e))?;
                return Ok(Locked::Held(text));
            }
            Err(TryLockError::Error(e)) => return Err(SysError::named("lock", name.as_bytes(), e)),
        }
        match write_holder(&mut file, holder) {
            Ok(()) => {}
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) => {
                // Half a text would mislead; none is understood.
                let _ = file.set_len(0);
            }
            Err(e) => return Err(SysError::named("write lock file", name.as_bytes(), e)),
        }
        Ok(Locked::Taken(Self { file }))
    }

    /// What the holder of the lock file `name` in `dir` wrote; `None` when nobody
    /// holds it or there is none. Nothing is made or written.
    pub fn holder(dir: &DirHandle, name: &str) -> Result<Option<Vec<u8>>, SysError> {
        let failed = |e: Errno| SysError::named("open lock file", name.as_bytes(), e);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match openat(dir, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let mut text = Vec::new();
                file.take(MAX_HOLDER)
                    .read_to_end(&mut text)
                    .map_err(|e| SysError::named("read lock file", name.as_bytes(), e))?;
                Ok(Some(text))
            }
            Err(TryLockError::Error(e)) => Err(SysError::named("lock", name.as_bytes(), e)),
        }
    }

    /// Writes another text about the holder.
    pub fn rewrite(&mut self, holder: &[u8]) -> std::io::Result<()> {
        write_holder(&mut self.file, holder)
    }
}

fn write_holder(file: &mut File, holder: &[u8]) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(holder)
}

/// A lock on a directory itself, for a root too full to hold a lock file.
#[derive(Debug)]
#[must_use = "the lock is given back when this is dropped"]
pub struct DirLock(#[expect(dead_code, reason = "held, not read")] DirHandle);

/// Tries to lock a directory by its descriptor (flock(2)). `None`: somebody else has.
pub fn lock_dir(dir: &DirHandle) -> Result<Option<DirLock>, SysError> {
    let failed = |e: std::io::Error| SysError::io("lock directory", dir.proc_path(), e);
    // A description of its own: flock belongs to it, not to the process.
    let own = dir.reopen().map_err(failed)?;
    match flock(&own, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(DirLock(own))),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed(error.into())),
    }
}

/// Whether anybody holds a directory by flock, whichever kind. `None`: it can't
/// be asked (NFS makes of it a lock that needs a file open for writing, flock(2)).
///
/// Tries the lock and gives it back: whoever tries in that microsecond without
/// waiting is refused. `dir` must hold no lock itself.
pub fn is_locked(dir: &DirHandle) -> Option<bool> {
    match flock(dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            // Should giving it back fail, it ends with the handle.
            let _ = flock(dir, FlockOperation::NonBlockingUnlock);
            Some(false)
        }
        Err(Errno::WOULDBLOCK) => Some(true),
        Err(_) => None,
    }
}

/// A flock that somebody holds, on a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLock {
    /// Device number of the file system (`s_dev`: on btrfs not that of `stat`).
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Who took it.
    pub pid: u32,
    /// His user; `None` when he is gone (a child may still hold it).
    pub uid: Option<u32>,
}

/// One line of `/proc/locks`: `1: FLOCK ADVISORY WRITE 1234 08:01:131 0 EOF` (proc_locks(5)).
fn parse_flock(line: &str) -> Option<(u64, u64, u32)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    // A waiter has `->` here: it holds nothing.
    if fields.next()? != "FLOCK" {
        return None;
    }
    let pid = fields.nth(2)?.parse().ok()?;
    let mut place = fields.next()?.split(':');
    let mut hex = || u32::from_str_radix(place.next()?, 16).ok();
    let dev = makedev(hex()?, hex()?);
    Some((dev, place.next()?.parse().ok()?, pid))
}

/// All flocks held on this host, as far as this pid namespace shows them.
pub fn directory_locks() -> Result<Vec<HeldLock>, SysError> {
    let path = "/proc/locks";
    let text = std::fs::read_to_string(path).map_err(|e| SysError::io("read locks from", path, e))?;
    Ok(text
        .lines()
        .filter_map(parse_flock)
        .map(|(dev, ino, pid)| HeldLock {
            dev,
            ino,
            pid,
            uid: std::fs::metadata(format!("/proc/{pid}")).ok().map(|m| m.uid()),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::trees::tree;

    #[test]
    fn the_second_taker_learns_who_was_first() {
        let tree = tree();
        let take = |text: &[u8]| LockFile::take(tree.dir(), "lock", text).unwrap();
        let Locked::Taken(mut first) = take(b"{\"pid\":1}") else { panic!("nobody else has it") };
        assert!(matches!(take(b"x"), Locked::Held(text) if text == b"{\"pid\":1}"));
        first.rewrite(b"{}").unwrap();
        assert!(matches!(take(b"x"), Locked::Held(text) if text == b"{}"));
        drop(first);
        assert!(matches!(take(b"third"), Locked::Taken(_)));
    }

    #[test]
    fn a_locked_directory_is_shown_with_its_holder() {
        let tree = tree();
        let held = lock_dir(tree.dir()).unwrap().unwrap();
        assert!(lock_dir(tree.dir()).unwrap().is_none());
        let shown = directory_locks().unwrap().into_iter().find(|l| l.ino == tree.root.ino()).unwrap();
        assert_eq!(shown.pid, std::process::id());
        assert_eq!(shown.uid, Some(rustix::process::geteuid().as_raw()));
        drop(held);
        assert!(lock_dir(tree.dir()).unwrap().is_some());
    }

    #[test]
    fn only_flocks_that_are_held_count() {
        assert_eq!(
            parse_flock("1: FLOCK  ADVISORY  WRITE 12 fd:01:99 0 EOF"),
            Some((makedev(0xfd, 1), 99, 12))
        );
        for line in [
            "1: -> FLOCK  ADVISORY  WRITE 12 fd:01:99 0 EOF",
            "2: POSIX  ADVISORY  READ 5 08:01:1 0 EOF",
            "",
            "3: FLOCK",
        ] {
            assert_eq!(parse_flock(line), None, "{line}");
        }
    }
}
