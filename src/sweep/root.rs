//! What a run needs to know of one root.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::{Identity, RootName, Timestamp};
use crate::policy::{Marks, RootRules};
use crate::sys::dir::RootDir;
use crate::sys::open_check::{Doubt, OpenCheck, OpenCheckKind};
use crate::sys::own_file::identities;
use crate::usage::Probe;

use super::vault::RootVault;

/// Whether `keep` marks of ordinary users bind (configuration `user_marks`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserMarks {
    /// Always.
    All,
    /// Not in an emergency: otherwise any user could fill the volume for good.
    NotInEmergency,
    /// Never.
    None,
}

impl UserMarks {
    /// Whether a `keep` mark on a file of `uid` binds. Root's marks always do.
    pub const fn bind(self, uid: u32, emergency: bool) -> bool {
        match self {
            Self::All => true,
            Self::NotInEmergency => uid == 0 || !emergency,
            Self::None => uid == 0,
        }
    }
}

/// What an emergency's last phase does when its target can't be reached
/// (configuration `emergency_futile`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Futile {
    /// Nothing: deleting everything would not help.
    Stop,
    /// Take what there is.
    Continue,
}

/// Bounds of one run (configuration `[root.limits]`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Files in a batch.
    pub batch: u64,
    /// Files in a run.
    pub max_files: u64,
    /// Percent of the root's files or bytes that a scheduled plan may take unasked.
    pub max_share: f64,
    /// Tries of a deferred deletion.
    pub max_attempts: u32,
}

/// guardian's own files, by device and inode: never indexed, never removed,
/// wherever they lie.
#[derive(Debug, Clone, Default)]
pub struct OwnFiles {
    /// As they were when the root was opened.
    pub known: Arc<HashSet<(u64, u64)>>,
    /// The single files among them: a file that is saved by renaming another
    /// over it is a new one under the old name ([`Self::files_now`]).
    pub files: Arc<[PathBuf]>,
}

impl OwnFiles {
    /// Whether this is one of them.
    pub fn contains(&self, id: &Identity) -> bool {
        self.known.contains(&(id.dev, id.ino))
    }

    /// Whether this directory is one of them.
    pub fn contains_dir(&self, dev: u64, ino: u64) -> bool {
        self.known.contains(&(dev, ino))
    }

    /// The single files as they are at this moment.
    pub fn files_now(&self) -> HashSet<(u64, u64)> {
        identities(&self.files)
    }
}

/// One root that is guarded, as a run sees it.
pub struct GuardedRoot {
    /// Its name.
    pub name: RootName,
    /// Its directory: every path of the run is resolved beneath this descriptor.
    pub dir: Arc<RootDir>,
    /// How its files are read and how long they stay.
    pub rules: RootRules,
    /// When it is too full.
    pub marks: Marks,
    /// Bounds of a run.
    pub limits: Limits,
    /// How its usage is read.
    pub probe: Probe,
    /// What is guardian's own.
    pub own: OwnFiles,
    /// How open files are found.
    pub open_check: OpenCheckKind,
    /// Whether some process could not be looked into when that was last tried.
    pub open_doubted: AtomicBool,
    /// Whose `keep` marks bind.
    pub user_marks: UserMarks,
    /// Whether `expires` marks on files count.
    pub xattr_expiry: bool,
    /// Whether directories that a run emptied go too.
    pub remove_empty_dirs: bool,
    /// What to do when the target can't be reached.
    pub futile: Futile,
    /// Until when scheduled policies only plan here.
    pub new_until: Option<Timestamp>,
    /// Queue and trash; `None` while there is no private directory for them.
    pub vault: Option<Arc<RootVault>>,
    /// Removal threads.
    pub workers: usize,
}

impl GuardedRoot {
    /// Its absolute path.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What a batch needs to tell open files. In an emergency a file that may be
    /// open where we could not look goes all the same, otherwise it stays.
    pub fn prepare_open_check(&self, emergency: bool) -> OpenCheck {
        let check = self.open_check.prepare(if emergency { Doubt::Accept } else { Doubt::Keep });
        self.open_doubted.store(!check.is_complete(), Ordering::Relaxed);
        check
    }

    /// How open files are found, and whether that can be relied upon.
    pub fn open_check_now(&self) -> OpenCheckKind {
        match self.open_check {
            OpenCheckKind::Proc if self.open_doubted.load(Ordering::Relaxed) => OpenCheckKind::Partial,
            kind => kind,
        }
    }

    /// Its device: nothing on another one is ever entered or removed.
    pub fn dev(&self) -> u64 {
        self.dir.dev()
    }
}
