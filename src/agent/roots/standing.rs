//! What may be done with a root: pure, from what ledger, marker and kernel say.

use super::marker::Marker;
use super::{Claim, Suspension};
use crate::model::LedgerId;
use crate::store::ledger::RootRecord;

/// What is known.
pub(super) struct Evidence<'a> {
    /// The ledger's record of the root.
    pub(super) record: Option<&'a RootRecord>,
    /// The marker in it.
    pub(super) marker: Option<&'a Marker>,
    /// The file system at its path.
    pub(super) fs_id: &'a str,
    /// The inode of the directory at its path.
    pub(super) dir_ino: u64,
    /// A tmpfs is mounted exactly there.
    pub(super) tmpfs_mounted: bool,
    /// Our ledger.
    pub(super) ledger: &'a LedgerId,
    /// The marker names our state directory on this host.
    pub(super) from_our_state_dir: bool,
    /// How far we may go.
    pub(super) claim: Claim,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The root that the ledger knows.
    Known,
    /// Nobody's yet (or accepted anew): adopt it.
    New,
    /// Ours, by a ledger that is lost: guard it, trust no registry.
    Lost,
    /// Somebody else's until now: adopt it, trust no registry.
    TakenOver,
    /// Not now.
    Suspended(Suspension),
    /// Another ledger's.
    Claimed(LedgerId),
}

/// Judges a root.
///
/// A marker of another ledger is that of a lost ledger of ours when our record
/// (restored from the backup) has the same random marker, or when it names this
/// state directory on this host: there only one ledger can be, so that one is
/// gone. Otherwise somebody else claims the root. Without any record this is
/// all there is to tell a new ledger from a lost one: a ledger whose directory
/// was emptied believes itself new.
///
/// A marker of our own ledger that the record doesn't have is of an adoption
/// that was not finished, or came with a copy of another root: adopt anew. The
/// same goes for a record whose marker was about to be written.
pub(super) fn judge(about: &Evidence<'_>) -> Standing {
    let same_place =
        about.record.is_none_or(|record| record.fs_id == about.fs_id && record.dir_ino == about.dir_ino);
    let recorded = about.record.and_then(|record| record.marker.as_deref());
    if let Some(marker) = about.marker.filter(|marker| marker.ledger_id != *about.ledger) {
        let ours_once = recorded == Some(marker.marker.as_str()) || about.from_our_state_dir;
        return match (ours_once, same_place, about.claim) {
            (true, true, _) => Standing::Lost,
            (_, _, Claim::Adopt) => Standing::TakenOver,
            // Ours, but moved or copied; the registry is as lost as it was.
            (true, false, Claim::Accept) => Standing::TakenOver,
            (true, false, Claim::Usual) => Standing::Suspended(Suspension::Replaced),
            (false, ..) => Standing::Claimed(marker.ledger_id.clone()),
        };
    }
    // A tmpfs lives as long as its mount: after a reboot an empty one in the
    // place of the known one is a new root, not a missing one.
    let was_tmpfs = about.record.is_some_and(|record| is_tmpfs(&record.fs_id));
    if was_tmpfs && !same_place && about.marker.is_none() && about.tmpfs_mounted && is_tmpfs(about.fs_id) {
        return Standing::New;
    }
    let suspension = match (about.record, recorded, about.marker) {
        (None, ..) => return Standing::New,
        (Some(_), None, _) if same_place => return Standing::New,
        // Ended between ledger and root: the record says what was about to be written.
        (Some(record), Some(known), marker)
            if same_place && record.unmarked && marker.is_none_or(|marker| marker.marker != known) =>
        {
            return Standing::New;
        }
        (Some(_), Some(known), Some(marker)) if same_place && known == marker.marker => {
            return Standing::Known;
        }
        (Some(_), Some(known), Some(marker)) if known != marker.marker => Suspension::MarkerOfAnother,
        (Some(_), Some(_), None) if same_place => Suspension::MarkerGone,
        _ => Suspension::Replaced,
    };
    if about.claim == Claim::Accept { Standing::New } else { Standing::Suspended(suspension) }
}

/// Whether a file system's identity is that of a tmpfs (its magic number comes first).
fn is_tmpfs(fs_id: &str) -> bool {
    fs_id.starts_with("1021994-")
}
