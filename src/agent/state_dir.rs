//! The state directory, and the lock by which one guardian at a time works in it.

use std::path::{Path, PathBuf};

use crate::sys::SysError;
use crate::sys::dir::DirHandle;
use crate::sys::lock::{LockFile, Locked};

/// The lock's name in the state directory.
const LOCK: &str = "lock";

/// Why the state directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It could not be made or opened.
    #[error("failed to open state directory {}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It could not be locked.
    #[error("failed to lock state directory {}", path.display())]
    Lock {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: SysError,
    },
    /// Another guardian works in it.
    #[error("failed to lock state directory {}: {holder} holds it", path.display())]
    Held {
        /// Which.
        path: PathBuf,
        /// What the holder says of itself.
        holder: String,
    },
}

/// A state directory under our lock, given free when dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: LockFile,
}

impl StateDir {
    /// Makes it if needed (mode 0700) and locks it.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        use std::os::unix::fs::DirBuilderExt;
        let failed = |source| StateDirError::Open { path: path.to_owned(), source };
        if !path.is_dir() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        }
        let sys = |source| StateDirError::Lock { path: path.to_owned(), source };
        let dir = DirHandle::open_absolute(path).map_err(sys)?;
        let holder = format!("process {}", std::process::id());
        match LockFile::take(&dir, LOCK, holder.as_bytes()).map_err(sys)? {
            Locked::Taken(lock) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Locked::Held(said) => {
                let holder = String::from_utf8_lossy(&said).into_owned();
                let holder = if holder.is_empty() { "another guardian".to_owned() } else { holder };
                Err(StateDirError::Held { path: path.to_owned(), holder })
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_guardian_at_a_time_works_in_a_state_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let first = StateDir::open(&path).unwrap();
        assert!(matches!(StateDir::open(&path), Err(StateDirError::Held { .. })));
        drop(first);
        assert!(StateDir::open(&path).is_ok());
    }
}
