//! What became of entries in a batch, on record.

use crate::model::{Action, EntryId, QueueEntry, Skip, Stage, Timestamp, TrashEntry, WirePath, with_causes};
use crate::policy::pause_after;
use crate::store::ledger::KeptChange;
use crate::sweep::execute::Ended;
use crate::sweep::root::GuardedRoot;

use super::info::{Entry, discard};
use super::moving::shift;
use super::{Room, RootVault};

/// A deferred deletion that was tried for the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTry {
    /// What it was about.
    pub path: WirePath,
    /// Why it was in vain.
    pub error: String,
}

/// What follows from a batch besides its record.
#[derive(Debug, Default)]
pub struct Settlement {
    /// Those whose last try it was.
    pub last: Vec<LastTry>,
    /// Inodes that waited in their own place, and are waited for no longer.
    pub released: Vec<u64>,
}

/// How one try ended.
enum Tried {
    /// Nothing is left of it.
    Over,
    /// It stays.
    Stays(String),
}

fn tried(ended: &Ended, moved: bool) -> Tried {
    match ended {
        Ended::Removed { .. } | Ended::Skipped(Skip::Vanished) => Tried::Over,
        // In its place it is known by all its times: it is another file now.
        Ended::Skipped(Skip::Changed) if !moved => Tried::Over,
        Ended::Skipped(Skip::InUse) => Tried::Stays("open or mapped by somebody".to_owned()),
        Ended::Skipped(why) => Tried::Stays(format!("is kept: {why}")),
        Ended::RemovedPart { why, .. } | Ended::Failed(why) => Tried::Stays(why.clone()),
        Ended::RemovedTree { .. } => Tried::Over,
    }
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
    if kept.stage == Stage::Waiting {
        kept.stage = Stage::InPlace;
    }
    Entry::Trash(TrashEntry { kept, deleted_at: now, failed: Some(why) })
}

impl RootVault {
    /// Records what a batch did to entries.
    /// The caller has had the turn since before the batch.
    pub fn settle(
        &self,
        root: &GuardedRoot,
        tries: &[(&Action, &Ended)],
        now: Timestamp,
        max_attempts: Option<u32>,
    ) -> Settlement {
        let Some(book) = &self.book else { return Settlement::default() };
        let rooms = self.open(&root.dir).ok();
        // A ledger that could not be written has it in its place though it was moved.
        let moved_after_all = |room, entry: Entry| {
            let there = rooms.as_ref().and_then(|rooms| super::moving::lies_in(rooms, room, &entry));
            there.is_some().then(|| {
                let mut entry = entry;
                entry.kept_mut().stage = Stage::Moved;
                super::replay::record(entry)
            })
        };
        let in_place = root.dir.is_in_place();
        let most = max_attempts.unwrap_or(root.limits.max_attempts);
        let (mut changes, mut over, mut to_trash) = (Vec::new(), Vec::new(), Vec::new());
        let Settlement { mut last, mut released } = Settlement::default();
        for (action, ended) in tries {
            let Some((id, moved)) = action.reason.kept() else { continue };
            // Nothing was found there because nobody could look: it is tried again.
            if !moved && !in_place && matches!(ended, Ended::Skipped(Skip::Changed | Skip::Vanished)) {
                continue;
            }
            if !moved && matches!(tried(ended, moved), Tried::Over) {
                released.push(action.facts.id.ino);
            }
            match (book.queue_entry(id), book.trash_entry(id)) {
                (Ok(Some(entry)), _) if (entry.kept.stage == Stage::Moved) == moved => {
                    match tried(ended, moved) {
                        Tried::Over if moved => over.push((id.clone(), Room::Queue)),
                        Tried::Over => match moved_after_all(Room::Queue, Entry::Queue(entry)) {
                            Some(change) => changes.push(change),
                            None => over.push((id.clone(), Room::Queue)),
                        },
                        Tried::Stays(why) => match again(entry, why, now, most) {
                            Entry::Queue(entry) => changes.push(KeptChange::Queue(entry)),
                            Entry::Trash(entry) => {
                                let error = entry.failed.clone().unwrap_or_default();
                                let path = WirePath::from_path(&action.path.under(root.path()));
                                last.push(LastTry { path, error });
                                changes.push(KeptChange::Trash(entry.clone()));
                                to_trash.push(entry);
                            }
                        },
                    }
                }
                (_, Ok(Some(entry))) if (entry.kept.stage == Stage::Moved) == moved => {
                    match tried(ended, moved) {
                        Tried::Over if moved => over.push((id.clone(), Room::Trash)),
                        Tried::Over => match moved_after_all(Room::Trash, Entry::Trash(entry)) {
                            Some(change) => changes.push(change),
                            None => over.push((id.clone(), Room::Trash)),
                        },
                        Tried::Stays(why) => {
                            let failed = Some(why);
                            if entry.failed != failed {
                                changes.push(KeptChange::Trash(TrashEntry { failed, ..entry }));
                            }
                        }
                    }
                }
                (Err(error), _) | (_, Err(error)) => {
                    tracing::warn!(root = %root.name, reason = %with_causes(&error), "what became of an entry is not on record");
                }
                // Somebody moved it meanwhile: what was tried was not what it is now.
                _ => {}
            }
        }
        changes.extend(over.iter().map(|(id, _)| KeptChange::Forget(id.clone())));
        if let Err(error) = book.change_kept(&changes) {
            // Those that are gone are found to be so at the next try.
            tracing::warn!(root = %root.name, reason = %with_causes(&error), "what became of entries is not on record");
            return Settlement { last, released };
        }
        self.tidy(root, &over, to_trash);
        Settlement { last, released }
    }

    /// What follows from the record: descriptions of what is gone, and entries
    /// that are trash now. What fails here is done at the next start.
    fn tidy(&self, root: &GuardedRoot, over: &[(EntryId, Room)], to_trash: Vec<TrashEntry>) {
        let rooms = match self.open(&root.dir) {
            Ok(rooms) => rooms,
            Err(error) => {
                tracing::warn!(root = %root.name, reason = %with_causes(&error), "descriptions of entries stay behind");
                return;
            }
        };
        let mut failed = None;
        for (id, room) in over {
            failed = discard(&rooms, *room, id).err().or(failed);
        }
        for entry in to_trash {
            failed = shift(&rooms, Room::Queue, &Entry::Trash(entry)).err().or(failed);
        }
        if let Some(error) = failed {
            tracing::warn!(root = %root.name, reason = %with_causes(&error), "the private directory is not tidy");
        }
    }
}
