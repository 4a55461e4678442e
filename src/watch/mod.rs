//! Changes in directories, honest about loss.
//!
//! A [`Watcher`] is passive: it watches exactly the directories it is given
//! (by an open handle), one level each, and hands out what it heard as
//! [`Seen`] hints: "look at this name in this directory". Walking, deciding
//! what to watch and reading the truth (`statx`) belong to `ingest`.
//!
//! What it promises:
//! - A watch belongs to the directory (the inode), never to a path: it goes on
//!   when the directory or one above it is renamed, and no path is ever
//!   resolved, so nobody can swap a component in between.
//! - Every change in a watched directory arrives as a hint, or the directory
//!   arrives in [`Batch::lost`] (kernel queue overflowed, inbox full): then it
//!   must be listed again. Nothing is dropped silently.
//! - Hints of one directory come in order; between directories there is no
//!   order. Correctness must not depend on it, nor on rename cookies.
//!
//! What it must not know: trees, roots' meaning, the index, policy.
//!
//! Directories are spread over many inotify instances ("shards"), because
//! `notify` scans all watches of an instance whenever a watched directory goes
//! away, and because each instance has its own kernel queue
//! (`fs.inotify.max_queued_events`, 16384 by default).

mod error;
mod inbox;
mod key;
mod shard;
mod watcher;

pub use error::{Limit, WatchError};
pub use inbox::Batch;
pub use watcher::{Settings, WatchStatus, Watcher};

/// A watched directory: the number its owner gave to the root, and the
/// directory's inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirId {
    /// The root it lies in, by a number of the caller's choice (inode numbers
    /// of different file systems may be equal).
    pub root: u32,
    /// Inode number of the directory.
    pub ino: u64,
}

/// Which changes to report beside creation, removal, renames and the closing
/// of files that were open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Kinds {
    /// Every write: for roots whose usage is counted (`capacity`).
    pub writes: bool,
    /// Changes of owner, mode, times, links and extended attributes.
    pub attributes: bool,
}

/// What happened to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// Made, or linked here.
    Created,
    /// Unlinked or removed.
    Removed,
    /// Renamed away; `cookie` equals that of the matching [`What::MovedTo`]
    /// (which may come in another batch, or never).
    MovedFrom {
        /// Number of the rename.
        cookie: u32,
    },
    /// Renamed to here.
    MovedTo {
        /// Number of the rename.
        cookie: u32,
    },
    /// Written to, and still open.
    Written,
    /// Closed by somebody who could write.
    Closed,
    /// Owner, mode, times, links or extended attributes changed.
    Attributes,
    /// The watched directory itself is gone or its file system unmounted: the
    /// watch has ended. The name is empty.
    DirectoryGone,
}

/// A hint: look at `name` in `dir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The watched directory.
    pub dir: DirId,
    /// The name in it, as bytes; empty for the directory itself.
    pub name: Box<[u8]>,
    /// What happened.
    pub what: What,
    /// Whether the kernel said that it is a directory; `None` if it did not say.
    pub is_dir: Option<bool>,
}

/// The answer to [`Watcher::add`].
#[derive(Debug)]
pub enum Added {
    /// Changes from now on are reported.
    Watched,
    /// A limit of the kernel is reached: the directory is not watched and must
    /// be listed periodically. Asking again later is cheap.
    LimitReached(Limit),
    /// The directory was removed meanwhile.
    Vanished,
    /// It cannot be watched (no permission to read it, no inotify there).
    Refused(WatchError),
}

#[cfg(test)]
mod tests;
