//! A root under our lock: adopted, or waiting for room to be.

use std::sync::Arc;

use super::lock::{LOCK, LockHolder, RootLock, about_us, lock_directory};
use super::marker::Marker;
use super::open::{Facts, cautious_check};
use super::rules::{Parts, guarded};
use super::standing::Standing;
use super::{Opener, RootError, Suspension, fingerprint};
use crate::agent::chain;
use crate::config::RootSettings;
use crate::model::{Timestamp, WirePath};
use crate::store::RootKey;
use crate::store::ledger::RootRecord;
use crate::sweep::root::{GuardedRoot, OwnFiles};
use crate::sys::dir::{DirHandle, RootDir};
use crate::sys::lock::{LockFile, Locked};
use crate::sys::open_check::{OpenCheckKind, self_test};
use crate::sys::private_dir::PrivateDir;
use crate::sys::{SysError, volume};
use crate::usage::CapacityCounter;

/// Whether a root is still where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootPresence {
    /// It is.
    Ready,
    /// It is, for its directory and mount are the same; but its private
    /// directory was moved or replaced: no trash and no deferral, and an alert.
    /// Whoever may write to the root can do that, so it must not stop cleaning.
    PrivateLost(String),
    /// Something else is at its path, or its marker was taken away.
    Suspended(Suspension),
    /// Nothing is at its path.
    Vanished,
}

/// What came of going on with an adoption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// It is complete.
    Complete,
    /// There is still no room.
    Waits,
    /// Somebody else adopted or locked the root meanwhile: drop it and open it again.
    Overtaken,
}

/// How far an adoption came.
pub(super) enum Step {
    /// To the end.
    Done,
    /// Some file or record could not be written: later.
    NoRoom,
    /// Somebody else works on the root.
    Held(LockHolder),
    /// The marker is not the one that was judged.
    Changed,
}

/// A root under our lock. Dropping it gives the root free.
pub struct LockedRoot {
    settings: RootSettings,
    dir: Arc<RootDir>,
    fs_id: String,
    is_network: bool,
    private: Option<Arc<PrivateDir>>,
    lock: RootLock,
    /// As it is in the root now.
    marker: Option<Marker>,
    /// The marker must be written anew before the root counts as adopted.
    to_mark: bool,
    /// The ledger knows which marker is about to be written.
    announced: bool,
    /// The random part of the marker to write; one to keep, where its ledger is
    /// lost and the root the same.
    kept: Option<String>,
    key: Option<RootKey>,
    adopted_at: Timestamp,
    new_until: Option<Timestamp>,
    recorded: bool,
    distrust: bool,
    distrusted: bool,
    open_check: OpenCheckKind,
    tested: bool,
}

impl LockedRoot {
    /// A root that may be worked on, with nothing done yet.
    pub(super) fn begin(
        settings: &RootSettings,
        facts: Facts,
        record: Option<&RootRecord>,
        now: Timestamp,
    ) -> Result<Self, RootError> {
        let kind = volume::fs_kind(&*facts.dir).map_err(|source| RootError::Volume {
            name: settings.name.clone(),
            path: settings.path.clone(),
            source,
        })?;
        let grace = Some(now.plus(settings.adoption_grace));
        let known = matches!(facts.standing, Standing::Known | Standing::Lost);
        let here = |record: &RootRecord| record.fs_id == facts.fs_id && record.dir_ino == facts.dir.ino();
        let unfinished =
            record.filter(|record| known || record.marker.is_none() || (record.unmarked && here(record)));
        let recorded_until = unfinished.and_then(|record| record.new_until);
        let path = WirePath::from_path(&settings.path);
        let lost = facts.marker.as_ref().filter(|_| facts.standing == Standing::Lost);
        let (kept, earlier) =
            (lost.map(|marker| marker.marker.clone()), lost.map(|marker| marker.adopted_at));
        Ok(Self {
            open_check: cautious_check(&facts.dir),
            tested: false,
            is_network: kind.is_network,
            to_mark: facts.standing != Standing::Known,
            announced: false,
            kept,
            // Another directory gets another key, so that no row of the old one is taken for its own.
            key: unfinished.map(|record| record.key),
            adopted_at: earlier.or(unfinished.and_then(|record| record.adopted_at)).unwrap_or(now),
            new_until: if known { recorded_until } else { recorded_until.or(grace) },
            recorded: facts.standing == Standing::Known
                && record.is_some_and(|record| {
                    record.suspended.is_none() && record.path == path && !record.unmarked
                }),
            distrust: matches!(facts.standing, Standing::Lost | Standing::TakenOver),
            distrusted: false,
            settings: settings.clone(),
            dir: facts.dir,
            fs_id: facts.fs_id,
            private: facts.private.map(Arc::new),
            marker: facts.marker,
            lock: RootLock::None,
        })
    }

