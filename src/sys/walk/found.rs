//! What a walk tells: directories as they were read, and what could not be.
//!
//! Promises: a directory is told whole or as unread, never in part. Must not
//! know: how the tree is walked.

use std::io;

use rustix::io::Errno;

use crate::model::{FileFacts, RelPath};

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: any bytes but `/` and NUL.
    pub name: Box<[u8]>,
    /// What it is; a link is described itself.
    pub facts: FileFacts,
}

/// A directory, whole.
#[derive(Debug)]
pub struct Listing {
    /// Where it is below the root.
    pub path: RelPath,
    /// The directory itself, as it was before its entries were read: a later
    /// mtime means that the listing may be out of date.
    pub dir: FileFacts,
    /// Inode of the directory above; its own for the root.
    pub parent_ino: u64,
    /// Its entries, subdirectories among them, in the file system's order.
    pub entries: Vec<Entry>,
    /// Entries that are there but are not in `entries`.
    pub problems: Vec<Problem>,
}

/// Something that could not be looked at.
#[derive(Debug)]
pub struct Problem {
    /// Its name in the directory; `None` for the directory itself.
    pub name: Option<Box<[u8]>>,
    /// What stood in the way.
    pub kind: ProblemKind,
}

/// Why something could not be looked at.
#[derive(Debug)]
pub enum ProblemKind {
    /// Another mount or device begins there.
    OtherMount,
    /// No permission.
    Denied,
    /// Gone, or no directory any more, since its parent was read.
    Vanished,
    /// Something else.
    Failed(io::Error),
}

impl ProblemKind {
    pub(super) fn of(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::XDEV) => Self::OtherMount,
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied,
            // ELOOP and ENOTDIR: a link or a file where a directory was.
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Self::Vanished,
            _ => Self::Failed(error),
        }
    }
}

/// What the walk came to.
#[derive(Debug)]
pub enum Found {
    /// A directory, whole.
    Directory(Listing),
    /// A directory that could not be opened or not read to its end: nothing is
    /// known of its entries or of anything beneath.
    Unread {
        /// Where it is below the root.
        path: RelPath,
        /// Why.
        problem: ProblemKind,
    },
}

/// How the walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WalkEnd {
    /// Directories delivered whole.
    pub directories: u64,
    /// Entries in them.
    pub entries: u64,
    /// Directories that could not be read.
    pub unread: u64,
    /// The stop flag was raised before the end.
    pub stopped: bool,
}
