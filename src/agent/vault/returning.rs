//! Giving back: out of the queue, out of the trash.

use crate::agent::engine::Target;
use crate::agent::{chain, problems};
use crate::api::{ApiError, Listing, PathText, Returned, Whereabouts};
use crate::model::{EntryId, QueueEntry, RelPath, Stage, TrashEntry, WirePath, with_causes};
use crate::store::ledger::KeptChange;
use crate::sweep::vault::info::Entry;
use crate::sweep::vault::moving::shift;
use crate::sweep::vault::returning::{NotBack, put_back};
use crate::sweep::vault::{Room, Rooms};
use crate::sys::clock;

use super::{Asker, Keeper};

/// Entries read, and put back, under one turn.
const CHUNK: usize = 500;

/// How it went, and what is to be recorded.
struct Back {
    change: Option<KeptChange>,
    to_trash: Option<TrashEntry>,
    returned: Returned,
}

impl Keeper<'_> {
    fn may(asker: &Asker, entry: &Entry) -> Result<(), ApiError> {
        let kept = entry.kept();
        match asker.only() {
            Some(uid) if uid != kept.by.uid && uid != kept.facts.uid => {
                Err(ApiError::not_permitted(format!(
                    "uid {uid} may not have entry {} back: it belongs to uid {}",
                    kept.id, kept.facts.uid
                )))
            }
            _ => Ok(()),
        }
    }

    fn ready(&self, entry: &Entry) -> Result<&Target, ApiError> {
        let kept = entry.kept();
        self.target(kept).filter(|target| target.root.vault.is_some()).ok_or_else(|| {
            ApiError::conflict(format!("root {} is not ready, or has no private directory now", kept.root))
        })
    }

    /// Runs `work` with the turn at the entry's root and its directories open.
    fn in_turn<T>(target: &Target, work: impl FnOnce(&Rooms) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let missing = || ApiError::conflict("there is no private directory");
        let vault = target.root.vault.as_ref().ok_or_else(missing)?;
        let _turn = vault.turn();
        let rooms = vault.open(&target.root.dir).map_err(|error| ApiError::conflict(chain(&error)))?;
        work(&rooms)
    }

    /// Puts a deferred entry back, or into the trash.
    fn give_back(
        &self,
        target: &Target,
        rooms: &Rooms,
        entry: QueueEntry,
        asker: &Asker,
    ) -> Result<Back, ApiError> {
        let id = entry.kept.id.clone();
        let path = entry.kept.rel().map_err(|error| ApiError::internal(&error))?;
        let shown = WirePath::from_path(&path.under(target.root.path()));
        let back = put_back(&target.root, rooms, &Entry::Queue(entry.clone()), &path, asker.only());
        if entry.kept.stage != Stage::Moved && back.is_ok() {
            self.set_waiting(&target.root, &[entry.kept.waiting_as(target.root.dev())], false);
        }
        let returned = |now, reason| Returned { id: id.clone(), path: shown.clone().into(), now, reason };
        Ok(match back {
            Ok(()) => Back {
                change: Some(KeptChange::Forget(id.clone())),
                to_trash: None,
                returned: returned(Whereabouts::Restored, None),
            },
            Err(NotBack::Gone) => Back {
                change: Some(KeptChange::Forget(id.clone())),
                to_trash: None,
                returned: returned(Whereabouts::Gone, None),
            },
            Err(NotBack::Failed(error)) => Back {
                change: None,
                to_trash: None,
                returned: returned(Whereabouts::Queue, Some(with_causes(&error))),
            },
            Err(why) => {
                let reason = why.to_string();
                let trash = TrashEntry {
                    kept: crate::model::Kept { stage: Stage::Moved, ..entry.kept },
                    deleted_at: clock::now(),
                    failed: Some(format!("could not be put back: {reason}")),
                };
                Back {
                    change: Some(KeptChange::Trash(trash.clone())),
                    to_trash: Some(trash),
                    returned: returned(Whereabouts::Trash, Some(reason)),
                }
            }
        })
    }

    fn finish(&self, target: &Target, rooms: &Rooms, backs: Vec<Back>) -> Result<Vec<Returned>, ApiError> {
        let changes: Vec<KeptChange> = backs.iter().filter_map(|back| back.change.clone()).collect();
        self.ledger.change_kept(&changes).map_err(|error| problems::store(&error))?;
        let mut all = Vec::new();
        for back in backs {
            if let Some(trash) = back.to_trash
                && let Err(error) = shift(&target.root.dir, rooms, Room::Queue, &Entry::Trash(trash))
            {
                tracing::warn!(root = %target.root.name, reason = %chain(&error), "an entry lies in the other room until the next start");
            }
            all.push(back.returned);
        }
        Ok(all)
    }

    /// Takes one entry out of the queue.
    pub fn drop_one(&self, id: &EntryId, asker: &Asker) -> Result<Returned, ApiError> {
        let unknown = || no_deletion(id);
        let found = self.ledger.queue_entry(id).map_err(|error| problems::store(&error))?;
        let entry = Entry::Queue(found.ok_or_else(unknown)?);
        Self::may(asker, &entry)?;
        let target = self.ready(&entry)?;
        Self::in_turn(target, |rooms| {
            let found = self.ledger.queue_entry(id).map_err(|error| problems::store(&error))?;
            let entry = found.ok_or_else(unknown)?;
            let paths: Vec<RelPath> = entry.kept.rel().into_iter().collect();
            let back = self.give_back(target, rooms, entry, asker)?;
            let failed = back.change.is_none().then(|| back.returned.reason.clone().unwrap_or_default());
            let returned = self.finish(target, rooms, vec![back])?;
            self.tell_index(target, &paths);
            match (failed, returned.into_iter().next()) {
                (None, Some(one)) => Ok(one),
                (why, _) => {
                    Err(ApiError::conflict(format!("failed to put it back: {}", why.unwrap_or_default())))
                }
            }
        })
    }

    /// Takes everything out of the queue that is in it now.
    pub fn clear(&self, asker: &Asker) -> Result<Listing<Returned>, ApiError> {
        let last = EntryId::new(crate::agent::surroundings::new_id());
        let mut all = Vec::new();
        let mut after: Option<EntryId> = None;
        loop {
            let page =
                self.ledger.queue_page(after.as_ref(), CHUNK).map_err(|error| problems::store(&error))?;
            let page: Vec<QueueEntry> = page.into_iter().filter(|entry| entry.kept.id <= last).collect();
            let Some(end) = page.last() else { break };
            after = Some(end.kept.id.clone());
            for target in &self.targets {
                let ids: Vec<&EntryId> = page
                    .iter()
                    .filter(|entry| entry.kept.root == target.root.name)
                    .map(|entry| &entry.kept.id)
                    .collect();
                if ids.is_empty() || target.root.vault.is_none() {
                    continue;
                }
                all.extend(Self::in_turn(target, |rooms| {
                    let (mut backs, mut paths) = (Vec::new(), Vec::new());
                    for id in ids {
                        let found = self.ledger.queue_entry(id).map_err(|error| problems::store(&error))?;
                        let Some(entry) = found else { continue };
                        paths.extend(entry.kept.rel());
                        backs.push(self.give_back(target, rooms, entry, asker)?);
                    }
                    self.tell_index(target, &paths);
                    self.finish(target, rooms, backs)
                })?);
            }
        }
        Ok(Listing::all(all))
    }

    /// Puts something back from the trash.
    pub fn restore(&self, id: &EntryId, to: Option<&PathText>, asker: &Asker) -> Result<Returned, ApiError> {
        let unknown = || {
            ApiError::not_found(format!("nothing in the trash is called {id}"))
                .with_help("`guardian trash list` tells what is there")
        };
        let found = self.ledger.trash_entry(id).map_err(|error| problems::store(&error))?;
        let entry = Entry::Trash(found.ok_or_else(unknown)?);
        Self::may(asker, &entry)?;
        let target = self.ready(&entry)?;
        let to = match to {
            Some(text) => Some(self.place_in(target, text)?),
            None => None,
        };
        Self::in_turn(target, |rooms| {
            let found = self.ledger.trash_entry(id).map_err(|error| problems::store(&error))?;
            let entry = found.ok_or_else(unknown)?;
            let old = entry.kept.rel().map_err(|error| ApiError::internal(&error))?;
            if entry.kept.stage != Stage::Moved && to.as_ref().is_some_and(|to| *to != old) {
                return Err(ApiError::conflict("it never left its place: restore it there, then move it"));
            }
            let path = to.unwrap_or(old);
            let forget = || {
                self.ledger
                    .change_kept(&[KeptChange::Forget(id.clone())])
                    .map_err(|error| problems::store(&error))
            };
            let waits = entry.kept.waiting_as(target.root.dev());
            match put_back(&target.root, rooms, &Entry::Trash(entry), &path, asker.only()) {
                Ok(()) => self.set_waiting(&target.root, &[waits], false),
                Err(NotBack::Gone) => {
                    forget()?;
                    return Err(ApiError::not_found(format!(
                        "entry {id} is gone from the private directory"
                    )));
                }
                Err(NotBack::Failed(error)) => return Err(ApiError::internal(&error)),
                Err(why @ NotBack::NotPermitted { .. }) => {
                    return Err(ApiError::not_permitted(why.to_string()));
                }
                Err(why) => {
                    return Err(ApiError::conflict(why.to_string())
                        .with_help("name another place in the same root with --to"));
                }
            }
            forget()?;
            self.tell_index(target, std::slice::from_ref(&path));
            let shown = WirePath::from_path(&path.under(target.root.path()));
            Ok(Returned { id: id.clone(), path: shown.into(), now: Whereabouts::Restored, reason: None })
        })
    }

    fn place_in(&self, target: &Target, text: &PathText) -> Result<RelPath, ApiError> {
        let bytes = text.to_bytes().map_err(|why| ApiError::invalid(why.to_string()))?;
        match self.find(&bytes) {
            Some((other, path)) if other.root.name == target.root.name => Ok(path),
            _ => Err(ApiError::invalid(format!(
                "the place must lie beneath root {} ({}): nothing is carried to another file system",
                target.root.name,
                target.root.path().display()
            ))),
        }
    }

    /// Makes a deferred entry due now.
    pub fn retry(&self, id: &EntryId, asker: &Asker) -> Result<QueueEntry, ApiError> {
        let found = self.ledger.queue_entry(id).map_err(|error| problems::store(&error))?;
        let entry = found.ok_or_else(|| no_deletion(id))?;
        Self::may(asker, &Entry::Queue(entry.clone()))?;
        let target = self.ready(&Entry::Queue(entry))?;
        Self::in_turn(target, |_| {
            let found = self.ledger.queue_entry(id).map_err(|error| problems::store(&error))?;
            let entry = found.ok_or_else(|| no_deletion(id))?;
            let entry = QueueEntry { attempts: 0, next_try_at: clock::now(), ..entry };
            self.ledger
                .change_kept(&[KeptChange::Queue(entry.clone())])
                .map_err(|error| problems::store(&error))?;
            Ok(entry)
        })
    }
}

fn no_deletion(id: &EntryId) -> ApiError {
    ApiError::not_found(format!("no deletion {id} waits")).with_help("`guardian queue list` tells what does")
}