    /// Does what is missing: private directory, lock, marker, record. Each step
    /// is kept, so that it goes on where it stopped for want of room.
    pub(super) fn complete(&mut self, by: &Opener<'_>, now: Timestamp) -> Result<Step, RootError> {
        let name = self.settings.name.clone();
        if self.private.is_none() {
            match PrivateDir::open_or_create(&self.dir) {
                Ok(private) => self.private = Some(Arc::new(private)),
                Err(error) if is_full(&error) => return Ok(Step::NoRoom),
                Err(error) => return Err(RootError::sys(&name)(error)),
            }
        }
        let Some(private) = &self.private else { return Ok(Step::NoRoom) };
        if !matches!(self.lock, RootLock::File(_)) {
            // Whoever began while there was no room has the directory's lock.
            if matches!(self.lock, RootLock::None) {
                match lock_directory(self.dir.handle()).map_err(RootError::sys(&name))? {
                    Ok(ours) => drop(ours),
                    Err(holder) => return Ok(Step::Held(holder)),
                }
            }
            match LockFile::take(private.handle(), LOCK, &about_us(by)) {
                Ok(Locked::Taken(file)) => {
                    let seen = Marker::read(private).map_err(RootError::sys(&name))?;
                    if seen != self.marker {
                        return Ok(Step::Changed);
                    }
                    self.lock = RootLock::File(file);
                }
                Ok(Locked::Held(text)) => return Ok(Step::Held(LockHolder::read(&text))),
                Err(error) if is_full(&error) => return Ok(Step::NoRoom),
                Err(error) => return Err(RootError::sys(&name)(error)),
            }
        }
        // On record before the evidence of the loss is written over.
        if self.distrust && !self.distrusted {
            if let Err(error) = by.book.set_trusted(false) {
                tracing::warn!(root = %name, %error, "loss of the ledger not on record");
                return Ok(Step::NoRoom);
            }
            self.distrusted = true;
        }
        if self.to_mark {
            // The ledger first: a marker that it doesn't know would look like another's.
            let value = self.kept.get_or_insert_with(|| uuid::Uuid::new_v4().to_string()).clone();
            if !self.announced {
                if let Err(error) = self.record(by, Some(value.clone()), true) {
                    tracing::warn!(root = %name, %error, "adoption not on record yet");
                    return Ok(Step::NoRoom);
                }
                self.announced = true;
            }
            let Some(private) = &self.private else { return Ok(Step::NoRoom) };
            let marker = Marker::new(by.book.id(), value, by.state_dir, now);
            match marker.write(private) {
                Ok(()) => {}
                Err(error) if is_full(&error) => return Ok(Step::NoRoom),
                Err(error) => return Err(RootError::sys(&name)(error)),
            }
            self.marker = Some(marker);
            self.to_mark = false;
            self.recorded = false;
        }
        if !self.recorded {
            let marker = self.marker.as_ref().map(|marker| marker.marker.clone());
            // A ledger that can't be written must not stop cleaning.
            if let Err(error) = self.record(by, marker, false) {
                tracing::warn!(root = %name, %error, "adoption not on record yet");
                return Ok(Step::NoRoom);
            }
            self.recorded = true;
        }
        if let (false, Some(private)) = (self.tested, &self.private) {
            match self_test(private.handle()) {
                Ok(kind) => self.open_check = kind,
                Err(error) if is_full(&error) => return Ok(Step::NoRoom),
                Err(error) => tracing::warn!(root = %name, %error, "leases could not be tried"),
            }
            self.tested = true;
        }
        Ok(Step::Done)
    }

    fn record(
        &mut self,
        by: &Opener<'_>,
        marker: Option<String>,
        unmarked: bool,
    ) -> Result<(), crate::store::StoreError> {
        let key = match self.key {
            Some(key) => key,
            None => *self.key.insert(by.book.new_root_key()?),
        };
        by.book.put_root(&RootRecord {
            name: self.settings.name.clone(),
            path: WirePath::from_path(&self.settings.path),
            key,
            fs_id: self.fs_id.clone(),
            dir_ino: self.dir.ino(),
            marker,
            unmarked,
            adopted_at: Some(self.adopted_at),
            new_until: self.new_until,
            suspended: None,
        })
    }

