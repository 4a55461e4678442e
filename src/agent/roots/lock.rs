//! Who works on a root: `.guardian/lock`, or the directory's own descriptor
//! where there is no room for a file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Opener;
use crate::model::{LedgerId, WirePath};
use crate::sys::SysError;
use crate::sys::dir::DirHandle;
use crate::sys::lock::{DirLock, LockFile, directory_locks, lock_dir};

/// Its name in the private directory.
pub(super) const LOCK: &str = "lock";

/// What a lock says of its holder; each is `None` where it could not be written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockHolder {
    /// Its ledger.
    pub ledger: Option<LedgerId>,
    /// Its socket, if it is an agent.
    pub socket: Option<PathBuf>,
    /// Its process.
    pub pid: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    ledger_id: LedgerId,
    #[serde(default)]
    socket: Option<WirePath>,
    pid: u32,
}

/// What we write about ourselves.
pub(super) fn about_us(by: &Opener<'_>) -> Vec<u8> {
    let socket = by.socket.map(WirePath::from_path);
    let text = Text { ledger_id: by.book.id(), socket, pid: std::process::id() };
    serde_json::to_vec(&text).unwrap_or_default()
}

impl LockHolder {
    /// Understands what a holder wrote; nothing where it makes no sense.
    pub(super) fn read(text: &[u8]) -> Self {
        let Ok(text) = serde_json::from_slice::<Text>(text) else { return Self::default() };
        let socket = text.socket.and_then(|path| path.to_bytes().ok());
        Self {
            ledger: Some(text.ledger_id),
            socket: socket.map(|bytes| {
                use std::os::unix::ffi::OsStringExt;
                PathBuf::from(std::ffi::OsString::from_vec(bytes))
            }),
            pid: Some(text.pid),
        }
    }
}

/// Our lock on a root, given back when dropped.
#[expect(dead_code, reason = "held, not read")]
pub(super) enum RootLock {
    /// The lock file.
    File(LockFile),
    /// The directory, until there is room for the file.
    Directory(DirLock),
    /// Some program that is no guardian has the directory's lock, and there is
    /// no room for the file. Anybody may take that lock: it must not stop cleaning.
    None,
}

/// Who holds the lock in a private directory; nothing is locked.
pub(super) fn holder(private: &DirHandle) -> Result<Option<LockHolder>, SysError> {
    Ok(LockFile::holder(private, LOCK)?.map(|text| LockHolder::read(&text)))
}

/// Locks a directory, if no other guardian has.
pub(super) fn lock_directory(dir: &DirHandle) -> Result<Result<RootLock, LockHolder>, SysError> {
    if let Some(lock) = lock_dir(dir)? {
        return Ok(Ok(RootLock::Directory(lock)));
    }
    // By inode number alone: on btrfs the device in /proc/locks is another.
    let holders = directory_locks()?.into_iter().filter(|lock| lock.ino == dir.ino());
    let guardian = holders.map(|lock| lock.pid).find(|pid| is_guardian(*pid));
    Ok(guardian.map_or(Ok(RootLock::None), |pid| Err(LockHolder { pid: Some(pid), ..LockHolder::default() })))
}

/// Whether a process runs a program of our name.
fn is_guardian(pid: u32) -> bool {
    let program = |path: &str| -> Option<String> {
        let path = std::fs::read_link(path).ok()?;
        let name = Path::new(&path).file_name()?.to_string_lossy().into_owned();
        // What the kernel appends when the file was replaced by an upgrade.
        Some(name.trim_end_matches(" (deleted)").to_owned())
    };
    program("/proc/self/exe").is_some_and(|own| program(&format!("/proc/{pid}/exe")) == Some(own))
}
