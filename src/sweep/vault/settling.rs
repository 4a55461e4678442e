//! What became of entries in a batch, on record.
//!
//! Promises: what is recorded is decided by the record as it is when it is
//! written, with the turn; a record that is lost is made again at the next try
//! or start, from what is there. So that something went need not be on disk
//! before the next batch goes, and in an emergency not even in the ledger.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{
    Action, EntryId, Identity, QueueEntry, Reason, RelPath, RootName, Skip, Stage, Timestamp, TrashEntry,
    WirePath, with_causes,
};
use crate::policy::pause_after;
use crate::store::ledger::KeptChange;
use crate::sweep::execute::Ended;
use crate::sweep::root::GuardedRoot;
use crate::sys::RootDir;

use super::info::{Entry, discard};
use super::moving::{lies_in, shift};
use super::{Room, Rooms, RootVault};

/// A deferred deletion that was tried for the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTry {
    /// What it was about.
    pub path: WirePath,
    /// Why it was in vain.
    pub error: String,
}

/// How one try of an entry ended.
#[derive(Debug, Clone)]
pub struct Try {
    id: EntryId,
    room: Room,
    /// It lay in the private directory.
    moved: bool,
    path: RelPath,
    tried: Tried,
}

#[derive(Debug, Clone)]
enum Tried {
    /// It was removed just now.
    Removed,
    /// Nothing is left of it.
    Over,
    /// It stays, but for so many files and bytes of it.
    Stays(String, u64, u64),
}

fn tried(ended: &Ended, moved: bool) -> Tried {
    match ended {
        Ended::Removed { .. } | Ended::RemovedTree { .. } => Tried::Removed,
        Ended::Skipped(Skip::Vanished) => Tried::Over,
        // In its place it is known by all its times: it is another file now.
        Ended::Skipped(Skip::Changed) if !moved => Tried::Over,
        Ended::Skipped(Skip::InUse) => Tried::Stays("open or mapped by somebody".to_owned(), 0, 0),
        Ended::Skipped(why) => Tried::Stays(format!("is kept: {why}"), 0, 0),
        Ended::RemovedPart { files, freed, why } => Tried::Stays(why.clone(), *files, *freed),
        Ended::Failed(why) => Tried::Stays(why.clone(), 0, 0),
    }
}

/// The tries of a batch.
pub fn tries(root: &GuardedRoot, actions: &[Action], ended: &[Option<Ended>]) -> Vec<Try> {
    let in_place = root.dir.is_in_place();
    let one = |(action, ended): (&Action, &Option<Ended>)| {
        let (id, moved) = action.reason.kept()?;
        let ended = ended.as_ref()?;
        // Nothing was found there because nobody could look: it is tried again.
        if !moved && !in_place && matches!(ended, Ended::Skipped(Skip::Changed | Skip::Vanished)) {
            return None;
        }
        let room = if matches!(action.reason, Reason::Trash { .. }) { Room::Trash } else { Room::Queue };
        Some(Try { id: id.clone(), room, moved, path: action.path.clone(), tried: tried(ended, moved) })
    };
    actions.iter().zip(ended).filter_map(one).collect()
}

/// Those of a batch that waited in their own place, and are waited for no longer.
pub fn released(actions: &[Action], tries: &[Try]) -> Vec<(EntryId, Identity)> {
    let over = |one: &&Try| !one.moved && !matches!(one.tried, Tried::Stays(..));
    let of = |one: &Try| {
        let is_its = |action: &&Action| action.reason.kept().is_some_and(|(id, _)| *id == one.id);
        Some((one.id.clone(), actions.iter().find(is_its)?.facts.id.waiting()))
    };
    tries.iter().filter(over).filter_map(of).collect()
}

