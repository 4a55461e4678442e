//! Taking in what somebody gives up: looked at, on record, moved.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use crate::agent::engine::{Engine, Target};
use crate::agent::surroundings::new_id;
use crate::agent::{chain, problems};
use crate::api::{ApiError, Given, GivenPath, PathText, PeerIdentity, RefusedPath};
use crate::model::{
    EntryId, Kept, QueueEntry, RelPath, Requester, RootName, Stage, Timestamp, TrashEntry, WirePath,
};
use crate::policy::Moment;
use crate::store::ledger::{KeptChange, Ledger};
use crate::sweep::execute::Conditions;
use crate::sweep::vault::RootVault;
use crate::sweep::vault::info::Entry;
use crate::sweep::vault::inspect::{Inspector, Objection};
use crate::sweep::vault::moving::{Taken, take_in};
use crate::sweep::vault::replay::{Replayed, record, replay, tried_in_vain};
use crate::sys::clock;

use super::refused::{Refused, nothing};

/// Entries moved under one turn.
const CHUNK: usize = 1000;

/// What becomes of what is given up.
#[derive(Debug, Clone)]
pub enum Purpose {
    /// Removed as soon as may be.
    Delete {
        /// How the client calls itself.
        client_id: Option<String>,
    },
    /// Kept in the trash.
    Trash,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// For the record.
    pub by: Requester,
    /// May give up, and have back, what is anybody's.
    pub admin: bool,
}

impl From<&PeerIdentity> for Asker {
    fn from(peer: &PeerIdentity) -> Self {
        Self { by: peer.requester(), admin: peer.admin }
    }
}

impl Asker {
    /// Whose things alone he may touch; `None`: anybody's.
    pub(super) const fn only(&self) -> Option<u32> {
        if self.admin { None } else { Some(self.by.uid) }
    }
}

/// Queue and trash over the roots that are ready.
pub struct Keeper<'a> {
    /// Where entries are on record.
    pub ledger: &'a Ledger,
    /// Jobs, references and the index that follows.
    pub engine: &'a Engine,
    /// The roots.
    pub targets: Vec<Target>,
}

