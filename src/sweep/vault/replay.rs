//! Bringing ledger and private directory to one account, at the start of an
//! agent or command and whenever a root is taken back.
//!
//! Promises: doing it twice does nothing more; what is in the directory is
//! always somebody's, and never dropped; what is not there any more was
//! removed or given back, and is not removed again.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::model::{
    EntryId, FileTimes, Identity, Kept, QueueEntry, Requester, Stage, Timestamp, TrashEntry, WirePath,
    with_causes,
};
use crate::store::StoreError;
use crate::store::ledger::{KeptChange, Ledger};
use crate::sweep::root::GuardedRoot;
use crate::sys::dir::EntryBuffer;
use crate::sys::{DirHandle, SysError, own_file};

use super::info::{Entry, Info, discard};
use super::moving::{lies_in, shift};
use super::{Room, Rooms, RootVault, manifest};

/// Entries looked at, or changed, at once.
const PAGE: usize = 1000;

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The ledger.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The private directory.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// On record, and still to be moved.
    pub waiting: Vec<EntryId>,
    /// On record, and in its own place.
    pub in_place: Vec<(EntryId, Identity)>,
    /// On record, and not in its own place.
    pub elsewhere: Vec<(EntryId, Identity)>,
    /// In the directory, and unknown to the ledger until now.
    pub found: u64,
    /// On record, and nowhere any more.
    pub gone: u64,
}

/// What lies in one room.
#[derive(Default)]
struct Inventory {
    objects: HashSet<Box<str>>,
    infos: HashSet<Box<str>>,
    /// Files that describe many.
    manifests: Vec<Box<str>>,
}

struct Replay<'a> {
    root: &'a GuardedRoot,
    rooms: Rooms,
    book: &'a Ledger,
    there: HashMap<bool, Inventory>,
    changes: Vec<KeptChange>,
    shifts: Vec<(Room, Entry)>,
    end: Replayed,
    /// The file that describes many which was read last, and what it says.
    read: Option<(Arc<str>, HashMap<EntryId, QueueEntry>)>,
}

/// Settles the account of one root. The caller has the turn.
///
/// # Errors
/// When ledger or directory can't be read; what was settled until then stays so.
pub fn replay(
    root: &GuardedRoot,
    vault: &RootVault,
    book: &Ledger,
    now: Timestamp,
) -> Result<Replayed, ReplayError> {
    let rooms = vault.open(&root.dir)?;
    let mut there = HashMap::new();
    for room in [Room::Queue, Room::Trash] {
        there.insert(room == Room::Queue, inventory(rooms.of(room))?);
    }
    let mut replay = Replay {
        root,
        rooms,
        book,
        there,
        changes: Vec::new(),
        shifts: Vec::new(),
        end: Replayed::default(),
        read: None,
    };
    replay.manifests()?;
    replay.known()?;
    replay.unknown(now)?;
    replay.commit()?;
    vault.settled.store(true, Ordering::Release);
    Ok(replay.end)
}

fn inventory(dir: &DirHandle) -> Result<Inventory, SysError> {
    let failed = |error: io::Error| SysError::io("read private directory", dir.proc_path(), error);
    let mut found = Inventory::default();
    let mut reading = dir.reopen().map_err(failed)?;
    reading
        .entries(&mut EntryBuffer::default(), |_, entry| {
            // Names of ours are plain text; anything else is no entry.
            if let Ok(name) = entry.name.to_str() {
                match name.strip_suffix(".info") {
                    Some(id) => drop(found.infos.insert(id.into())),
                    None if name.ends_with(manifest::SUFFIX) => found.manifests.push(name.into()),
                    None => drop(found.objects.insert(name.into())),
                }
            }
            Ok(())
        })
        .map_err(failed)?;
    Ok(found)
}

