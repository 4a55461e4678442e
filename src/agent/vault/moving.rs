//! Moving what is on record, and bringing record and directory to one account.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::agent::engine::Target;
use crate::agent::{chain, problems};
use crate::api::{ApiError, Given, RefusedPath};
use crate::model::{EntryId, Identity, RootName, Stage, Timestamp, TrashEntry};
use crate::policy::Moment;
use crate::store::ledger::KeptChange;
use crate::sweep::root::GuardedRoot;
use crate::sweep::vault::RootVault;
use crate::sweep::vault::info::Entry;
use crate::sweep::vault::moving::{Taken, take_in};
use crate::sweep::vault::replay::{Replayed, record, replay, tried_in_vain};
use crate::sys::clock;

use super::{Handed, Keeper};

/// Entries moved under one turn, and read at once.
const CHUNK: usize = 1000;

/// What came of moving.
#[derive(Debug, Default)]
pub struct Moved {
    /// Still to be moved: their root is not ready, or there was no time.
    pub left: Vec<Handed>,
    /// Of the others: whether they left their place.
    pub moved: HashMap<EntryId, bool>,
    /// Off the record: what was there was not what had been given up any more.
    pub gone: HashSet<EntryId>,
}

impl Moved {
    /// Fills in what became of the paths of a request. What is let be because it
    /// was changed meanwhile is refused after all.
    pub fn tell(&self, given: &mut Given) {
        for item in &mut given.items {
            item.moved = self.moved.get(&item.id).copied();
        }
        let (gone, items) =
            std::mem::take(&mut given.items).into_iter().partition(|item| self.gone.contains(&item.id));
        given.items = items;
        given.refused.extend(gone.into_iter().map(|item| RefusedPath {
            path: item.path,
            reason:
                "was changed, moved or removed by somebody before it could be moved: it is let be".to_owned(),
        }));
    }
}

