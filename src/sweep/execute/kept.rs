//! Entries of queue and trash: what lies in the private directory goes from
//! there, the rest from its place as any file does.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::model::{Action, EntryId, FileFacts, FileKind, FileTimes, Skip, Timestamp, with_causes};
use crate::policy::{goes_with_its_tree, speaks_against};
use crate::sweep::vault::info::Entry;
use crate::sweep::vault::inspect::{Objection, is_newer, tree};
use crate::sweep::vault::{Room, Rooms};
use crate::sys::remove::{Refusal, TreeEnd, remove_kept, remove_tree};

use super::{Ended, Known, Place, State, refused};

fn room(action: &Action) -> Room {
    if matches!(action.reason, crate::model::Reason::Trash { .. }) { Room::Trash } else { Room::Queue }
}

fn ended(end: Result<TreeEnd, Refusal>, is_tree: bool) -> Ended {
    let end = match end {
        Ok(end) => end,
        Err(refusal) => return refused(refusal),
    };
    let (files, freed) = (end.removed.files, end.removed.freed);
    match end.stayed {
        None if is_tree => Ended::RemovedTree { files, freed },
        None => Ended::Removed { freed },
        Some(_) if files == 0 && !is_tree => Ended::Skipped(Skip::Changed),
        Some(why) => {
            let why = match why {
                Refusal::Skip(Skip::InUse) => "a file in it is open or mapped by somebody".to_owned(),
                Refusal::Skip(Skip::Changed) => {
                    "something in it came, or was changed, after it was given up".to_owned()
                }
                Refusal::Skip(why) => format!("something in it stays: {why}"),
                Refusal::Failed(error) => with_causes(&error),
            };
            Ended::RemovedPart { files, freed, why }
        }
    }
}

impl State<'_> {
    pub(super) fn rooms(&self) -> Result<&Rooms, Ended> {
        let rooms = self.rooms.get_or_init(|| {
            let vault = self.root.vault.as_ref().ok_or("there is no private directory")?;
            vault.open(&self.root.dir).map_err(|error| with_causes(&error))
        });
        rooms.as_ref().map_err(|why| Ended::Failed(why.clone()))
    }

    /// Removes an entry from the private directory.
    pub(super) fn remove_moved(&self, action: &Action, id: &EntryId) -> Ended {
        let rooms = match self.rooms() {
            Ok(rooms) => rooms,
            Err(ended) => return ended,
        };
        let is_tree = action.facts.id.kind == FileKind::Directory;
        // A file is given up as it is: its record need not be read.
        let given_up = if is_tree {
            match self.entry(id) {
                Ok(entry) => {
                    let (rules, moment) = (&self.root.rules, self.with.moment);
                    let until = goes_with_its_tree(action.phase, rules, moment, entry.asked_at());
                    GivenUp::of_moved(until, &entry)
                }
                Err(ended) => return ended,
            }
        } else {
            GivenUp::until(Timestamp::EPOCH)
        };
        let may_go = |facts: &FileFacts| given_up.has(facts);
        let dir = rooms.of(room(action));
        ended(remove_kept(dir, id.as_str().as_bytes(), &action.facts, &self.how, &may_go), is_tree)
    }

    fn entry(&self, id: &EntryId) -> Result<Entry, Ended> {
        match self.root.vault.as_ref().map(|vault| vault.entry(id)) {
            Some(Ok(Some(entry))) => Ok(entry),
            Some(Err(error)) => Err(Ended::Failed(with_causes(&error))),
            // Nobody gives it up any more.
            Some(Ok(None)) | None => Err(Ended::Skipped(Skip::Changed)),
        }
    }

    /// Why an entry in the private directory would stay.
    pub(super) fn objection_to_moved(&self, action: &Action, id: &EntryId) -> Option<Skip> {
        let dir = self.rooms().ok()?.of(room(action));
        match dir.stat(id.as_str().as_bytes(), FileTimes::default()) {
            Ok(facts) if action.facts.is_same_elsewhere(&facts) => None,
            Ok(_) => Some(Skip::Changed),
            Err(_) => Some(Skip::Vanished),
        }
    }

    /// Removes a tree that could not be moved, from its place: all of it, or
    /// nothing while a file in it must stay.
    pub(super) fn remove_tree_in_place(&self, action: &Action, id: &EntryId, place: &Place) -> Ended {
        // Whatever its room: it lies where everybody works, and what came into it is new to all.
        let given_up = match self.entry(id) {
            Ok(entry) => GivenUp::until(entry.asked_at()),
            Err(ended) => return ended,
        };
        // Held until it is gone: a job or a hold that was answered loses nothing.
        let known = self.with.read();
        if let Err(why) = tree(self.root, self.with, &known, None, Some(given_up.until), &action.path) {
            return match why {
                Objection::Absent => Ended::Skipped(Skip::Vanished),
                Objection::Kept { keep: crate::model::Keep::ActiveJob, .. } => {
                    Ended::Skipped(Skip::ActiveJob)
                }
                Objection::Kept { keep: crate::model::Keep::Held, .. } => Ended::Skipped(Skip::Held),
                Objection::Failed(error) => Ended::Failed(with_causes(&error)),
                why @ Objection::Newer(_) => Ended::RemovedPart { files: 0, freed: 0, why: why.to_string() },
                _ => Ended::Skipped(Skip::Protected),
            };
        }
        #[cfg(test)]
        super::seam::pass(super::Step::LookedThrough);
        let name = action.path.name();
        let (rules, now) = (&self.root.rules, self.with.moment.at_the_earliest());
        let Known { jobs, references } = &known;
        if self.root.own.contains(&action.facts.id)
            || speaks_against(rules, now, jobs, references, &place.context, name, &action.facts).is_some()
        {
            return Ended::Skipped(Skip::Protected);
        }
        if !self.is_in_place(place) {
            return Ended::Skipped(Skip::Changed);
        }
        let may_go = |facts: &FileFacts| given_up.has(facts);
        ended(remove_tree(&place.dir, name, action.facts.id.ino, &self.how, &may_go), true)
    }
}