/// The entry after a try in vain: trash, once that was the last.
pub(super) fn again(mut entry: QueueEntry, why: String, now: Timestamp, most: u32) -> Entry {
    entry.attempts = entry.attempts.saturating_add(1);
    if entry.attempts < most {
        entry.last_error = Some(why);
        entry.next_try_at = now.plus(pause_after(entry.attempts));
        return Entry::Queue(entry);
    }
    let mut kept = entry.kept;
    // As trash it is not given up anew.
    kept.asked_at.get_or_insert(entry.queued_at);
    if kept.stage == Stage::Waiting {
        kept.stage = Stage::InPlace;
    }
    Entry::Trash(TrashEntry { kept, deleted_at: now, failed: Some(why) })
}

/// The root of a batch, as far as its record needs it.
#[derive(Debug, Clone)]
pub struct Site {
    name: RootName,
    dir: Arc<RootDir>,
    max_attempts: u32,
}

impl Site {
    /// Of `root`; `max_attempts`: other tries than its own.
    pub fn of(root: &GuardedRoot, max_attempts: Option<u32>) -> Self {
        let max_attempts = max_attempts.unwrap_or(root.limits.max_attempts);
        Self { name: root.name.clone(), dir: Arc::clone(&root.dir), max_attempts }
    }
}

/// Tries of emergencies that are not in the ledger yet.
#[derive(Debug, Default)]
pub struct Aside(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    tries: Vec<Try>,
    /// A thread is at work on them.
    is_written: bool,
}

/// What a batch changes.
#[derive(Default)]
struct Changes {
    all: Vec<KeptChange>,
    /// They tell only of what went from the private directory.
    only_gone: bool,
    over: Vec<(EntryId, Room)>,
    to_trash: Vec<TrashEntry>,
    last: Vec<LastTry>,
}

impl RootVault {
    /// Records what a batch did to entries; those whose last try it was.
    /// The caller has had the turn since before the batch.
    pub fn settle(&self, site: &Site, tries: &[Try], now: Timestamp) -> Vec<LastTry> {
        let Some(book) = &self.book else { return Vec::new() };
        let rooms = match self.open(&site.dir) {
            Ok(rooms) => Some(rooms),
            Err(error) => {
                tracing::warn!(root = %site.name, reason = %with_causes(&error), "descriptions of entries stay behind");
                None
            }
        };
        let mut changes = Changes { only_gone: true, ..Changes::default() };
        for one in tries {
            if one.moved && matches!(one.tried, Tried::Removed) {
                changes.over.push((one.id.clone(), one.room));
                continue;
            }
            changes.only_gone = false;
            match self.entries.entry(&one.id) {
                // Else somebody moved it meanwhile: what was tried is not what it is now.
                Ok(Some(entry))
                    if entry.room() == one.room && (entry.kept().stage == Stage::Moved) == one.moved =>
                {
                    changes.take(site, rooms.as_ref(), one, entry, now);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(root = %site.name, reason = %with_causes(&error), "what became of an entry is not on record");
                }
            }
        }
        changes.all.extend(changes.over.iter().map(|(id, _)| KeptChange::Forget(id.clone())));
        // What is gone from the private directory is found to be so after a kill.
        let written = if changes.only_gone {
            book.change_kept_soon(&changes.all)
        } else {
            book.change_kept(&changes.all)
        };
        if let Err(error) = written {
            tracing::warn!(root = %site.name, reason = %with_causes(&error), "what became of entries is not on record until they are tried again");
            return changes.last;
        }
        if let Some(rooms) = rooms {
            tidy(site, &rooms, &changes.over, changes.to_trash);
        }
        changes.last
    }

    /// The same without keeping the caller waiting, who may have a volume that
    /// fills: the ledger may be slow, or full.
    pub fn settle_aside(self: &Arc<Self>, site: &Site, tries: Vec<Try>) {
        if tries.is_empty() || self.book.is_none() {
            return;
        }
        let begin = {
            let mut waiting = self.aside.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.tries.extend(tries);
            !std::mem::replace(&mut waiting.is_written, true)
        };
        if !begin {
            return;
        }
        let (vault, its) = (Arc::clone(self), site.clone());
        let thread = std::thread::Builder::new().name("guardian-settle".to_owned());
        if thread.spawn(move || vault.write_aside(&its)).is_err() {
            // With the next batch, or at the next start.
            self.aside.0.lock().unwrap_or_else(PoisonError::into_inner).is_written = false;
        }
    }