impl Keeper<'_> {
    /// Moves entries that wait into the private directories, for as long as
    /// `patience` (`None`: until that is done). What became of them is on disk then.
    pub fn move_in(&self, handed: &[Handed], patience: Option<Duration>) -> Result<Moved, ApiError> {
        let end = self.move_on(handed, patience)?;
        self.ledger.make_lasting().map_err(|error| problems::store(&error))?;
        Ok(end)
    }

    /// The same as one part of many: what became of the entries is on disk after
    /// the ledger's next durable write. Until then the caller remembers them, and
    /// comes with them again should the ledger lose it.
    pub fn move_on(&self, handed: &[Handed], patience: Option<Duration>) -> Result<Moved, ApiError> {
        let until = patience.map(|limit| Instant::now() + limit);
        let mut by_root: HashMap<&RootName, Vec<EntryId>> = HashMap::new();
        for (root, id) in handed {
            by_root.entry(root).or_default().push(id.clone());
        }
        let mut end = Moved::default();
        for (root, ids) in by_root {
            let target = self.targets.iter().find(|target| target.root.name == *root);
            let vault = target.and_then(|target| Some((target, target.root.vault.as_ref()?)));
            for chunk in ids.chunks(CHUNK) {
                let turn = vault.and_then(|(target, vault)| {
                    let turn = match until {
                        Some(until) => vault.turn_within(until.checked_duration_since(Instant::now())?),
                        None => Some(vault.turn()),
                    };
                    Some((target, vault, turn?))
                });
                match turn {
                    Some((target, vault, _turn)) => self.move_chunk(target, vault, chunk, &mut end)?,
                    None => end.left.extend(chunk.iter().map(|id| (root.clone(), id.clone()))),
                }
            }
        }
        Ok(end)
    }

    /// The caller has the turn.
    fn move_chunk(
        &self,
        target: &Target,
        vault: &RootVault,
        ids: &[EntryId],
        end: &mut Moved,
    ) -> Result<(), ApiError> {
        let root = &target.root;
        let failed = |error| problems::store(&error);
        // As they are now that we have the turn.
        let queued = self.ledger.queue_entries(ids).map_err(failed)?.into_iter().map(Entry::Queue);
        let trashed = self.ledger.trash_entries(ids).map_err(failed)?.into_iter().map(Entry::Trash);
        let waits = |entry: &Entry| entry.kept().stage == Stage::Waiting;
        let entries: Vec<Entry> = queued.chain(trashed).filter(waits).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let rooms = vault.open(&root.dir).map_err(|error| ApiError::conflict(chain(&error)))?;
        let now = clock::now();
        let moment = Moment::ordinary(now);
        let taken = take_in(root, &rooms, &entries, self.conditions(&moment), &|| !vault.is_wanted());
        let most = root.limits.max_attempts;
        let (mut changes, mut left, mut released) = (Vec::new(), Vec::new(), Vec::new());
        for (mut entry, taken) in entries.into_iter().zip(taken) {
            let path = entry.kept().rel().ok();
            let id = entry.kept().id.clone();
            if matches!(taken, Taken::Moved(_) | Taken::Gone) {
                released.push(entry.kept().waiting_as(root.dev()));
            }
            match &taken {
                Taken::NotYet => {
                    end.left.push((root.name.clone(), id));
                    continue;
                }
                Taken::Gone => drop(end.gone.insert(id.clone())),
                Taken::Moved(_) => drop(end.moved.insert(id.clone(), true)),
                Taken::InPlace(_) | Taken::Later(_) => drop(end.moved.insert(id.clone(), false)),
            }
            match taken {
                Taken::Moved(there) => {
                    let kept = entry.kept_mut();
                    kept.stage = Stage::Moved;
                    // Our rename was the last that changed it.
                    kept.moved_at = kept.is_tree().then_some(there.id.ctime);
                    left.extend(path);
                    changes.push(record(entry));
                }
                Taken::InPlace(why) => {
                    tracing::debug!(root = %root.name, entry = %id, reason = %why, "an entry stays in its place");
                    entry.kept_mut().stage = Stage::InPlace;
                    if let Entry::Queue(entry) = &mut entry {
                        entry.last_error = Some(format!("stays in its place: {why}"));
                    }
                    changes.push(record(entry));
                }
                Taken::Later(why) => match entry {
                    Entry::Queue(entry) => changes.push(record(tried_in_vain(entry, why, now, most))),
                    // It stays where it is until the next look.
                    Entry::Trash(entry) => {
                        changes.push(KeptChange::Trash(TrashEntry { failed: Some(why), ..entry }))
                    }
                },
                Taken::Gone | Taken::NotYet => {
                    tracing::info!(
                        root = %root.name, entry = %id, path = ?path,
                        "what was given up is gone or was changed before it could be moved: it is let be"
                    );
                    changes.push(KeptChange::Forget(id));
                }
            }
        }
        self.tell_index(target, &left);
        self.set_waiting(root, &released, false);
        // Where each of them is, is found out again after a kill.
        self.ledger.change_kept_soon(&changes).map_err(failed)
    }

    /// Keeps sweeps away from whatever of a root is on record and may lie in its
    /// place: to be called before the first of them, as the record may be behind
    /// until it was compared with what is there ([`Self::replay`]).
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub fn guard(&self, root: &GuardedRoot) -> Result<(), ApiError> {
        let failed = |error| problems::store(&error);
        let always = Timestamp::from_nanos(i64::MAX);
        let mut after: Option<(Timestamp, EntryId)> = None;
        loop {
            let key = after.as_ref().map(|(at, id)| (*at, id));
            let page = self.ledger.queue_due(&root.name, always, key, CHUNK).map_err(failed)?;
            let files: Vec<(EntryId, Identity)> =
                page.iter().map(|entry| entry.kept.waiting_as(root.dev())).collect();
            self.set_waiting(root, &files, true);
            match page.last() {
                Some(last) => after = Some((last.next_try_at, last.kept.id.clone())),
                None => break,
            }
        }
        after = None;
        loop {
            let key = after.as_ref().map(|(at, id)| (*at, id));
            let page = self.ledger.trash_due(&root.name, always, key, CHUNK).map_err(failed)?;
            let files: Vec<(EntryId, Identity)> =
                page.iter().map(|entry| entry.kept.waiting_as(root.dev())).collect();
            self.set_waiting(root, &files, true);
            match page.last() {
                Some(last) => after = Some((last.deleted_at, last.kept.id.clone())),
                None => return Ok(()),
            }
        }
    }

    /// Brings ledger and private directory of one root to one account.
    ///
    /// # Errors
    /// In words.
    pub fn replay(&self, target: &Target) -> Result<Replayed, String> {
        let Some(vault) = &target.root.vault else { return Ok(Replayed::default()) };
        let _turn = vault.turn();
        let settled =
            replay(&target.root, vault, self.ledger, clock::now()).map_err(|error| chain(&error))?;
        self.set_waiting(&target.root, &settled.in_place, true);
        self.set_waiting(&target.root, &settled.elsewhere, false);
        if settled.found > 0 {
            tracing::warn!(root = %target.root.name, entries = settled.found, "entries of the private directory were unknown to the ledger: taken from what describes them");
        }
        Ok(settled)
    }
}