/// What was given up with a tree: somebody may put something into it still,
/// where it lies or, standing in it, where it was moved to.
struct GivenUp {
    /// What is newer was not.
    until: Timestamp,
    /// Directories that were changed after this were changed by somebody else:
    /// what lies in one may have been moved there with it. `None`: not known, or
    /// an earlier try of ours changed some.
    untouched_since: Option<Timestamp>,
    /// Files with several names, as they were when the first was looked at. Of
    /// these the first that goes changes the ctime.
    linked: RefCell<HashMap<u64, FileFacts>>,
}

impl GivenUp {
    fn until(until: Timestamp) -> Self {
        Self { until, untouched_since: None, linked: RefCell::default() }
    }

    fn of_moved(until: Timestamp, entry: &Entry) -> Self {
        let was_tried = match entry {
            Entry::Queue(entry) => entry.attempts > 0,
            Entry::Trash(entry) => entry.failed.is_some(),
        };
        // In the trash everything has its own retention.
        let moved_at = entry.kept().moved_at.filter(|_| !was_tried).map(|at| at.max(until));
        Self { untouched_since: moved_at, ..Self::until(until) }
    }

    fn has(&self, now: &FileFacts) -> bool {
        if now.id.kind == FileKind::Directory {
            let touched = self.untouched_since.is_some_and(|at| now.id.ctime > at);
            return !touched && !is_newer(now, self.until);
        }
        let mut linked = self.linked.borrow_mut();
        // The number alone may be that of a file which came after the last name of this had gone.
        let same = |then: &FileFacts| {
            let (a, b) = (&then.id, &now.id);
            (a.kind, a.size, a.mtime, then.btime) == (b.kind, b.size, b.mtime, now.btime)
        };
        let has = linked.get(&now.id.ino).is_some_and(same) || !is_newer(now, self.until);
        if has && now.nlink > 1 {
            linked.insert(now.id.ino, *now);
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;

    #[test]
    fn a_file_with_several_names_goes_by_all_of_them_unless_it_was_written_to_meanwhile() {
        let (before, at, after) =
            (Timestamp::from_unix(1, 0), Timestamp::from_unix(2, 0), Timestamp::from_unix(3, 0));
        let id = Identity { dev: 1, ino: 7, kind: FileKind::Regular, size: 5, mtime: before, ctime: before };
        let first = FileFacts {
            id,
            allocated: 4096,
            nlink: 2,
            uid: 0,
            atime: None,
            btime: Some(before),
            expires_at: None,
        };
        let unlinked = FileFacts { id: Identity { ctime: after, ..id }, nlink: 1, ..first };
        let given_up = GivenUp::until(at);
        assert!(!given_up.has(&unlinked), "nobody knows why it changed");
        assert!(given_up.has(&first) && given_up.has(&unlinked));
        let written = FileFacts { id: Identity { mtime: after, ..unlinked.id }, ..unlinked };
        assert!(!given_up.has(&written));
        let another = FileFacts { btime: Some(after), ..unlinked };
        assert!(!given_up.has(&another), "the same number, and another file");
    }
}