    fn write_aside(&self, site: &Site) {
        loop {
            let tries = {
                let mut waiting = self.aside.0.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.tries.is_empty() {
                    waiting.is_written = false;
                    return;
                }
                std::mem::take(&mut waiting.tries)
            };
            let _turn = self.turn();
            for last in self.settle(site, &tries, crate::sys::clock::now()) {
                last.log(&site.name);
            }
        }
    }
}

impl LastTry {
    /// Tells of it.
    pub fn log(&self, root: &RootName) {
        tracing::error!(
            root = %root, path = %self.path.path, reason = %self.error,
            "a deferred deletion was in vain for the last time: it is in the trash now"
        );
    }
}

impl Changes {
    fn take(&mut self, site: &Site, rooms: Option<&Rooms>, one: &Try, mut entry: Entry, now: Timestamp) {
        let (room, mut lost) = (entry.room(), false);
        let why = match &one.tried {
            Tried::Stays(why, files, freed) => {
                let kept = entry.kept_mut();
                kept.files = kept.files.saturating_sub(*files);
                kept.bytes = kept.bytes.saturating_sub(*freed);
                lost |= *files > 0;
                why.clone()
            }
            Tried::Removed | Tried::Over => {
                // A ledger that could not be written has it in its place though it was moved.
                let there = rooms.filter(|_| !one.moved).and_then(|rooms| lies_in(rooms, room, entry.kept()));
                if there.is_some() {
                    entry.kept_mut().stage = Stage::Moved;
                    self.all.push(super::replay::record(entry));
                } else if let Some(trash) = left_behind(rooms, &entry) {
                    self.to_trash.push(trash);
                } else {
                    self.over.push((one.id.clone(), room));
                }
                return;
            }
        };
        match entry {
            Entry::Queue(entry) => match again(entry, why, now, site.max_attempts) {
                Entry::Queue(entry) => self.all.push(KeptChange::Queue(entry)),
                Entry::Trash(entry) => {
                    let error = entry.failed.clone().unwrap_or_default();
                    let path = WirePath::from_path(&one.path.under(site.dir.path()));
                    self.last.push(LastTry { path, error });
                    self.all.push(KeptChange::Trash(entry.clone()));
                    self.to_trash.push(entry);
                }
            },
            Entry::Trash(entry) => {
                let failed = Some(why);
                if lost || entry.failed != failed {
                    self.all.push(KeptChange::Trash(TrashEntry { failed, ..entry }));
                }
            }
        }
    }
}

/// The entry, if it is trash on record and lies in the queue's directory: it
/// could not be brought over, on a full volume. It must not be forgotten, or the
/// next start would take it for a deferred deletion.
fn left_behind(rooms: Option<&Rooms>, entry: &Entry) -> Option<TrashEntry> {
    match (rooms, entry) {
        (Some(rooms), Entry::Trash(trash)) => lies_in(rooms, Room::Queue, &trash.kept).map(|_| trash.clone()),
        _ => None,
    }
}

/// What follows from the record: descriptions of what is gone, and entries
/// that are trash now. What fails here is done at the next start.
fn tidy(site: &Site, rooms: &Rooms, over: &[(EntryId, Room)], to_trash: Vec<TrashEntry>) {
    let mut failed = None;
    for (id, room) in over {
        failed = discard(rooms, *room, id).err().or(failed);
    }
    for entry in to_trash {
        failed = shift(&site.dir, rooms, Room::Queue, &Entry::Trash(entry)).err().or(failed);
    }
    if let Some(error) = failed {
        tracing::warn!(root = %site.name, reason = %with_causes(&error), "the private directory is not tidy");
    }
}
