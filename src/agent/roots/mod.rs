//! From a configured root to one that is checked, adopted and locked.
//!
//! Promises: guardian never cleans what happens to lie where a root should be,
//! nor what another ledger claims or another guardian works on; looking
//! ([`look_root`]) writes nothing at all. Must not know: sweeps, HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::RootSettings;
use crate::model::{LedgerId, RootName, Timestamp};
use crate::store::ledger::{Ledger, LedgerOrigin, LedgerReader, RootRecord};
use crate::store::{RootKey, StoreError};
use crate::sweep::root::{GuardedRoot, OwnFiles};
use crate::sys::dir::RootDir;
use crate::sys::open_check::OpenCheckKind;
use crate::sys::private_dir::PrivateDir;
use crate::usage::CapacityCounter;

/// What the ledger knows of roots, behind a seam so that its failure can be tried.
pub trait RootBook {
    /// See [`Ledger::id`].
    fn id(&self) -> LedgerId;
    /// See [`Ledger::root`].
    fn root(&self, name: &RootName) -> Result<Option<RootRecord>, StoreError>;
    /// See [`Ledger::put_root`].
    fn put_root(&self, root: &RootRecord) -> Result<(), StoreError>;
    /// See [`Ledger::new_root_key`].
    fn new_root_key(&self) -> Result<RootKey, StoreError>;
    /// See [`Ledger::set_trusted`].
    fn set_trusted(&self, trusted: bool) -> Result<(), StoreError>;
}

/// Who opens roots: this process with its ledger.
#[derive(Clone, Copy)]
pub struct Opener<'a> {
    /// The ledger.
    pub book: &'a dyn RootBook,
    /// Where it came from at this start.
    pub origin: &'a LedgerOrigin,
    /// The state directory: what a marker must name for a lost ledger to have been ours.
    pub state_dir: &'a Path,
    /// The agent's socket; `None` in own-process mode.
    pub socket: Option<&'a Path>,
}

/// How far the opener may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Claim {
    /// As the ledger and the root say.
    #[default]
    Usual,
    /// Take it over from another ledger (`--adopt`).
    Adopt,
    /// Take what is mounted there now for the root (`guardian root accept`).
    Accept,
}

/// What the lock says of its holder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockHolder {
    /// Its ledger, if it could write it down.
    pub ledger: Option<LedgerId>,
    /// Its socket, if it is an agent.
    pub socket: Option<PathBuf>,
    /// Its process.
    pub pid: Option<u32>,
}

/// Why a root is not touched until something changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Suspension {
    /// The path leads nowhere.
    #[error("its directory is gone")]
    Gone,
    /// `require_mount`.
    #[error("nothing is mounted at it (require_mount)")]
    NotMounted,
    /// Another directory or file system lies there.
    #[error("another file system or directory is at its path")]
    Replaced,
    /// The marker that was left in it is not there.
    #[error("its marker .guardian/ledger-id is gone")]
    MarkerGone,
    /// It has the marker of another root.
    #[error("it carries the marker of another root")]
    MarkerOfAnother,
}

/// What came of opening a root.
pub enum Opened {
    /// Locked and ready.
    Ready(LockedRoot),
    /// Not now; ask again later.
    Suspended(Suspension),
    /// Somebody else works on it.
    Held(LockHolder),
    /// Another ledger claims it.
    Claimed(LedgerId),
}

/// Whether a root is still where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootPresence {
    /// It is.
    Ready,
    /// It is, but its private directory is not usable: trash and deferral are off.
    PrivateLost(String),
    /// Something else is at its path.
    Suspended(Suspension),
    /// Nothing is at its path.
    Vanished,
}

/// A root under our lock.
pub struct LockedRoot(());

