//! The state directory and its lock: one guardian at a time works on a ledger.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::model::WirePath;
use crate::sys::SysError;
use crate::sys::dir::DirHandle;
use crate::sys::lock::{LockFile, Locked};

/// Name of the lock file.
const LOCK: &str = "lock";

/// A state directory under our lock. Dropping it gives the lock back.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    #[expect(dead_code, reason = "held, not read")]
    lock: LockFile,
}

/// Why the state directory cannot be worked in.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another guardian works in it.
    #[error("another guardian works on {}{}", path.display(), holder.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Held {
        /// The directory.
        path: PathBuf,
        /// What it says of itself.
        holder: Option<String>,
    },
    /// It is not there and can't be made.
    #[error("failed to create state directory {}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It can't be opened or locked.
    #[error("failed to lock state directory {}", path.display())]
    Lock {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: SysError,
    },
}

impl StateDir {
    /// Locks the directory, making it (mode 0700) where there is none. `socket`
    /// is the agent's; `None` in own-process mode.
    ///
    /// # Errors
    /// [`StateDirError::Held`] when somebody else has it.
    pub fn lock(path: &Path, socket: Option<&Path>) -> Result<Self, StateDirError> {
        let owned = || path.to_owned();
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| StateDirError::Create { path: owned(), source })?;
        let failed = |source| StateDirError::Lock { path: owned(), source };
        let dir = DirHandle::open_absolute(path).map_err(failed)?;
        let about = serde_json::json!({ "pid": std::process::id(), "socket": socket.map(WirePath::from_path) });
        match LockFile::take(&dir, LOCK, about.to_string().as_bytes()).map_err(failed)? {
            Locked::Taken(lock) => Ok(Self { path: owned(), lock }),
            Locked::Held(text) => Err(StateDirError::Held { path: owned(), holder: holder(&text) }),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where removals are recorded.
    pub fn audit(&self) -> PathBuf {
        self.path.join("audit")
    }
}

fn holder(text: &[u8]) -> Option<String> {
    let about: serde_json::Value = serde_json::from_slice(text).ok()?;
    let pid = about.get("pid")?.as_u64()?;
    let socket = about.get("socket").and_then(|socket| socket.get("path")).and_then(|path| path.as_str());
    Some(socket.map_or_else(|| format!("pid {pid}"), |socket| format!("pid {pid}, socket {socket}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_guardian_at_a_time_and_the_second_learns_who_was_first() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/state");
        let first = StateDir::lock(&path, Some(Path::new("/run/g.sock"))).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let second = StateDir::lock(&path, None).unwrap_err().to_string();
        assert!(second.contains(&std::process::id().to_string()) && second.contains("/run/g.sock"), "{second}");
        drop(first);
        assert!(StateDir::lock(&path, None).is_ok());
    }
}