impl Keeper<'_> {
    /// Records what may be given up, all in one durable piece, and says what may not.
    ///
    /// # Errors
    /// When nothing may, or the ledger can't be written: then nothing was recorded.
    pub fn take(
        &self,
        paths: &[PathText],
        purpose: &Purpose,
        asker: &Asker,
    ) -> Result<(Given, Vec<EntryId>), ApiError> {
        let now = clock::now();
        let moment = Moment::ordinary(now);
        let with = self.conditions(&moment);
        let mut inspectors: Vec<Inspector<'_>> =
            self.targets.iter().map(|target| Inspector::new(&target.root, with, asker.only())).collect();
        let places = self.places();
        let mut named: HashSet<(usize, RelPath)> = HashSet::new();
        let (mut entries, mut refused) = (Vec::new(), Vec::new());
        for text in paths {
            let bytes = text.to_bytes().map_err(|why| ApiError::invalid(why.to_string()))?;
            let refuse =
                |status, reason: String| Refused { path: WirePath::from_bytes(&bytes), status, reason };
            let Some((place, path)) = find(&places, &bytes) else {
                refused.push(refuse(400, "lies beneath no root that is ready".to_owned()));
                continue;
            };
            if !named.insert((place, path.clone())) {
                continue;
            }
            let (Some(inspector), Some(target)) = (inspectors.get_mut(place), self.targets.get(place)) else {
                continue;
            };
            let Some(vault) = &target.root.vault else {
                let why = "its root has no private directory now: neither trash nor deferral";
                refused.push(refuse(409, why.to_owned()));
                continue;
            };
            if named.len() == 1 {
                // Once for a request; each move asks again.
                vault.open(&target.root.dir).map(drop).map_err(|e| ApiError::conflict(chain(&e)))?;
            }
            let subject = match inspector.look(&path) {
                Ok(subject) => subject,
                Err(why) => {
                    let status = match &why {
                        Objection::Kept { .. } | Objection::Newer(_) => 409,
                        Objection::NotYours { .. } => 403,
                        Objection::Failed(_) => 500,
                        Objection::Absent | Objection::NotSubject(_) => 400,
                    };
                    refused.push(refuse(status, why.to_string()));
                    continue;
                }
            };
            let kept = Kept {
                id: EntryId::new(new_id()),
                root: target.root.name.clone(),
                path: WirePath::from_bytes(path.as_bytes()),
                facts: subject.facts,
                files: subject.files,
                bytes: subject.bytes,
                stage: Stage::Waiting,
                by: asker.by,
                asked_at: Some(now),
            };
            entries.push((WirePath::from_bytes(&bytes), entry(kept, purpose, now)));
        }
        if entries.is_empty() {
            return Err(nothing(&refused));
        }
        let (paths, entries): (Vec<WirePath>, Vec<Entry>) = entries.into_iter().unzip();
        let ids: Vec<EntryId> = entries.iter().map(|entry| entry.kept().id.clone()).collect();
        let changes: Vec<KeptChange> = entries.into_iter().map(record).collect();
        // Nothing else takes them meanwhile: from before they are on record.
        let inodes: Vec<(RootName, u64)> = waiting(&changes);
        self.set_waiting(&inodes, true);
        if let Err(error) = self.ledger.change_kept(&changes) {
            self.set_waiting(&inodes, false);
            return Err(problems::store(&error));
        }
        let items = ids
            .iter()
            .zip(paths)
            .map(|(id, path)| GivenPath { id: id.clone(), path: path.into(), moved: None })
            .collect();
        let refused = refused
            .into_iter()
            .map(|one| RefusedPath { path: one.path.into(), reason: one.reason })
            .collect();
        Ok((Given { items, refused }, ids))
    }

    /// Files that wait in their own place, or no longer: no policy takes them while they do.
    pub(super) fn set_waiting(&self, inodes: &[(RootName, u64)], waits: bool) {
        if inodes.is_empty() {
            return;
        }
        let mut view = self.engine.references.write().unwrap_or_else(PoisonError::into_inner);
        for (root, ino) in inodes {
            view.set_waiting(root, *ino, waits);
        }
    }

    pub(super) fn conditions<'m>(&'m self, moment: &'m Moment) -> Conditions<'m> {
        Conditions { jobs: &self.engine.jobs, references: &self.engine.references, moment }
    }

    fn places(&self) -> Vec<Vec<Vec<u8>>> {
        let bytes = |path: &std::path::Path| path.as_os_str().as_bytes().to_vec();
        self.targets
            .iter()
            .map(|target| {
                let path = target.root.path();
                // What a user sees as the root's path may lead there through links.
                let real = path.canonicalize().ok().filter(|real| real != path);
                std::iter::once(bytes(path)).chain(real.as_deref().map(bytes)).collect()
            })
            .collect()
    }

    /// The root of an absolute path, and the path below it.
    pub(super) fn find(&self, path: &[u8]) -> Option<(&Target, RelPath)> {
        let (place, path) = find(&self.places(), path)?;
        Some((self.targets.get(place)?, path))
    }

    pub(super) fn target(&self, kept: &Kept) -> Option<&Target> {
        self.targets.iter().find(|target| target.root.name == kept.root)
    }

    pub(super) fn entry(&self, id: &EntryId) -> Result<Option<Entry>, ApiError> {
        let failed = |error| problems::store(&error);
        if let Some(entry) = self.ledger.queue_entry(id).map_err(failed)? {
            return Ok(Some(Entry::Queue(entry)));
        }
        Ok(self.ledger.trash_entry(id).map_err(failed)?.map(Entry::Trash))
    }

    /// Moves entries that wait into the private directories. Returns those that
    /// still wait: their root is not ready, or its turn was not to be had within
    /// `patience` (`None`: waits).
    pub fn move_in(&self, ids: &[EntryId], patience: Option<Duration>) -> Result<Vec<EntryId>, ApiError> {
        let mut by_root: HashMap<usize, Vec<EntryId>> = HashMap::new();
        let mut left = Vec::new();
        for id in ids {
            let Some(entry) = self.entry(id)? else { continue };
            let kept = entry.kept();
            match self.targets.iter().position(|target| target.root.name == kept.root) {
                Some(place) => by_root.entry(place).or_default().push(id.clone()),
                None => left.push(id.clone()),
            }
        }
        for (place, ids) in by_root {
            let Some(target) = self.targets.get(place) else { continue };
            let Some(vault) = &target.root.vault else {
                left.extend(ids);
                continue;
            };
            for chunk in ids.chunks(CHUNK) {
                let turn = match patience {
                    Some(limit) => vault.turn_within(limit),
                    None => Some(vault.turn()),
                };
                match turn {
                    Some(turn) => self.move_chunk(target, vault, &turn, chunk)?,
                    None => left.extend_from_slice(chunk),
                }
            }
        }
        Ok(left)
    }

    fn move_chunk(
        &self,
        target: &Target,
        vault: &RootVault,
        _turn: &MutexGuard<'_, ()>,
        ids: &[EntryId],
    ) -> Result<(), ApiError> {
        let mut entries = Vec::new();
        for id in ids {
            // As it is now that we have the turn.
            entries.extend(self.entry(id)?.filter(|entry| entry.kept().stage == Stage::Waiting));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let rooms = vault.open(&target.root.dir).map_err(|error| ApiError::conflict(chain(&error)))?;
        let now = clock::now();
        let moment = Moment::ordinary(now);
        let taken = take_in(&target.root, &rooms, &entries, self.conditions(&moment));
        let most = target.root.limits.max_attempts;
        let (mut changes, mut left, mut released) = (Vec::new(), Vec::new(), Vec::new());
        for (mut entry, taken) in entries.into_iter().zip(taken) {
            let path = entry.kept().rel().ok();
            let id = entry.kept().id.clone();
            if matches!(taken, Taken::Moved(_) | Taken::Gone) {
                released.push((target.root.name.clone(), entry.kept().facts.id.ino));
            }
            match taken {
                Taken::Moved(_) => {
                    entry.kept_mut().stage = Stage::Moved;
                    left.extend(path);
                    changes.push(record(entry));
                }
                Taken::InPlace(why) => {
                    tracing::debug!(root = %target.root.name, entry = %id, reason = %why, "an entry stays in its place");
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
                Taken::Gone => {
                    tracing::info!(
                        root = %target.root.name, entry = %id, path = ?path,
                        "what was given up is gone or was changed before it could be moved: it is let be"
                    );
                    changes.push(KeptChange::Forget(id));
                }
            }
        }
        self.tell_index(target, &left);
        self.set_waiting(&released, false);
        self.ledger.change_kept(&changes).map_err(|error| problems::store(&error))
    }

    /// What left its place, or came back, so that the index follows at once.
    pub(super) fn tell_index(&self, target: &Target, paths: &[RelPath]) {
        if let (Some(feed), Some(key)) = (&self.engine.feed, target.key)
            && !paths.is_empty()
        {
            feed.look_at(key, paths);
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
        let inodes: Vec<(RootName, u64)> =
            settled.in_place.iter().map(|ino| (target.root.name.clone(), *ino)).collect();
        self.set_waiting(&inodes, true);
        if settled.found > 0 {
            tracing::warn!(root = %target.root.name, entries = settled.found, "entries of the private directory were unknown to the ledger: taken from what describes them");
        }
        Ok(settled)
    }

    /// Fills in whether entries left their places.
    pub fn look_again(&self, given: &mut Given) {
        for item in &mut given.items {
            item.moved = match self.entry(&item.id) {
                Ok(Some(Entry::Queue(entry))) => entry.moved(),
                Ok(Some(Entry::Trash(entry))) => entry.moved(),
                // Removed meanwhile: its name is free.
                Ok(None) => Some(true),
                Err(_) => None,
            };
        }
    }
}

/// The inodes of entries that are new.
fn waiting(changes: &[KeptChange]) -> Vec<(RootName, u64)> {
    let kept = |change: &KeptChange| match change {
        KeptChange::Queue(entry) => Some((entry.kept.root.clone(), entry.kept.facts.id.ino)),
        KeptChange::Trash(entry) => Some((entry.kept.root.clone(), entry.kept.facts.id.ino)),
        KeptChange::Forget(_) => None,
    };
    changes.iter().filter_map(kept).collect()
}

fn entry(kept: Kept, purpose: &Purpose, now: Timestamp) -> Entry {
    match purpose {
        Purpose::Delete { client_id } => Entry::Queue(QueueEntry {
            kept,
            client_id: client_id.clone(),
            queued_at: now,
            attempts: 0,
            last_error: None,
            next_try_at: now,
        }),
        Purpose::Trash => Entry::Trash(TrashEntry { kept, deleted_at: now, failed: None }),
    }
}

fn find(places: &[Vec<Vec<u8>>], path: &[u8]) -> Option<(usize, RelPath)> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    places.iter().enumerate().find_map(|(place, roots)| {
        roots.iter().find_map(|root| {
            let rest = path.strip_prefix(root.as_slice())?;
            let rest = if rest.is_empty() || root == b"/" { rest } else { rest.strip_prefix(b"/")? };
            Some((place, RelPath::from_bytes(rest).ok()?))
        })
    })
}