impl Replay<'_> {
    fn inventory(&mut self, room: Room) -> &mut Inventory {
        self.there.entry(room == Room::Queue).or_default()
    }

    /// Takes up what the files say that describe many; those of which nothing
    /// is there any more go.
    fn manifests(&mut self) -> Result<(), ReplayError> {
        self.rooms.manifests.begin_anew();
        for name in std::mem::take(&mut self.inventory(Room::Queue).manifests) {
            let ids: Vec<EntryId> =
                manifest::read(&self.rooms, &name)?.into_iter().map(|entry| entry.kept.id).collect();
            let there = &self.inventory(Room::Queue).objects;
            let left: Vec<EntryId> = ids.into_iter().filter(|id| there.contains(id.as_str())).collect();
            if left.is_empty() {
                own_file::discard(self.rooms.of(Room::Queue), &name)?;
            } else {
                for needless in self.rooms.manifests.add(&name, left) {
                    own_file::discard(self.rooms.of(Room::Queue), &needless)?;
                }
            }
        }
        Ok(())
    }

    /// What a file that describes many says of an entry.
    fn described_among_others(&mut self, id: &EntryId) -> Result<Option<Entry>, ReplayError> {
        let Some(name) = self.rooms.manifests.of(id) else { return Ok(None) };
        if self.read.as_ref().is_none_or(|(read, _)| *read != name) {
            let entries = manifest::read(&self.rooms, &name)?.into_iter();
            self.read = Some((name, entries.map(|entry| (entry.kept.id.clone(), entry)).collect()));
        }
        let entry = self.read.as_ref().and_then(|(_, entries)| entries.get(id));
        Ok(entry.cloned().map(Entry::Queue))
    }

    /// Everything on record, against what is there.
    fn known(&mut self) -> Result<(), ReplayError> {
        let always = Timestamp::from_nanos(i64::MAX);
        let mut after: Option<(Timestamp, EntryId)> = None;
        loop {
            let key = after.as_ref().map(|(at, id)| (*at, id));
            let page = self.book.queue_due(&self.root.name, always, key, PAGE)?;
            after = page.last().map(|entry| (entry.next_try_at, entry.kept.id.clone()));
            let last = page.len() < PAGE;
            page.into_iter().for_each(|entry| self.compare(Entry::Queue(entry)));
            if last {
                break;
            }
        }
        after = None;
        loop {
            let key = after.as_ref().map(|(at, id)| (*at, id));
            let page = self.book.trash_due(&self.root.name, always, key, PAGE)?;
            after = page.last().map(|entry| (entry.deleted_at, entry.kept.id.clone()));
            let last = page.len() < PAGE;
            page.into_iter().for_each(|entry| self.compare(Entry::Trash(entry)));
            if last {
                break;
            }
        }
        Ok(())
    }

    fn compare(&mut self, mut entry: Entry) {
        let id: Box<str> = entry.kept().id.as_str().into();
        let room = entry.room();
        let other = if room == Room::Queue { Room::Trash } else { Room::Queue };
        let here =
            self.inventory(room).objects.remove(&id) && lies_in(&self.rooms, room, entry.kept()).is_some();
        let aside = !here
            && self.inventory(other).objects.remove(&id)
            && lies_in(&self.rooms, other, entry.kept()).is_some();
        if here || aside {
            // Of what is there the description is needed; a power cut may have taken it.
            let shared = room == Room::Queue && self.rooms.manifests.of(&entry.kept().id).is_some();
            let described = self.inventory(room).infos.remove(&id) || aside || shared;
            if !described {
                self.describe(&entry);
            }
            if aside {
                self.inventory(other).infos.remove(&id);
                self.shifts.push((other, entry.clone()));
            }
            self.end.elsewhere.push(entry.kept().waiting_as(self.root.dev()));
            if entry.kept().stage != Stage::Moved {
                entry.kept_mut().stage = Stage::Moved;
                self.changes.push(record(entry));
            }
            return;
        }
        let waits = entry.kept().waiting_as(self.root.dev());
        let is_back = entry.kept().stage == Stage::Moved && self.is_back(entry.kept());
        match entry.kept().stage {
            Stage::Moved if !is_back => self.end.elsewhere.push(waits),
            _ => self.end.in_place.push(waits),
        }
        match entry.kept().stage {
            Stage::Waiting => self.end.waiting.push(entry.kept().id.clone()),
            Stage::InPlace => {
                self.inventory(room).infos.remove(&id);
            }
            // A power cut can undo a rename: then it lies where it lay, untouched.
            Stage::Moved if is_back => {
                entry.kept_mut().stage = Stage::Waiting;
                self.end.waiting.push(entry.kept().id.clone());
                self.changes.push(record(entry));
            }
            Stage::Moved => {
                self.end.gone += 1;
                self.changes.push(KeptChange::Forget(entry.kept().id.clone()));
            }
        }
    }

    fn describe(&self, entry: &Entry) {
        let (dir, name) = (self.rooms.of(entry.room()), entry.kept().id.as_str().as_bytes());
        let mut moved = entry.clone();
        moved.kept_mut().stage = Stage::Moved;
        let written = dir
            .look(name, FileTimes::default())
            .map_err(|error| SysError::named("look at entry", name, error))
            .and_then(|seen| {
                let info = Info::of(&moved, self.root.path(), dir, name, &seen);
                info.write(&self.rooms, entry.room(), &entry.kept().id, false)
            });
        if let Err(error) = written {
            tracing::warn!(root = %self.root.name, reason = %with_causes(&error), "an entry has no description");
        }
    }

    fn is_back(&self, kept: &Kept) -> bool {
        let Ok(path) = kept.rel() else { return false };
        let Some(Ok(dir)) = self.root.dir.open_parent(&path) else { return false };
        // A directory's times are no witness; one that was given back would look the same.
        !kept.is_tree()
            && dir.stat(path.name(), FileTimes::default()).is_ok_and(|facts| kept.is_untouched(&facts))
    }

    /// What is there and not on record.
    fn unknown(&mut self, now: Timestamp) -> Result<(), ReplayError> {
        for room in [Room::Queue, Room::Trash] {
            let mut objects: Vec<Box<str>> = self.inventory(room).objects.drain().collect();
            // In order: those that share a description lie beside each other.
            objects.sort_unstable();
            for name in objects {
                self.inventory(room).infos.remove(&name);
                let id = EntryId::new(name);
                let Some(mut entry) = self.recognise(room, &id, now)? else { continue };
                entry.kept_mut().root = self.root.name.clone();
                entry.kept_mut().stage = Stage::Moved;
                self.end.found += 1;
                if entry.room() != room {
                    self.shifts.push((room, entry.clone()));
                }
                self.changes.push(record(entry));
            }
            let infos: Vec<Box<str>> = self.inventory(room).infos.drain().collect();
            for name in infos {
                // What it describes never left its place, or is gone.
                discard(&self.rooms, room, &EntryId::new(name))?;
            }
        }
        Ok(())
    }

    /// The entry that lies in `room` under an ID that this root has no record of.
    fn recognise(&mut self, room: Room, id: &EntryId, now: Timestamp) -> Result<Option<Entry>, ReplayError> {
        // The root may have been called otherwise.
        let recorded = match self.book.queue_entry(id)? {
            Some(entry) => Some(Entry::Queue(entry)),
            None => self.book.trash_entry(id)?.map(Entry::Trash),
        };
        let described = Info::read(&self.rooms, room, id)?.and_then(Info::entry);
        let shared = match described {
            None if room == Room::Queue => self.described_among_others(id)?,
            _ => None,
        };
        for entry in recorded.into_iter().chain(described).chain(shared) {
            if entry.kept().id == *id && lies_in(&self.rooms, room, entry.kept()).is_some() {
                return Ok(Some(entry));
            }
        }
        let dir = self.rooms.of(room);
        let Ok(facts) = dir.stat(id.as_str().as_bytes(), FileTimes::default()) else { return Ok(None) };
        tracing::warn!(root = %self.root.name, entry = %id, "an entry of the private directory has no description: it is trash now");
        let path = format!("recovered-{id}");
        let kept = Kept {
            id: id.clone(),
            root: self.root.name.clone(),
            path: WirePath { path, path_encoding: None },
            facts,
            files: 1,
            bytes: facts.allocated,
            stage: Stage::Moved,
            by: Requester { uid: facts.uid, gid: 0, pid: 0 },
            asked_at: None,
            moved_at: None,
        };
        let failed = Some("its description was lost: restore it with --to".to_owned());
        Ok(Some(Entry::Trash(TrashEntry { kept, deleted_at: now, failed })))
    }

    fn commit(&mut self) -> Result<(), ReplayError> {
        for part in self.changes.chunks(PAGE) {
            self.book.change_kept(part)?;
        }
        for (from, entry) in self.shifts.drain(..) {
            if let Err(error) = shift(&self.root.dir, &self.rooms, from, &entry) {
                tracing::warn!(root = %self.root.name, reason = %with_causes(&error), "an entry lies in the other room");
            }
        }
        Ok(())
    }
}

/// The entry as it is to be recorded.
pub fn record(entry: Entry) -> KeptChange {
    match entry {
        Entry::Queue(entry) => KeptChange::Queue(entry),
        Entry::Trash(entry) => KeptChange::Trash(entry),
    }
}

/// A deferred deletion that could not be moved: for the next try, or trash.
pub fn tried_in_vain(entry: QueueEntry, why: String, now: Timestamp, most: u32) -> Entry {
    super::settling::again(entry, why, now, most)
}