impl LockedRoot {
    /// The settings it was made from.
    pub fn settings(&self) -> &RootSettings {
        todo!()
    }
    /// Its directory.
    pub fn dir(&self) -> &Arc<RootDir> {
        todo!()
    }
    /// The key of its rows; `None` while the ledger could not give one out (full volume): walk instead.
    pub fn key(&self) -> Option<RootKey> {
        todo!()
    }
    /// Until when scheduled policies only plan.
    pub fn new_until(&self) -> Option<Timestamp> {
        todo!()
    }
    /// Its private directory; `None` while it is too full to be adopted.
    pub fn private(&self) -> Option<&PrivateDir> {
        todo!()
    }
    /// Whether it waits for room to be adopted.
    pub fn awaits_adoption(&self) -> bool {
        todo!()
    }
    /// It carried the marker of a ledger of ours that is lost: the caller must distrust the registry.
    pub fn found_lost_ledger(&self) -> bool {
        todo!()
    }
    /// How open files are found.
    pub fn open_check(&self) -> OpenCheckKind {
        todo!()
    }
    /// Whether other hosts may change it unseen.
    pub fn is_network(&self) -> bool {
        todo!()
    }
    /// Hash of what the index's rows depend on; the same in every run.
    pub fn fingerprint(&self) -> u64 {
        todo!()
    }
    /// Whether it is still where it was; cheap, for each tick.
    pub fn still_there(&self) -> RootPresence {
        todo!()
    }
    /// Adopts it if there is room by now; whether it is adopted.
    pub fn try_adopt_later(&mut self, _by: &Opener<'_>, _now: Timestamp) -> Result<bool, RootError> {
        todo!()
    }
    /// What a run needs. `counter` counts the files of a root with a capacity; `workers` 0: as many as cores.
    pub fn guarded(
        &self,
        _own: &OwnFiles,
        _counter: Option<CapacityCounter>,
        _workers: usize,
    ) -> Result<GuardedRoot, RootError> {
        todo!()
    }
}

/// Why a root cannot be guarded as configured, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// To be filled.
    #[error("failed to open root {name}")]
    Unusable {
        /** Which. */
        name: RootName,
    },
}

/// Opens, checks, locks and, where it is new, adopts a root.
pub fn open_root(
    _settings: &RootSettings,
    _claim: Claim,
    _by: &Opener<'_>,
    _now: Timestamp,
) -> Result<Opened, RootError> {
    todo!()
}

/// What came of looking at a root without touching it.
pub enum Looked {
    /// As a sweep would see it.
    Ready(GuardedRoot, /** Whether the registry counts as lost for it. */ bool),
    /// A sweep would not touch it.
    Suspended(Suspension),
    /// A sweep would refuse it without `--adopt`.
    Claimed(LedgerId),
}

/// Looks at a root for a dry run without an agent: nothing is written, locked or created.
pub fn look_root(
    _settings: &RootSettings,
    _claim: Claim,
    _reader: Option<&LedgerReader>,
    _state_dir: &Path,
    _own: &OwnFiles,
    _workers: usize,
    _now: Timestamp,
) -> Result<Looked, RootError> {
    todo!()
}

/// Two configured roots of which one lies in the other, by any path, link or bind mount; to be asked before any is opened.
pub fn check_nesting(_roots: &[RootSettings]) -> Result<(), RootError> {
    todo!()
}

/// Where guardian's own files are.
#[derive(Debug, Clone, Default)]
pub struct OwnPlaces {
    /// The state directory, with everything in it.
    pub state_dir: Option<PathBuf>,
    /// Single files: socket, configuration, log.
    pub files: Vec<PathBuf>,
    /// Roots, for their private directories.
    pub roots: Vec<PathBuf>,
}

impl OwnPlaces {
    /// Collects them as they are now; to be asked again after files were made.
    pub fn collect(&self) -> OwnFiles {
        todo!()
    }
}

impl RootBook for Ledger {
    fn id(&self) -> LedgerId {
        Self::id(self)
    }
    fn root(&self, name: &RootName) -> Result<Option<RootRecord>, StoreError> {
        Self::root(self, name)
    }
    fn put_root(&self, root: &RootRecord) -> Result<(), StoreError> {
        Self::put_root(self, root)
    }
    fn new_root_key(&self) -> Result<RootKey, StoreError> {
        Self::new_root_key(self)
    }
    fn set_trusted(&self, trusted: bool) -> Result<(), StoreError> {
        Self::set_trusted(self, trusted)
    }
}
