//! Taking a job's directory out: one rename into the private directory, a
//! second look there, then the removal.
//!
//! Promises: whoever starts a job or holds a file is answered either before
//! the rename, and then the tree stays, or after it, and then its name is
//! free. What is found in use at the second look goes back by a rename that
//! replaces nothing; if its name is taken by then it lies in the trash. So does
//! whatever a kill leaves of a tree that is out, and what was written into it
//! after the second look by whoever stood in it: nobody judged that.
//! Nothing here depends on a successful write: a tree that can't be renamed
//! goes file by file where it lies, verified as any file is.

use std::collections::HashMap;
use std::sync::MutexGuard;
use std::time::Duration;

use crate::model::{
    Action, EntryId, FileFacts, FileKind, FileTimes, Kept, Reason, RelPath, Requester, Skip, Stage,
    TrashEntry, TreePrint, WirePath, with_causes,
};
use crate::sweep::vault::info::{Entry, Info, discard};
use crate::sweep::vault::{Room, Rooms, RootVault};
use crate::sys::remove::{Refusal, move_entry, remove_empty_dir, remove_tree, verify};
use crate::sys::{clock, process};

use super::tree::{Whole, beneath, found_beneath};
use super::{Ended, Known, Place, State, divide};

/// How long an emergency waits for whoever moves entries in or out.
const TURN: Duration = Duration::from_millis(200);

/// What is said of a tree in the trash that a kill left there.
const CUT_OFF: &str = "the sweep that took it out was cut off";

/// A tree that left its place.
struct Out<'v> {
    vault: &'v RootVault,
    rooms: &'v Rooms,
    entry: TrashEntry,
    turn: MutexGuard<'v, ()>,
}

