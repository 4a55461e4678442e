//! `ID.info`: what an entry is, beside it, for the day the ledger is lost.

use serde::{Deserialize, Serialize};

use super::{Room, Rooms};
use crate::model::{EntryId, Kept, QueueEntry, Timestamp, TrashEntry, WirePath};
use crate::sys::{DirHandle, Seen, SysError, own_file, xattr};

/// One entry, as its own file describes it. JSON, so that a person with
/// nothing but the file can put it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Where it lay: absolute.
    pub original: WirePath,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permissions, octal.
    pub mode: String,
    /// Last change of content.
    pub mtime: Timestamp,
    /// Last change of content or inode, before it was moved.
    pub ctime: Timestamp,
    /// When it was given up.
    pub deleted_at: Timestamp,
    /// Extended attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<Attribute>,
    /// The record of the queue, if it is in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueEntry>,
    /// The record of the trash, if it is in the trash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trash: Option<TrashEntry>,
}

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    pub name: WirePath,
    /// Its value.
    pub value: WirePath,
}

/// An entry of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Deferred.
    Queue(QueueEntry),
    /// Soft-deleted.
    Trash(TrashEntry),
}

impl Entry {
    /// What both have.
    pub const fn kept(&self) -> &Kept {
        match self {
            Self::Queue(entry) => &entry.kept,
            Self::Trash(entry) => &entry.kept,
        }
    }

    /// The same, to be changed.
    pub const fn kept_mut(&mut self) -> &mut Kept {
        match self {
            Self::Queue(entry) => &mut entry.kept,
            Self::Trash(entry) => &mut entry.kept,
        }
    }

    /// When it was given up: what came into a tree later never was. Of what was
    /// found without a description, when it was found.
    pub fn asked_at(&self) -> Timestamp {
        let recorded = match self {
            Self::Queue(entry) => entry.queued_at,
            Self::Trash(entry) => entry.deleted_at,
        };
        self.kept().asked_at.unwrap_or(recorded)
    }

    /// Where it lies when it is moved.
    pub const fn room(&self) -> Room {
        match self {
            Self::Queue(_) => Room::Queue,
            Self::Trash(_) => Room::Trash,
        }
    }

    /// When it was given up.
    pub const fn given_up_at(&self) -> Timestamp {
        match self {
            Self::Queue(entry) => entry.queued_at,
            Self::Trash(entry) => entry.deleted_at,
        }
    }
}

impl Info {
    /// Describes `entry`, which is `name` in `dir` and looks like `seen`.
    pub fn of(entry: &Entry, root: &std::path::Path, dir: &DirHandle, name: &[u8], seen: &Seen) -> Self {
        let original = match entry.kept().rel() {
            Ok(path) => WirePath::from_path(&path.under(root)),
            Err(_) => entry.kept().path.clone(),
        };
        let attribute = |(name, value): (Vec<u8>, Vec<u8>)| Attribute {
            name: WirePath::from_bytes(&name),
            value: WirePath::from_bytes(&value),
        };
        let mut info = Self {
            original,
            uid: seen.facts.uid,
            gid: seen.gid,
            mode: format!("{:04o}", seen.permissions),
            mtime: seen.facts.id.mtime,
            ctime: seen.facts.id.ctime,
            deleted_at: entry.given_up_at(),
            xattrs: xattr::all_at(dir, name).into_iter().map(attribute).collect(),
            queue: None,
            trash: None,
        };
        info.describe(entry);
        info
    }

    /// Takes the record of `entry` in place of the one it has.
    pub fn describe(&mut self, entry: &Entry) {
        (self.queue, self.trash) = match entry {
            Entry::Queue(entry) => (Some(entry.clone()), None),
            Entry::Trash(entry) => (None, Some(entry.clone())),
        };
    }

    /// The record.
    pub fn entry(self) -> Option<Entry> {
        self.trash.map(Entry::Trash).or(self.queue.map(Entry::Queue))
    }

    /// Writes it into its room. With `sync` it is lasting when this returns.
    pub fn write(&self, rooms: &Rooms, room: Room, id: &EntryId, sync: bool) -> Result<(), SysError> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| SysError::named("describe entry", id.as_str().as_bytes(), error))?;
        own_file::write(rooms.of(room), &file_of(id), &bytes, sync)
    }

    /// Reads the one of `id`; `None` where there is none, or none that can be read.
    pub fn read(rooms: &Rooms, room: Room, id: &EntryId) -> Result<Option<Self>, SysError> {
        let bytes = own_file::read(rooms.of(room), &file_of(id))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

/// Takes the description of an entry away: its own, or the one it shares with
/// others if it is the last of them.
pub fn discard(rooms: &Rooms, room: Room, id: &EntryId) -> Result<(), SysError> {
    let shared = match room {
        Room::Queue => rooms.manifests.remove(id),
        Room::Trash => None,
    };
    match shared {
        Some(None) => Ok(()),
        Some(Some(last)) => own_file::discard(rooms.of(room), &last).map(drop),
        None => own_file::discard(rooms.of(room), &file_of(id)).map(drop),
    }
}

/// Its name.
pub fn file_of(id: &EntryId) -> String {
    format!("{id}.info")
}
