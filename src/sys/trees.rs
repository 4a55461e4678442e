//! Trees on a real file system for the tests of this room.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{Mode, mkdirat};

use crate::model::{FileTimes, Identity, RelPath};

use super::{DirHandle, RootDir};

/// A child that is being started holds, until it runs its program, a copy of
/// every descriptor of this process: files that other tests have just closed
/// would look open. So whoever starts children works alone.
static STARTING: RwLock<()> = RwLock::new(());

#[expect(dead_code, reason = "held, not read")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

pub(super) struct Tree {
    _turn: Turn,
    _temp: tempfile::TempDir,
    pub(super) path: PathBuf,
    pub(super) root: RootDir,
}

pub(super) fn tree() -> Tree {
    make(Turn::Shared(STARTING.read().unwrap_or_else(PoisonError::into_inner)))
}

/// A tree for a test that starts other processes.
pub(super) fn tree_alone() -> Tree {
    make(Turn::Alone(STARTING.write().unwrap_or_else(PoisonError::into_inner)))
}

fn make(turn: Turn) -> Tree {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("root");
    fs::create_dir(&path).unwrap();
    let root = RootDir::open(&path).unwrap();
    Tree { _turn: turn, _temp: temp, path, root }
}

pub(super) fn rel(text: &str) -> RelPath {
    RelPath::from_bytes(text.as_bytes()).unwrap()
}

impl Tree {
    pub(super) fn at(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }

    pub(super) fn file(&self, name: &[u8]) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, b"content").unwrap();
        path
    }

    pub(super) fn identity(&self, name: &[u8]) -> Identity {
        self.root.handle().stat(name, FileTimes::default()).unwrap().id
    }

    pub(super) fn dir(&self) -> &DirHandle {
        self.root.handle()
    }
}

/// Makes a chain of directories and gives the handle and the path of the last.
pub(super) fn deep(tree: &Tree, levels: usize, name: &str) -> (DirHandle, RelPath) {
    let mut dir = tree.root.handle().reopen().unwrap();
    let mut path = RelPath::root();
    for _ in 0..levels {
        mkdirat(&dir, name, Mode::RWXU).unwrap();
        dir = dir.open_child(name.as_bytes()).unwrap();
        path = path.join(name.as_bytes());
    }
    (dir, path)
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a test in a mount namespace of its own thread, where mounts are nobody
/// else's; says why when that is not permitted.
pub(super) fn with_private_mounts(test: impl FnOnce() + Send) {
    use rustix::mount::{MountPropagationFlags, mount_change};
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    if !is_root() {
        eprintln!("skipped: mounting needs root");
        return;
    }
    std::thread::scope(|scope| {
        let outcome = scope.spawn(|| {
            #[expect(unsafe_code, reason = "a mount namespace for this thread")]
            // SAFETY: NEWNS (with FS) concerns mounts and the working directory of
            // this thread only; no descriptor table is split.
            let own = unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) };
            if let Err(error) = own {
                eprintln!("skipped: no mount namespace to be had: {error}");
                return;
            }
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            test();
        });
        if let Err(panic) = outcome.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

pub(super) fn mount_tmpfs(at: &Path) {
    rustix::mount::mount("none", at, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
}