impl State<'_> {
    /// Removes a tree: all of it, or nothing.
    pub(super) fn remove_whole(&self, action: &Action, place: &Place) -> Ended {
        let whole = match self.look_through(action, place, &Default::default()) {
            Ok(whole) => whole,
            Err(ended) => return ended,
        };
        match self.take_out(action, place, &whole) {
            Ok(out) => self.remove_moved_tree(action, place, &whole, out),
            Err(None) => self.remove_where_it_lies(&whole),
            Err(Some(stays)) => stays,
        }
    }

    /// Moves a tree into the private directory.
    ///
    /// # Errors
    /// Why it stays; `None`: a rename can't be.
    fn take_out<'v>(
        &'v self,
        action: &Action,
        place: &Place,
        whole: &Whole,
    ) -> Result<Out<'v>, Option<Ended>> {
        let (Some(vault), Ok(rooms)) = (self.root.vault.as_deref(), self.rooms()) else {
            return Err(None);
        };
        let turn = if self.with.moment.emergency { vault.turn_within(TURN) } else { Some(vault.turn()) };
        let turn = turn.ok_or(None)?;
        let (entry, name) = (entry_of(self, action), action.path.name());
        let id = entry.kept.id.clone();
        if let Ok(seen) = place.dir.look(name, FileTimes::default()) {
            // For the next start, if this process ends before it is through. A
            // full disk must not keep a tree: without it nobody knows its path.
            let info = Info::of(&Entry::Trash(entry.clone()), self.root.path(), &place.dir, name, &seen);
            if let Err(error) = info.write(rooms, Room::Queue, &id, false) {
                tracing::debug!(root = %self.root.name, reason = %with_causes(&error), "a tree that goes is not described");
            }
        }
        self.seam(Step::Described);
        match self.rename(action, place, whole, rooms, &id) {
            Ok(()) => Ok(Out { vault, rooms, entry, turn }),
            Err(stays) => {
                self.discard(rooms, &id);
                Err(stays)
            }
        }
    }

    /// The one step after which the tree's name is free. `None`: it can't be done.
    fn rename(
        &self,
        action: &Action,
        place: &Place,
        whole: &Whole,
        rooms: &Rooms,
        id: &EntryId,
    ) -> Result<(), Option<Ended>> {
        let stays = |why| Err(Some(Ended::Skipped(why)));
        let name = action.path.name();
        // Held until the tree has left: a job or a hold that was answered loses nothing.
        let known = self.with.read();
        if let Err(ended) = self.check_named(&place.context, name, &action.facts, &known) {
            return Err(Some(ended));
        }
        if let Some(why) = self.policy_against_any(action, whole, &known) {
            return stays(why);
        }
        if !self.root.dir.is_in_place() || !self.is_in_place(place) {
            return stays(Skip::Changed);
        }
        match place.dir.look(name, FileTimes::default()) {
            Err(_) => return stays(Skip::Vanished),
            Ok(seen) if seen.mount_point => return stays(Skip::Protected),
            Ok(seen) if seen.facts.id.ino != action.facts.id.ino => return stays(Skip::Changed),
            Ok(_) => {}
        }
        let moved = move_entry(&place.dir, name, rooms.of(Room::Queue), id.as_str().as_bytes());
        drop(known);
        moved.map_err(|error| match error.errno() {
            Some(libc::ENOENT) => Some(Ended::Skipped(Skip::Vanished)),
            _ => {
                tracing::debug!(root = %self.root.name, reason = %with_causes(&error), "a tree can't be renamed");
                None
            }
        })
    }

    /// What became of a tree between the first look and the rename is seen
    /// only now that nobody finds it any more.
    fn second_look(&self, action: &Action, whole: &Whole, at: &RelPath) -> Result<(), Ended> {
        let Reason::Tree { print: planned, .. } = &action.reason else {
            return Err(Ended::Skipped(Skip::Changed));
        };
        let mut print = TreePrint::default();
        for listing in found_beneath(self, at)? {
            let dir = self.root.dir.open_dir(&listing.path);
            let dir = dir.map_err(|error| super::refused_directory(&error))?;
            for entry in &listing.entries {
                let (path, id) = (listing.path.join(&entry.name), &entry.facts.id);
                if id.kind == crate::model::FileKind::Directory {
                    continue;
                }
                print.add(beneath(at, &path), id);
                if let Err(refusal) = verify(&dir, &entry.name, id, &self.how) {
                    return Err(super::refused(refusal));
                }
            }
        }
        if print != *planned {
            return Err(Ended::Skipped(Skip::Changed));
        }
        let known = self.with.read();
        self.policy_against_any(action, whole, &known).map_or(Ok(()), |why| Err(Ended::Skipped(why)))
    }

    fn remove_moved_tree(&self, action: &Action, place: &Place, whole: &Whole, out: Out<'_>) -> Ended {
        self.seam(Step::Out);
        let id = out.entry.kept.id.clone();
        let queue = out.rooms.of(Room::Queue);
        let private = RelPath::root().join(crate::sys::private_dir::PRIVATE_NAME.as_bytes());
        let at = private.join(b"queue").join(id.as_str().as_bytes());
        if let Err(ended) = self.second_look(action, whole, &at) {
            return self.put_back(action, place, out, ended);
        }
        self.seam(Step::LookedAt);
        let Out { vault, rooms, entry, turn } = out;
        // From here on nothing can call it back, and nobody needs to wait.
        drop(turn);
        let judged = Judged::of(whole);
        let may_go = |facts: &FileFacts| judged.has(facts);
        let end = remove_tree(queue, id.as_str().as_bytes(), action.facts.id.ino, &self.how, &may_go);
        let (removed, why) = match end {
            Ok(end) => (end.removed, end.stayed),
            Err(why) => (Default::default(), Some(why)),
        };
        let (files, freed) = (removed.files, removed.freed);
        let Some(why) = why else {
            self.discard(rooms, &id);
            return Ended::RemovedTree { files, freed };
        };
        let why = match why {
            Refusal::Skip(Skip::InUse) => "a file in it was opened meanwhile".to_owned(),
            Refusal::Skip(Skip::Changed) => "something in it came, or was changed, meanwhile".to_owned(),
            Refusal::Skip(why) => format!("something in it stays: {why}"),
            Refusal::Failed(error) => with_causes(&error),
        };
        // Whoever is at work in it still may want it back.
        let kept = Kept {
            files: entry.kept.files.saturating_sub(files),
            bytes: entry.kept.bytes.saturating_sub(freed),
            ..entry.kept
        };
        self.take_up(vault, rooms, TrashEntry { kept, failed: Some(why.clone()), ..entry });
        Ended::RemovedPart { files, freed, why: format!("the rest is in the trash as {id}: {why}") }
    }

    /// Undoes the rename. Where that can't be, it lies in the trash.
    fn put_back(&self, action: &Action, place: &Place, out: Out<'_>, ended: Ended) -> Ended {
        let Out { vault, rooms, entry, turn: _turn } = out;
        let (id, name) = (entry.kept.id.clone(), action.path.name());
        let back = move_entry(rooms.of(Room::Queue), id.as_str().as_bytes(), &place.dir, name);
        let Err(error) = back else {
            self.discard(rooms, &id);
            return ended;
        };
        let why = match &ended {
            Ended::Skipped(why) => format!("stays: {why}"),
            Ended::Failed(error) => error.clone(),
            _ => String::new(),
        };
        let failed = match error.errno() {
            Some(libc::EEXIST) => format!("{why}; its name is taken, so that it could not be put back"),
            _ => format!("{why}; it could not be put back: {}", with_causes(&error)),
        };
        tracing::error!(
            root = %self.root.name, path = %action.path, entry = %id, reason = %failed,
            "a tree is in the trash: guardian trash restore brings it back"
        );
        self.record(vault, rooms, TrashEntry { failed: Some(failed.clone()), ..entry });
        Ended::Failed(format!("it is in the trash as {id}: {failed}"))
    }

    fn take_up(&self, vault: &RootVault, rooms: &Rooms, entry: TrashEntry) {
        let turn = if self.with.moment.emergency { vault.turn_within(TURN) } else { Some(vault.turn()) };
        // Without it the next start finds what is there.
        if turn.is_some() {
            self.record(vault, rooms, entry);
        }
    }

    fn record(&self, vault: &RootVault, rooms: &Rooms, entry: TrashEntry) {
        let id = entry.kept.id.clone();
        if let Err(error) = vault.take_up(&self.root.dir, rooms, &Entry::Trash(entry)) {
            tracing::warn!(
                root = %self.root.name, entry = %id, reason = %with_causes(&error),
                "what lies in the private directory is not on record: the next start takes it up"
            );
        }
    }

    fn discard(&self, rooms: &Rooms, id: &EntryId) {
        if let Err(error) = discard(rooms, Room::Queue, id) {
            tracing::warn!(root = %self.root.name, reason = %with_causes(&error), "a description stays behind");
        }
    }

    /// Where a rename can't be: each file by the same looks as a single one, up
    /// to the first that stays, then the directories, if they are empty.
    fn remove_where_it_lies(&self, whole: &Whole) -> Ended {
        let inner = State { of_a_tree: true, ..State::new(self.root, &whole.files, self.with) };
        for work in divide(&whole.files) {
            inner.carry_out(&work);
        }
        let (mut files, mut freed) = (0, 0);
        let why = inner.first_that_stayed();
        let end = inner.end.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        for ended in end.ended.iter().flatten() {
            if let Ended::Removed { freed: bytes } = ended {
                files += 1;
                freed += bytes;
            }
        }
        let Some(why) = why.or_else(|| self.remove_directories(whole)) else {
            return Ended::RemovedTree { files, freed };
        };
        self.note_different(whole.files.iter().cloned());
        match why {
            Ended::Failed(why) => Ended::RemovedPart { files, freed, why },
            Ended::Skipped(why) if files == 0 => Ended::Skipped(why),
            Ended::Skipped(why) => {
                Ended::RemovedPart { files, freed, why: format!("something in it stays: {why}") }
            }
            other => other,
        }
    }

    /// How the first file ended that did not go.
    pub(super) fn first_that_stayed(&self) -> Option<Ended> {
        let end = self.end.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        end.ended.iter().flatten().find_map(|ended| match ended {
            Ended::Skipped(why) => Some(Ended::Skipped(*why)),
            Ended::Failed(why) => Some(Ended::Failed(why.clone())),
            _ => None,
        })
    }

    /// Removes the directories of a tree whose files went, the deepest first.
    fn remove_directories(&self, whole: &Whole) -> Option<Ended> {
        let mut dirs: Vec<_> = whole.dirs.iter().collect();
        dirs.sort_by(|a, b| b.0.cmp(&a.0));
        for (path, facts) in dirs {
            let parent = path.parent().unwrap_or_default();
            let opened = match self.enter(parent) {
                Ok(opened) => opened,
                Err(error) => return Some(super::refused_directory(&error)),
            };
            // Jobs and holds stay as they are from this look until it is gone.
            let known: Known<'_> = self.with.read();
            if let Err(ended) = self.check_named(&opened.context, path.name(), facts, &known) {
                return Some(ended);
            }
            match remove_empty_dir(&opened.dir, path.name(), facts.id.dev, facts.id.ino) {
                Ok(true) | Err(Refusal::Skip(Skip::Vanished)) => {}
                Ok(false) => return Some(Ended::Skipped(Skip::Changed)),
                Err(why) => return Some(super::refused(why)),
            }
        }
        None
    }

    #[cfg(test)]
    fn seam(&self, step: Step) {
        seam::pass(step);
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "only tests come between")]
    const fn seam(&self, _: Step) {}
}

