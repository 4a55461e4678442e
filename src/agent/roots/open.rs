//! Opening a root to work on it, and looking at one without touching it.

use std::path::Path;
use std::sync::Arc;

use super::locked::{LockedRoot, Step};
use super::marker::Marker;
use super::rules::{Parts, guarded};
use super::standing::{Evidence, Standing, judge};
use super::{Claim, Opener, Refusal, RootError, Suspension, lock, place};
use crate::config::RootSettings;
use crate::model::{LedgerId, Timestamp};
use crate::store::ledger::{LedgerOrigin, LedgerReader, RootRecord};
use crate::sweep::root::{GuardedRoot, OwnFiles};
use crate::sweep::vault::{KeptEntries, RootVault};
use crate::sys::dir::RootDir;
use crate::sys::open_check::OpenCheckKind;
use crate::sys::private_dir::PrivateDir;
use crate::sys::{SysError, mounts, volume};

/// How often a root is looked at again whose marker changes meanwhile.
const TRIES: usize = 3;

/// What came of opening a root.
pub enum Opened {
    /// Locked and ready.
    Ready(Box<LockedRoot>),
    /// Expected, and may pass.
    Refused(Refusal),
}

/// Opens, checks, locks and, where it is new, adopts a root. To be called again
/// for a suspended root: it opens by itself once the right one is back.
///
/// # Errors
/// What the administrator has to mend, and failures of system and ledger.
pub fn open_root(
    settings: &RootSettings,
    claim: Claim,
    by: &Opener<'_>,
    now: Timestamp,
) -> Result<Opened, RootError> {
    let name = &settings.name;
    let record = by.book.root(name).map_err(RootError::store(name))?;
    for _ in 0..TRIES {
        let facts = match look(settings, claim, record.as_ref(), &by.into())? {
            Ok(facts) => facts,
            Err(suspension) => return Ok(suspended(by, record, suspension)),
        };
        match facts.standing {
            Standing::Suspended(suspension) => return Ok(suspended(by, record, suspension)),
            Standing::Claimed(ledger) => {
                // While its guardian works, asking that one is the way, not taking over.
                let private = facts.private.as_ref().map(PrivateDir::handle);
                let holder = private.map(lock::holder).transpose().map_err(RootError::sys(name))?;
                return Ok(Opened::Refused(holder.flatten().map_or(Refusal::Claimed(ledger), Refusal::Held)));
            }
            Standing::Known | Standing::New | Standing::Lost | Standing::TakenOver => {}
        }
        let mut root = LockedRoot::begin(settings, facts, record.as_ref(), now)?;
        match root.complete(by, now)? {
            Step::Done => {}
            Step::NoRoom if root.has_lock_file() => {}
            Step::NoRoom => {
                let locked = lock::lock_directory(root.dir().handle()).map_err(RootError::sys(name))?;
                match locked {
                    Ok(lock) => root.set_lock(lock),
                    Err(holder) => return Ok(Opened::Refused(Refusal::Held(holder))),
                }
            }
            Step::Held(holder) => return Ok(Opened::Refused(Refusal::Held(holder))),
            Step::Changed => continue,
        }
        return Ok(Opened::Ready(Box::new(root)));
    }
    Err(RootError::Unsteady { name: name.clone() })
}

/// A suspension, also on record: for those who ask while no agent runs.
fn suspended(by: &Opener<'_>, record: Option<RootRecord>, suspension: Suspension) -> Opened {
    let text = Some(suspension.to_string());
    if let Some(record) = record.filter(|record| record.suspended != text) {
        let record = RootRecord { suspended: text, ..record };
        if let Err(error) = by.book.put_root(&record) {
            tracing::debug!(root = %record.name, %error, "suspension not on record");
        }
    }
    Opened::Refused(Refusal::Suspended(suspension))
}

/// What a root is like and what may be done with it, found without touching it.
pub(super) struct Facts {
    pub(super) dir: Arc<RootDir>,
    pub(super) fs_id: String,
    pub(super) private: Option<PrivateDir>,
    pub(super) marker: Option<Marker>,
    pub(super) standing: Standing,
}

/// Whose marker counts as ours.
struct Us<'a> {
    ledger: LedgerId,
    state_dir: &'a Path,
    lost: bool,
}

impl<'a> From<&Opener<'a>> for Us<'a> {
    fn from(by: &Opener<'a>) -> Self {
        let lost = matches!(by.origin, LedgerOrigin::Lost { .. });
        Self { ledger: by.book.id(), state_dir: by.state_dir, lost }
    }
}

