//! Taking in what somebody gives up: looked at, and on record.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::sync::PoisonError;

use crate::agent::engine::{Engine, Target};
use crate::agent::surroundings::new_id;
use crate::agent::{chain, problems};
use crate::api::{ApiError, Given, GivenPath, PathText, PeerIdentity, RefusedPath};
use crate::model::{
    EntryId, Identity, Kept, QueueEntry, RelPath, Requester, Stage, Timestamp, TrashEntry, WirePath,
};
use crate::policy::Moment;
use crate::store::ledger::{KeptChange, Ledger};
use crate::sweep::execute::Conditions;
use crate::sweep::root::GuardedRoot;
use crate::sweep::vault::info::Entry;
use crate::sweep::vault::inspect::{Inspector, Objection};
use crate::sweep::vault::replay::record;
use crate::sys::clock;

use super::Handed;
use super::refused::{Refused, nothing};

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
    ) -> Result<(Given, Vec<Handed>), ApiError> {
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
                moved_at: None,
            };
            entries.push((WirePath::from_bytes(&bytes), entry(kept, purpose, now)));
        }
        if entries.is_empty() {
            return Err(nothing(&refused));
        }
        let (paths, entries): (Vec<WirePath>, Vec<Entry>) = entries.into_iter().unzip();
        let handed = |entry: &Entry| (entry.kept().root.clone(), entry.kept().id.clone());
        let handed: Vec<Handed> = entries.iter().map(handed).collect();
        let changes: Vec<KeptChange> = entries.into_iter().map(record).collect();
        // Nothing else takes them meanwhile: from before they are on record.
        self.set_waiting_all(&changes, true);
        if let Err(error) = self.ledger.change_kept(&changes) {
            self.set_waiting_all(&changes, false);
            return Err(problems::store(&error));
        }
        let items = handed
            .iter()
            .zip(paths)
            .map(|((_, id), path)| GivenPath { id: id.clone(), path: path.into(), moved: None })
            .collect();
        let refused = refused
            .into_iter()
            .map(|one| RefusedPath { path: one.path.into(), reason: one.reason })
            .collect();
        Ok((Given { items, refused }, handed))
    }

    /// Files that wait in their own place, or no longer: no policy takes them while they do.
    pub(super) fn set_waiting(&self, root: &GuardedRoot, files: &[(EntryId, Identity)], waits: bool) {
        if files.is_empty() {
            return;
        }
        let mut view = self.engine.references.write().unwrap_or_else(PoisonError::into_inner);
        for (id, file) in files {
            view.set_waiting(&root.name, id, *file, waits);
        }
    }

    fn set_waiting_all(&self, changes: &[KeptChange], waits: bool) {
        for target in &self.targets {
            let its = |change: &KeptChange| {
                let kept = match change {
                    KeptChange::Queue(entry) => &entry.kept,
                    KeptChange::Trash(entry) => &entry.kept,
                    KeptChange::Forget(_) => return None,
                };
                (kept.root == target.root.name).then(|| kept.waiting_as(target.root.dev()))
            };
            let files: Vec<_> = changes.iter().filter_map(its).collect();
            self.set_waiting(&target.root, &files, waits);
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

    /// What left its place, or came back, so that the index follows at once.
    pub(super) fn tell_index(&self, target: &Target, paths: &[RelPath]) {
        if let (Some(feed), Some(key)) = (&self.engine.feed, target.key)
            && !paths.is_empty()
        {
            feed.look_at(key, paths);
        }
    }
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