    pub(super) const fn has_lock_file(&self) -> bool {
        matches!(self.lock, RootLock::File(_))
    }

    pub(super) fn set_lock(&mut self, lock: RootLock) {
        self.lock = lock;
    }

    /// The settings it was made from.
    pub const fn settings(&self) -> &RootSettings {
        &self.settings
    }

    /// Its directory.
    pub const fn dir(&self) -> &Arc<RootDir> {
        &self.dir
    }

    /// The key of its rows; `None` while the ledger can't give one out: walk instead.
    pub const fn key(&self) -> Option<RootKey> {
        self.key
    }

    /// Until when scheduled policies only plan.
    pub const fn new_until(&self) -> Option<Timestamp> {
        self.new_until
    }

    /// Its private directory; `None` while there is no room for one. To be
    /// checked before each use ([`PrivateDir::check`]).
    pub const fn private(&self) -> Option<&Arc<PrivateDir>> {
        self.private.as_ref()
    }

    /// Whether something of its adoption waits for room ([`Self::try_adopt_later`]).
    pub const fn awaits_adoption(&self) -> bool {
        !self.has_lock_file() || !self.tested || self.to_mark || !self.recorded
    }

    /// Its marker told of a ledger that is lost, or of another that it was taken
    /// from: the caller must distrust the registry, by
    /// [`JobRegistry::distrust`](crate::agent::jobs::JobRegistry::distrust) if that is open.
    pub const fn calls_for_distrust(&self) -> bool {
        self.distrust
    }

    /// How open files are found.
    pub const fn open_check(&self) -> OpenCheckKind {
        self.open_check
    }

    /// Whether other hosts may change it unseen: no watching then.
    pub const fn is_network(&self) -> bool {
        self.is_network
    }

    /// Hash of what the index's rows depend on; see [`fingerprint`].
    pub fn fingerprint(&self) -> u64 {
        fingerprint(&self.settings)
    }

    /// Whether it is still where it was. A few system calls, for each tick.
    pub fn still_there(&self) -> RootPresence {
        match DirHandle::open_absolute(self.dir.path()) {
            Ok(there) if is_same(&there, &self.dir) => {}
            Ok(_) => return RootPresence::Suspended(Suspension::Replaced),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return RootPresence::Vanished,
            Err(_) => return RootPresence::Suspended(Suspension::Replaced),
        }
        let Some(private) = &self.private else { return RootPresence::Ready };
        if let Err(error) = private.check(&self.dir) {
            return RootPresence::PrivateLost(chain(&error));
        }
        if self.to_mark {
            return RootPresence::Ready;
        }
        match Marker::read(private) {
            Ok(seen) if seen == self.marker => RootPresence::Ready,
            Ok(Some(_)) => RootPresence::Suspended(Suspension::MarkerOfAnother),
            Ok(None) => RootPresence::Suspended(Suspension::MarkerGone),
            Err(error) => RootPresence::PrivateLost(chain(&error)),
        }
    }

    /// Goes on with the adoption if there is room by now.
    ///
    /// # Errors
    /// As [`super::open_root`].
    pub fn try_adopt_later(&mut self, by: &Opener<'_>, now: Timestamp) -> Result<Adoption, RootError> {
        Ok(match self.complete(by, now)? {
            Step::Done => Adoption::Complete,
            Step::NoRoom => Adoption::Waits,
            Step::Held(_) | Step::Changed => Adoption::Overtaken,
        })
    }

    /// What a run needs. `counter` counts the files of a root with a capacity;
    /// `workers` 0: as many as cores.
    ///
    /// # Errors
    /// `min_free` that the volume is too small for; patterns and globs that can't be read.
    pub fn guarded(
        &self,
        own: &OwnFiles,
        counter: Option<CapacityCounter>,
        workers: usize,
    ) -> Result<GuardedRoot, RootError> {
        guarded(Parts {
            settings: &self.settings,
            dir: &self.dir,
            own,
            open_check: self.open_check,
            new_until: self.new_until,
            counter,
            workers,
        })
    }
}

fn is_same(there: &DirHandle, root: &RootDir) -> bool {
    (there.dev(), there.ino(), there.mount_id()) == (root.dev(), root.ino(), root.mount_id())
}

fn is_full(error: &SysError) -> bool {
    matches!(error.errno(), Some(libc::ENOSPC | libc::EDQUOT))
}
