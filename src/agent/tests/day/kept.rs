//! Deferred deletions and trash of the day: given up, tried, had back, and gone in time.

use super::*;
use crate::agent::vault::{Asker, Purpose};
use crate::api::PathText;
use crate::model::{EntryId, Requester, TimeSpan};

/// Tries of a deferred deletion before it is trash.
const TRIES: u32 = 3;
pub(super) const TRASH: u64 = 3 * HOUR;

/// Something that was given up.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) life: Life,
    /// In the trash, not in the queue.
    pub(super) is_trash: bool,
    since: u64,
    attempts: u32,
    /// By then somebody closes it; so long it stays in its place.
    open: Option<(u64, fs::File)>,
    pub(super) in_place: bool,
}

fn asker() -> Asker {
    Asker { by: Requester { uid: 0, gid: 0, pid: 1 }, admin: true }
}

impl Day {
    fn text(&self, name: &str) -> PathText {
        PathText::Plain(self.path(name).to_str().unwrap().to_owned())
    }

    /// Somebody gives up one of the files, for good or into the trash.
    pub(super) fn give_up(&mut self) {
        let count = self.files.len() as u64;
        let Some(name) = self.files.keys().nth(self.dice.below(count.max(1)) as usize).cloned() else {
            return;
        };
        let is_trash = self.dice.below(2) == 0;
        let purpose = if is_trash { Purpose::Trash } else { Purpose::Delete { client_id: None } };
        let opened = self.dice.below(4) == 0;
        let file = opened.then(|| fs::File::open(self.path(&name)).unwrap());
        let paths = [self.text(&name)];
        let taken = self.host().keeper().take(&paths, &purpose, &asker());
        let life = &self.files[&name];
        if self.is_spoken_for(life) {
            let refused = taken.expect_err("what is held or of a living job is refused").detail;
            assert!(refused.contains("is kept"), "{name}: {refused}");
            assert!(self.path(&name).exists());
            *self.refused.entry(is_trash).or_default() += 1;
            return;
        }
        let (given, ids) = taken.unwrap_or_else(|why| panic!("{name}: {}: {life:?}", why.detail));
        assert_eq!((given.items.len(), given.refused.len()), (1, 0));
        // A crash may come between the record and the move.
        if self.dice.below(5) == 0 {
            self.restart(self.now.is_multiple_of(2 * STEP));
        } else {
            assert_eq!(self.host().keeper().move_in(&ids, None).unwrap().left, []);
        }
        assert_eq!(self.path(&name).exists(), opened, "{name}: what is open stays in its place");
        let life = self.files.remove(&name).unwrap();
        let closes = self.now + STEP * (1 + self.dice.below(8));
        let given = Given {
            name,
            life,
            is_trash,
            since: self.now,
            // To move it was the first try.
            attempts: u32::from(opened && !is_trash),
            open: file.map(|file| (closes, file)),
            in_place: opened,
        };
        self.given.insert(ids[0].1.clone(), given);
    }

    /// Files that somebody had open are closed in time.
    pub(super) fn close_files(&mut self) {
        let now = self.now;
        for given in self.given.values_mut() {
            given.open.take_if(|(closes, _)| *closes <= now);
        }
    }

    /// All of the queue is tried, as `guardian queue run` does.
    pub(super) fn run_queue(&mut self) {
        let all = SweepRequest {
            older_than: Some(TimeSpan(Duration::ZERO)),
            max_files: Some(u64::MAX),
            ..SweepRequest::of(Policy::Deferred)
        };
        self.run(&all, None);
        for given in self.given.values() {
            assert!(given.is_trash || given.open.is_some(), "the queue left {given:?}");
        }
    }

    /// Somebody wants something back from the trash.
    pub(super) fn restore(&mut self) {
        let trash: Vec<EntryId> =
            self.given.iter().filter(|(_, given)| given.is_trash).map(|(id, _)| id.clone()).collect();
        let count = trash.len() as u64;
        let Some(id) = trash.get(self.dice.below(count.max(1)) as usize) else { return };
        let name = self.given[id].name.clone();
        let taken = !self.given[id].in_place && self.path(&name).exists();
        let restored = self.host().keeper().restore(id, None, &asker());
        if taken {
            let why = restored.expect_err("never over what is there").detail;
            assert!(why.contains("exists already"), "{why}");
            return;
        }
        restored.unwrap_or_else(|why| panic!("{name}: {}", why.detail));
        let given = self.given.remove(id).unwrap();
        assert_eq!(fs::read(self.path(&name)).unwrap(), given.life.content(), "{name} is what it was");
        assert!(self.files.insert(name, given.life).is_none());
        self.restored += 1;
    }

    /// Somebody writes another file where one was given up.
    pub(super) fn write_again(&mut self) {
        let free: Vec<String> = self
            .given
            .values()
            .filter(|given| {
                !given.in_place && !given.name.contains("job_") && !self.files.contains_key(&given.name)
            })
            .map(|given| given.name.clone())
            .collect();
        let Some(name) = free.first() else { return };
        // Nobody tells anything of this one.
        self.write(name, 0, Life::default());
    }

    /// What became of all this in a run; how many files of it went.
    pub(super) fn settle(&mut self, request: &SweepRequest) -> u64 {
        let emergency = request.policy == Policy::Emergency;
        let mut gone = 0;
        for id in self.given.keys().cloned().collect::<Vec<_>>() {
            let queued = self.host().ledger.queue_entry(&id).unwrap();
            let trashed = self.host().ledger.trash_entry(&id).unwrap();
            let given = self.given.get_mut(&id).unwrap();
            if queued.is_none() && trashed.is_none() {
                let age = self.now - given.since;
                assert!(given.open.is_none(), "what is open went: {given:?}");
                assert!(
                    emergency || !given.is_trash || age >= TRASH,
                    "trash of {age} s went at {} s: {given:?}",
                    self.now
                );
                assert!(given.is_trash || request.policy != Policy::Trash);
                gone += 1;
                self.given.remove(&id);
                continue;
            }
            if let Some(entry) = &queued {
                assert!(!given.is_trash && entry.attempts >= given.attempts && entry.attempts < TRIES);
                given.attempts = entry.attempts;
            } else if !given.is_trash {
                // Its last try was in vain.
                assert!(given.open.is_some(), "it became trash though nobody had it: {given:?}");
                given.is_trash = true;
                given.since = self.now;
            }
            let scratch = self.home.path().join("scratch");
            let room = if given.is_trash { "trash" } else { "queue" };
            let moved = scratch.join(".guardian").join(room).join(id.as_str());
            if given.in_place && moved.exists() {
                // Closed since; at a start it is tried to move it once more.
                assert!(given.open.is_none(), "what is open was moved: {given:?}");
                given.in_place = false;
            }
            let lies = if given.in_place { scratch.join(&given.name) } else { moved };
            let content =
                fs::read(&lies).unwrap_or_else(|why| panic!("{}: {why}: {given:?}", lies.display()));
            assert_eq!(content, given.life.content(), "{given:?}");
        }
        gone
    }

    /// After the sweep of each hour: nothing is in the trash past its time.
    pub(super) fn check_trash(&self) {
        for given in self.given.values() {
            let due = given.is_trash && self.now - given.since >= TRASH;
            assert!(!due || given.open.is_some(), "the sweep at {} s left trash: {given:?}", self.now);
        }
        let totals = self.host().ledger.trash_totals(&self.settings.roots[0].name).unwrap();
        assert_eq!(totals.files, self.given.values().filter(|given| given.is_trash).count() as u64);
    }
}