fn look(
    settings: &RootSettings,
    claim: Claim,
    record: Option<&RootRecord>,
    us: &Us<'_>,
) -> Result<Result<Facts, Suspension>, RootError> {
    let name = &settings.name;
    let known = record.is_some_and(|record| record.marker.is_some() && !record.unmarked);
    let dir = match place::find(settings, known)? {
        Ok(dir) => dir,
        Err(suspension) => return Ok(Err(suspension)),
    };
    let fs_id = volume::fs_id(&dir).map_err(|source| RootError::Volume {
        name: name.clone(),
        path: settings.path.clone(),
        source,
    })?;
    let private = match PrivateDir::open(&dir) {
        Ok(private) => private,
        Err(SysError::NotOurs { path, why }) if known => {
            return Ok(Err(Suspension::PrivateNotOurs { path, why: why.to_owned() }));
        }
        Err(error) => return Err(RootError::sys(name)(error)),
    };
    let marker = private.as_ref().map(Marker::read).transpose().map_err(RootError::sys(name))?.flatten();
    let standing = judge(&Evidence {
        record,
        marker: marker.as_ref(),
        fs_id: &fs_id,
        dir_ino: dir.ino(),
        tmpfs_mounted: mounts::is_mount_point(&settings.path).map_err(RootError::sys(name))?,
        ledger: &us.ledger,
        from_our_state_dir: marker.as_ref().is_some_and(|marker| marker.is_from(us.state_dir, us.lost)),
        claim,
    });
    Ok(Ok(Facts { dir: Arc::new(dir), fs_id, private, marker, standing }))
}

/// Who looks at roots without touching them.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// The ledger, if there is one.
    pub ledger: Option<&'a Arc<LedgerReader>>,
    /// The state directory.
    pub state_dir: &'a Path,
    /// guardian's own files.
    pub own: &'a OwnFiles,
    /// Threads to walk with; 0: as many as cores.
    pub workers: usize,
}

/// What came of looking at a root.
pub enum Looked {
    /// As a sweep would have it.
    Ready {
        /// The root.
        root: Box<GuardedRoot>,
        /// A sweep would find the ledger lost (or foreign): no file that names a job would go.
        distrust: bool,
    },
    /// A sweep would be refused.
    Refused(Refusal),
}

/// Looks at a root for a dry run without an agent. Nothing is written, locked
/// or created, so whoever holds its lock does not matter. Open files are looked
/// up in `/proc`: the trial that finds out about leases would write.
///
/// # Errors
/// As [`open_root`].
pub fn look_root(
    settings: &RootSettings,
    claim: Claim,
    reading: &Reading<'_>,
    now: Timestamp,
) -> Result<Looked, RootError> {
    let name = &settings.name;
    let ledger = reading.ledger;
    let record =
        ledger.map(|ledger| ledger.root(name)).transpose().map_err(RootError::store(name))?.flatten();
    // No ledger has the empty id: every marker is then another's.
    let id = ledger.map_or_else(|| LedgerId::new(""), |ledger| ledger.id());
    let us = Us { ledger: id, state_dir: reading.state_dir, lost: false };
    let facts = match look(settings, claim, record.as_ref(), &us)? {
        Ok(facts) => facts,
        Err(suspension) => return Ok(Looked::Refused(Refusal::Suspended(suspension))),
    };
    let new_until = record.as_ref().and_then(|record| record.new_until);
    let (new_until, distrust) = match facts.standing {
        Standing::Known => (new_until, false),
        Standing::New => (new_until.or(Some(now.plus(settings.adoption_grace))), false),
        Standing::Lost => (new_until, true),
        Standing::TakenOver => (Some(now.plus(settings.adoption_grace)), true),
        Standing::Suspended(why) => return Ok(Looked::Refused(Refusal::Suspended(why))),
        Standing::Claimed(other) => return Ok(Looked::Refused(Refusal::Claimed(other))),
    };
    let mut root = guarded(Parts {
        settings,
        dir: &facts.dir,
        own: reading.own,
        open_check: match cautious_check(&facts.dir) {
            OpenCheckKind::Proc => OpenCheckKind::Untried,
            kind => kind,
        },
        new_until,
        counter: None,
        workers: reading.workers,
    })?;
    root.vault = facts.private.zip(ledger).map(|(private, ledger)| {
        let entries = Arc::clone(ledger) as Arc<dyn KeptEntries>;
        Arc::new(RootVault::reading(Arc::new(private), entries))
    });
    Ok(Looked::Ready { root: Box::new(root), distrust })
}

/// How open files are found where nothing can be tried.
pub(super) fn cautious_check(dir: &RootDir) -> OpenCheckKind {
    match volume::fs_kind(dir) {
        Ok(kind) if !kind.is_network && kind.name != "overlay" => OpenCheckKind::Proc,
        _ => OpenCheckKind::Partial,
    }
}