/// The tree as an entry of the trash: what the next start takes it for, if this
/// process ends before the tree is gone. Whoever wrote into it on the way out
/// was perhaps not seen yet: then nothing but its owner may say that it can go.
fn entry_of(state: &State<'_>, action: &Action) -> TrashEntry {
    let (now, (uid, gid)) = (clock::now(), process::own_ids());
    let kept = Kept {
        id: EntryId::new(uuid::Uuid::now_v7().to_string()),
        root: state.root.name.clone(),
        path: WirePath::from_bytes(action.path.as_bytes()),
        facts: action.facts,
        files: action.reason.files(),
        bytes: action.expected_bytes,
        stage: Stage::Moved,
        by: Requester { uid, gid, pid: std::process::id() },
        asked_at: Some(now),
        moved_at: None,
    };
    TrashEntry { kept, deleted_at: now, failed: Some(CUT_OFF.to_owned()) }
}

/// The files of a tree that were judged, by inode.
struct Judged<'w>(HashMap<u64, &'w FileFacts>);

impl<'w> Judged<'w> {
    fn of(whole: &'w Whole) -> Self {
        Self(whole.files.iter().map(|file| (file.facts.id.ino, &file.facts)).collect())
    }

    /// Whether `now` is one of them, as it was. Of several names of one file the
    /// first that goes changes its ctime.
    fn has(&self, now: &FileFacts) -> bool {
        // A directory goes once it is empty: a file that was moved here in one was not judged.
        if now.id.kind == FileKind::Directory {
            return true;
        }
        self.0.get(&now.id.ino).is_some_and(|then| {
            let ctime = if then.nlink > 1 { now.id.ctime } else { then.id.ctime };
            crate::model::Identity { ctime, ..then.id } == now.id
        })
    }
}

/// Between two steps of taking a tree out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is described, and in its place.
    Described,
    /// It is in the private directory.
    Out,
    /// It was looked at there, and is to go.
    LookedAt,
    /// A tree that was given up was looked through in its place.
    #[cfg(test)]
    LookedThrough,
}

/// Where tests come between two steps, on the thread that removes.
#[cfg(test)]
pub(crate) mod seam {
    use std::cell::RefCell;

    use super::Step;

    type Hook = Box<dyn FnMut(Step)>;

    thread_local!(static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) });

    pub(crate) fn set(hook: impl FnMut(Step) + 'static) {
        HOOK.with(|slot| *slot.borrow_mut() = Some(Box::new(hook)));
    }

    pub(crate) fn clear() {
        HOOK.with(|slot| *slot.borrow_mut() = None);
    }

    pub(crate) fn pass(step: Step) {
        HOOK.with(|slot| {
            if let Some(hook) = slot.borrow_mut().as_mut() {
                hook(step);
            }
        });
    }
}
