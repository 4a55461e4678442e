//! What is known of one file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What kind of thing a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A symbolic link: never followed, removed only as itself.
    Symlink,
    /// A directory.
    Directory,
    /// A FIFO, socket or device: never opened, never removed.
    Special,
}

/// What must be unchanged for a file to be the one that was planned.
///
/// ctime is part of it: it changes with every write, rename, link or change of
/// mode, and no program can set it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// Device number of the file system (`st_dev`).
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Kind of entry.
    pub kind: FileKind,
    /// Length in bytes.
    pub size: u64,
    /// Last change of content.
    pub mtime: Timestamp,
    /// Last change of content or inode.
    pub ctime: Timestamp,
}

/// Everything `statx` tells of a file that a decision may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileFacts {
    /// Which file it is.
    pub id: Identity,
    /// Bytes on disk (`st_blocks` × 512).
    pub allocated: u64,
    /// Number of links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Last access; `None` where the file system does not tell or it was not asked for.
    pub atime: Option<Timestamp>,
    /// Creation; `None` where the file system does not tell or it was not asked for.
    pub btime: Option<Timestamp>,
    /// The expiry that its own mark gives it (`user.guardian.expires`, `user.expires`);
    /// `None` where there is none or it was not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Which times a file's age may count from (configuration key `age_by`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileTimes {
    /// Last change of content.
    pub mtime: bool,
    /// Last change of content or inode.
    pub ctime: bool,
    /// Last access.
    pub atime: bool,
    /// Creation.
    pub btime: bool,
}

impl Default for FileTimes {
    /// mtime and ctime: a file unpacked today with an old mtime is new.
    fn default() -> Self {
        Self { mtime: true, ctime: true, atime: false, btime: false }
    }
}

impl FileTimes {
    /// The newest of the chosen times that are known: the moment age counts from.
    /// Falls back to ctime, the one time nobody can forge, if none of them is known.
    pub fn newest(self, facts: &FileFacts) -> Timestamp {
        [
            self.mtime.then_some(facts.id.mtime),
            self.ctime.then_some(facts.id.ctime),
            facts.atime.filter(|_| self.atime),
            facts.btime.filter(|_| self.btime),
        ]
        .into_iter()
        .flatten()
        .max()
        .unwrap_or(facts.id.ctime)
    }
}
