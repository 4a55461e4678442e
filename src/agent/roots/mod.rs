//! From a configured root to one that is checked, adopted and locked.
//!
//! Promises: guardian never cleans what happens to lie where a root should be,
//! nor what another ledger claims or another guardian works on; a root too full
//! to be adopted is guarded all the same; looking ([`look_root`]) writes
//! nothing at all. Must not know: sweeps, HTTP.
//!
//! What may be done follows from three things ([`standing`]): the ledger's
//! record of the root, the marker `.guardian/ledger-id` in it, and the identity
//! of the file system and directory at its path.

mod book;
mod error;
mod lock;
mod locked;
mod marker;
mod nesting;
mod open;
mod own;
mod place;
mod rules;
mod standing;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::model::LedgerId;
use crate::store::ledger::LedgerOrigin;

pub use book::RootBook;
pub use error::RootError;
pub use lock::LockHolder;
pub use locked::{Adoption, LockedRoot, RootPresence};
pub use nesting::check_nesting;
pub use open::{Looked, Opened, Reading, look_root, open_root};
pub use own::OwnPlaces;
pub use place::check_place;
pub use rules::{changed, fingerprint};

/// Who opens roots: this process with its ledger.
#[derive(Clone, Copy)]
pub struct Opener<'a> {
    /// The ledger.
    pub book: &'a dyn RootBook,
    /// Where it came from at this start.
    pub origin: &'a LedgerOrigin,
    /// The state directory; markers name it and the host, so that a root can
    /// tell a lost ledger of ours from somebody else's.
    pub state_dir: &'a Path,
    /// The agent's socket; `None` in own-process mode.
    pub socket: Option<&'a Path>,
}

/// How far the opener may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Claim {
    /// As ledger and root say.
    #[default]
    Usual,
    /// Take it over from another ledger (`--adopt`).
    Adopt,
    /// Take what is there now for the root (`guardian root accept`).
    Accept,
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
    #[error("another directory or file system is at its path; if that is right: guardian root accept")]
    Replaced,
    /// The marker that was left in it is not there.
    #[error("its marker .guardian/ledger-id is gone; if that is right: guardian root accept")]
    MarkerGone,
    /// It has the marker of another root, or an older one of its own.
    #[error("it carries the marker of another root; if that is right: guardian root accept")]
    MarkerOfAnother,
    /// Its private directory is not to be trusted.
    #[error("its private directory {} is not guardian's: {why}", path.display())]
    PrivateNotOurs {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A refusal that ends when something outside changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Not now; ask again later.
    Suspended(Suspension),
    /// Somebody else works on it: use that agent.
    Held(LockHolder),
    /// Another ledger claims it: refused without `--adopt`.
    Claimed(LedgerId),
}
