//! `ROOT/.guardian`: guardian's private directory in a root.
//!
//! In a world-writable root any user may rename it or put another in its
//! place, so it is held by descriptor, and before each use the name must still
//! stand for that directory, ours and closed to others.

use std::path::PathBuf;

use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::model::{FileKind, FileTimes};

use super::stat::Seen;
use super::{DirHandle, RootDir, SysError, own_file};

/// Its name in the root.
pub const PRIVATE_NAME: &str = ".guardian";

/// The private directory of one root, open.
#[derive(Debug)]
pub struct PrivateDir {
    dir: DirHandle,
    path: PathBuf,
}

/// What is wrong with a directory that should be ours.
fn fault(seen: &Seen) -> Option<&'static str> {
    if seen.facts.id.kind != FileKind::Directory {
        Some("it is not a directory")
    } else if seen.facts.uid != geteuid().as_raw() {
        Some("it belongs to another user; move it away and let guardian make its own")
    } else if seen.permissions & 0o077 != 0 {
        Some("other users may enter it; chmod 0700 it if its content is guardian's")
    } else if seen.mount_point {
        Some("something is mounted on it")
    } else {
        None
    }
}

impl PrivateDir {
    /// Opens it. `Ok(None)`: the root has none, it was not adopted yet.
    pub fn open(root: &RootDir) -> Result<Option<Self>, SysError> {
        let path = root.path().join(PRIVATE_NAME);
        let dir = match root.handle().open_child(PRIVATE_NAME.as_bytes()) {
            Ok(dir) => dir,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(SysError::io("open private directory", path, e)),
        };
        let own = Self { dir, path };
        own.check(root)?;
        Ok(Some(own))
    }

    /// Opens it, making it with mode 0700 where there is none.
    pub fn open_or_create(root: &RootDir) -> Result<Self, SysError> {
        let path = || root.path().join(PRIVATE_NAME);
        match mkdirat(root, PRIVATE_NAME, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(SysError::io("create private directory", path(), e)),
        }
        Self::open(root)?
            .ok_or_else(|| SysError::NotOurs { path: path(), why: "it vanished while it was opened" })
    }

    /// Whether the name in the root still stands for this directory, ours and
    /// closed to others. To be asked before each use.
    pub fn check(&self, root: &RootDir) -> Result<(), SysError> {
        let seen = root
            .handle()
            .look(PRIVATE_NAME.as_bytes(), FileTimes::default())
            .map_err(|e| SysError::io("look at private directory", &self.path, e))?;
        let id = seen.facts.id;
        let why = if (id.dev, id.ino) == (self.dir.dev(), self.dir.ino()) {
            fault(&seen)
        } else {
            Some("another directory has taken its place")
        };
        why.map_or(Ok(()), |why| Err(SysError::NotOurs { path: self.path.clone(), why }))
    }

    /// The directory itself.
    pub const fn handle(&self) -> &DirHandle {
        &self.dir
    }

    /// Opens a directory in it, making it with mode 0700 where there is none.
    pub fn subdirectory(&self, name: &str) -> Result<DirHandle, SysError> {
        let failed = |verb, e: std::io::Error| SysError::io(verb, self.path.join(name), e);
        match mkdirat(&self.dir, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(failed("create directory", e.into())),
        }
        self.dir.open_child(name.as_bytes()).map_err(|e| failed("open directory", e))
    }

    /// Puts `bytes` under `name`, whole or not at all.
    pub fn write_file_atomic(&self, name: &str, bytes: &[u8]) -> Result<(), SysError> {
        own_file::write_atomic(&self.dir, name, bytes)
    }

    /// Reads a file; `None` when there is none.
    pub fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>, SysError> {
        own_file::read(&self.dir, name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::sys::trees::tree;

    #[test]
    fn it_is_made_once_and_closed_to_others() {
        let tree = tree();
        assert!(PrivateDir::open(&tree.root).unwrap().is_none());
        let own = PrivateDir::open_or_create(&tree.root).unwrap();
        let mode = fs::metadata(tree.path.join(PRIVATE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        own.write_file_atomic("ledger-id", b"one").unwrap();
        own.write_file_atomic("ledger-id", b"two").unwrap();
        own.subdirectory("trash").unwrap();
        let again = PrivateDir::open_or_create(&tree.root).unwrap();
        assert_eq!(again.read_file("ledger-id").unwrap().unwrap(), b"two");
        assert_eq!(again.read_file("nothing").unwrap(), None);
        assert!(own_file::discard(again.handle(), "ledger-id").unwrap());
        assert!(!own_file::discard(again.handle(), "ledger-id").unwrap());
    }

    #[test]
    fn another_directory_in_its_place_is_not_trusted() {
        let tree = tree();
        let own = PrivateDir::open_or_create(&tree.root).unwrap();
        own.check(&tree.root).unwrap();
        fs::rename(tree.path.join(PRIVATE_NAME), tree.path.join("away")).unwrap();
        assert!(own.check(&tree.root).is_err());
        fs::create_dir(tree.path.join(PRIVATE_NAME)).unwrap();
        assert!(own.check(&tree.root).is_err());
    }

    #[test]
    fn a_link_a_file_or_an_open_door_is_not_trusted() {
        let tree = tree();
        let path = tree.path.join(PRIVATE_NAME);
        symlink("/tmp", &path).unwrap();
        assert!(PrivateDir::open_or_create(&tree.root).is_err());
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"").unwrap();
        assert!(PrivateDir::open_or_create(&tree.root).is_err());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(PrivateDir::open(&tree.root), Err(SysError::NotOurs { .. })));
    }
}
