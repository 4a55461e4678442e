//! What guardian keeps for somebody: a file or tree that was given up and is
//! not gone yet (deferred), or that may be had back (trash).

use serde::{Deserialize, Serialize};

use super::{
    EntryId, FileFacts, FileKind, Identity, PathError, RelPath, Requester, RootName, Timestamp, WirePath,
};

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// On record, and still in its place: it is about to be moved.
    Waiting,
    /// In the private directory, under its ID.
    Moved,
    /// A rename can't be: in its place, known by its identity.
    InPlace,
}

/// What queue and trash have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name in the private directory.
    pub id: EntryId,
    /// The root that it lies in.
    pub root: RootName,
    /// Where it lay, below the root.
    pub path: WirePath,
    /// It, or the top of the tree, as it was when it was given up.
    pub facts: FileFacts,
    /// Names that go with it: 1 for a file.
    pub files: u64,
    /// Allocated bytes that its removal should free.
    pub bytes: u64,
    /// Where it is.
    pub stage: Stage,
    /// Who asked.
    pub by: Requester,
    /// When. What came into a tree later was never given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// When a directory left its place, by the clock of its own volume: whatever
    /// changed in it later was changed by somebody who still stood in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_at: Option<Timestamp>,
}

impl Kept {
    /// Where it lay, below the root.
    ///
    /// # Errors
    /// For a record that somebody else wrote.
    pub fn rel(&self) -> Result<RelPath, PathError> {
        RelPath::from_bytes(self.path.to_bytes()?)
    }

    /// Whether it is a directory with all that is beneath.
    pub fn is_tree(&self) -> bool {
        self.facts.id.kind == FileKind::Directory
    }

    /// Whether it is the very file or directory `now`, untouched where it lay.
    pub fn is_untouched(&self, now: &FileFacts) -> bool {
        // Whatever comes or goes in a directory changes its times.
        let times = |facts: &FileFacts| (facts.id.mtime, facts.id.ctime);
        self.facts.is_same_elsewhere(now) && (self.is_tree() || times(&self.facts) == times(now))
    }
}

impl Kept {
    /// As what it waits in its place, on a volume that has the number `dev` now.
    pub fn waiting_as(&self, dev: u64) -> (EntryId, Identity) {
        (self.id.clone(), Identity { dev, ..self.facts.id }.waiting())
    }
}

impl Identity {
    /// The part by which what waits in its place is known: of a file all of it,
    /// so that a later file with the same inode is not taken for it; of a
    /// directory not its times, which change with whatever comes or goes in it.
    pub const fn waiting(self) -> Self {
        match self.kind {
            FileKind::Directory => Self { size: 0, mtime: Timestamp::EPOCH, ctime: Timestamp::EPOCH, ..self },
            _ => self,
        }
    }
}

impl FileFacts {
    /// Whether `now` is the same file or directory under another name: by inode,
    /// kind and, for files, size. A rename changes ctime, and a device number
    /// lasts only until the next mount: the caller sees to it that both lie on
    /// one volume. A file that had other names may be written to through them.
    pub fn is_same_elsewhere(&self, now: &Self) -> bool {
        let (then, now) = (&self.id, &now.id);
        (then.ino, then.kind) == (now.ino, now.kind)
            && (then.kind == FileKind::Directory || self.nlink > 1 || then.size == now.size)
    }
}
