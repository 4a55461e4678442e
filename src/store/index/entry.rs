//! What the index knows of files and directories.

use serde::{Deserialize, Serialize};

use crate::model::{FileFacts, FileKind, FileTimes, RelPath, Timestamp};

/// A file as a row of the index. It nominates only: whoever acts on it looks at
/// the file system first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Name within its directory, as the kernel lists it.
    pub name: Box<[u8]>,
    /// Inode number.
    pub ino: u64,
    /// Kind; never `Directory`.
    pub kind: FileKind,
    /// Length in bytes.
    pub size: u64,
    /// Bytes on disk.
    pub allocated: u64,
    /// Links when it was last looked at.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Last change of content.
    pub mtime: Timestamp,
    /// Last change of content or inode.
    pub ctime: Timestamp,
    /// The moment its age counts from (the newest of the configured `age_by`).
    pub age_time: Timestamp,
    /// When it expires, by a mark on the file.
    pub expires_at: Option<Timestamp>,
}

impl FileEntry {
    /// From what `statx` told.
    pub fn from_facts(name: impl Into<Box<[u8]>>, facts: &FileFacts, age_by: FileTimes) -> Self {
        Self {
            name: name.into(),
            ino: facts.id.ino,
            kind: facts.id.kind,
            size: facts.id.size,
            allocated: facts.allocated,
            nlink: facts.nlink,
            uid: facts.uid,
            mtime: facts.id.mtime,
            ctime: facts.id.ctime,
            age_time: age_by.newest(facts),
            expires_at: facts.expires_at,
        }
    }
}

/// A file with the directory it lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedFile {
    /// Inode number of the directory.
    pub dir: u64,
    /// The file.
    pub entry: FileEntry,
}

/// A directory as a row of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Inode number; it identifies the directory within its root.
    pub ino: u64,
    /// Inode number of the directory above; 0 for the root itself.
    pub parent: u64,
    /// Name within the directory above; empty for the root itself.
    pub name: Box<[u8]>,
    /// Its mtime when it was last listed.
    pub mtime: Timestamp,
    /// Its entries are in the index (false: it is known by name only and waits to be listed).
    pub listed: bool,
}

/// Everything a directory listed, as the scan hands it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Inode number of the directory.
    pub ino: u64,
    /// Inode number of the directory above; 0 for the root itself.
    pub parent: u64,
    /// Name within the directory above; empty for the root itself.
    pub name: Box<[u8]>,
    /// Its mtime, read before it was listed.
    pub mtime: Timestamp,
    /// Its files, in any order. Its subdirectories come with listings of their own.
    pub files: Vec<FileEntry>,
}

/// One change to the rows of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file appeared or changed. What had that name before is replaced, a
    /// directory with all beneath it.
    PutFile {
        /// Inode number of its directory.
        dir: u64,
        /// The file.
        entry: FileEntry,
    },
    /// A name is gone; if it was a directory, with all beneath it.
    RemoveName {
        /// Inode number of its directory.
        dir: u64,
        /// The name.
        name: Box<[u8]>,
    },
    /// A directory appeared or was looked at. If its inode is known elsewhere in
    /// the root it has moved, and its rows stay. A new one counts as not yet listed.
    PutDir {
        /// Inode number of the directory above; 0 for the root itself.
        parent: u64,
        /// Its name; empty for the root itself.
        name: Box<[u8]>,
        /// Its inode number.
        ino: u64,
        /// Its mtime.
        mtime: Timestamp,
    },
    /// A directory was renamed. Costs the same whatever lies beneath it.
    MoveDir {
        /// Inode number of the directory.
        ino: u64,
        /// Inode number of the directory it lies in now.
        new_parent: u64,
        /// Its name now.
        new_name: Box<[u8]>,
    },
    /// The rows of a directory become exactly this listing. Subdirectories that
    /// are not named go with all beneath them; new ones count as not yet listed.
    ReplaceListing {
        /// Inode number of the directory.
        dir: u64,
        /// Its mtime, read before it was listed.
        mtime: Timestamp,
        /// Its files, in any order.
        files: Vec<FileEntry>,
        /// Its subdirectories: name and inode number.
        subdirs: Vec<Subdir>,
    },
    /// A directory and all beneath it are gone.
    RemoveDirTree {
        /// Inode number of the directory.
        ino: u64,
    },
}

/// What [`super::Index::apply`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Entries (files and directories) that [`Change::ReplaceListing`] found added,
    /// removed or changed: how far the index had drifted from the disk.
    pub drift: u64,
    /// Positions in the given slice of changes that name a directory the index
    /// does not know, or would make a directory lie beneath itself. They had no
    /// effect; that part of the tree must be listed again.
    pub unresolved: Vec<usize>,
    /// Who made the root grow.
    pub grown: super::GrowthSums,
}

/// Sums over a root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Names of files (each link counts).
    pub files: u64,
    /// Bytes on disk, each inode once.
    pub allocated_bytes: u64,
    /// Directories, the root itself included.
    pub dirs: u64,
}

/// How far the rows of a root can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootState {
    /// No rows, or of other patterns or another format: must be built.
    Absent,
    /// Being built, or known to lack something.
    Incomplete,
    /// A full scan went in and changes have been applied since.
    Complete,
}

/// What the index says of a root as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootInfo {
    /// The fingerprint it was built with (patterns and `age_by`); rows of
    /// another fingerprint must not be used.
    pub fingerprint: u64,
    /// How far it can be relied on.
    pub state: RootState,
    /// Sums.
    pub counters: Counters,
    /// When the last full scan ended.
    pub scanned_at: Option<Timestamp>,
    /// Grows with every transaction that changes the root.
    pub generation: u64,
    /// Whether the marks of all files were looked at since the full scan, which does not.
    #[serde(default)]
    pub marks_read: bool,
}

/// Place in the order of [`super::Snapshot::files_page`]; prints as text for clients.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Directory of the last entry given.
    pub dir: u64,
    /// Its name.
    pub name: Box<[u8]>,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}.", self.dir)?;
        self.name.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let bad = || BadCursor(text.to_owned());
        let (dir, name) = text.split_once('.').ok_or_else(bad)?;
        let dir = u64::from_str_radix(dir, 16).map_err(|_| bad())?;
        let digits: Vec<u8> =
            name.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>().ok_or_else(bad)?;
        if digits.len() % 2 == 1 {
            return Err(bad());
        }
        Ok(Self { dir, name: digits.chunks_exact(2).map(|pair| pair[0] * 16 + pair[1]).collect() })
    }
}

/// A text that is not a [`Cursor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a place in a list: pass `next` of the previous page")]
pub struct BadCursor(pub String);

/// Something a job's readings lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobMatch {
    /// A file whose own name matches.
    File(IndexedFile),
    /// A directory whose name matches: all beneath it belongs (see [`super::Snapshot::subtree`]).
    Dir(DirEntry),
}

/// What a path is in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file.
    File(IndexedFile),
    /// A directory.
    Dir(DirEntry),
}

/// The name of a subdirectory and its inode number.
pub type Subdir = (Box<[u8]>, u64);

/// One directory's part of [`super::Snapshot::subtree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtreeDir {
    /// The directory.
    pub dir: DirEntry,
    /// Its path below the root.
    pub path: RelPath,
    /// Its files in order of name.
    pub files: Vec<FileEntry>,
}
