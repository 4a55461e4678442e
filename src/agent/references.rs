//! Holds, tracked files and sessions: on record in the ledger, in memory for
//! the sweeps.
//!
//! Promises: what was answered is in the ledger; a hold, a touch or an expiry
//! is answered only after removals in flight have stopped (the executor holds
//! the view's read lock from its last look until the file is gone, a change
//! takes the write lock). Must not know: files, sweeps, HTTP.

mod counts;
mod gone;
mod holds;
mod releasing;
mod sessions;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::model::{
    Covers, FileFacts, HoldId, HoldRecord, JobId, Recorded, RelPath, RootName, SessionId, SessionRecord,
    Timestamp, TrackRecord,
};
use crate::policy::ReferenceView;
use crate::store::StoreError;
use crate::store::ledger::{Ledger, LedgerReader};

use super::jobs::Caller;
use counts::Counts;
use releasing::Releasing;

pub use counts::Counted;

/// Why a request about holds, files or sessions was not carried out. Nothing
/// has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// There is no such hold.
    #[error("hold {0} is not known (any more)")]
    NoHold(HoldId),
    /// There is no such session.
    #[error("session {0} is not known")]
    NoSession(SessionId),
    /// A hold of somebody else.
    #[error("uid {uid} may not release hold {id}: it belongs to uid {owner}")]
    OthersHold {
        /// Which.
        id: HoldId,
        /// Who asked.
        uid: u32,
        /// Whose it is.
        owner: u32,
    },
    /// One user has so many that more would be at the others' cost.
    #[error(
        "failed to {} {more} more: uid {uid} has {has} {} already, and {most} at most; {}",
        what.attempt(), what.called(), what.remedy()
    )]
    TooMany {
        /// Of what.
        what: Counted,
        /// Who asked.
        uid: u32,
        /// What he has.
        has: usize,
        /// What he wants.
        more: usize,
        /// What he may have.
        most: usize,
    },
    /// A session of somebody else.
    #[error("uid {uid} may not change session {id}: it belongs to uid {owner}")]
    OthersSession {
        /// Which.
        id: SessionId,
        /// Who asked.
        uid: u32,
        /// Whose it is.
        owner: u32,
    },
    /// A file of one user, and a session of another who would remove it.
    #[error(
        "failed to put {path} into session {id}: it belongs to uid {uid}, session {id} belongs to uid {owner}"
    )]
    OthersFile {
        /// Which.
        path: RelPath,
        /// Whose it is.
        uid: u32,
        /// The session.
        id: SessionId,
        /// Whose that is.
        owner: u32,
    },
    /// The ledger could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A file that a request names, as it was found.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its root.
    pub root: RootName,
    /// Its path below it.
    pub path: RelPath,
    /// The file.
    pub facts: FileFacts,
}

/// What is told of files.
#[derive(Debug, Clone, Default)]
pub struct Telling {
    /// When they may go; absent: as before.
    pub expires_at: Option<Timestamp>,
    /// The session that they are members of; absent: as before.
    pub session: Option<SessionId>,
    /// A job that they belong to, beside those from before.
    pub job: Option<JobId>,
}

/// The records, and the view of them.
pub struct References {
    ledger: Arc<Ledger>,
    view: Arc<RwLock<ReferenceView>>,
    /// Serialises changes, writing included, but for those of single holds, which
    /// share it: none concerns another, and together they are synced once. Taken
    /// before the view's lock, never while holding it.
    changes: RwLock<()>,
    /// Which single holds are being released. Taken before `changes`.
    releasing: Releasing,
    /// What each user has.
    counts: Counts,
    /// Files that are gone and still on record. Taken after the view's lock, for a moment.
    gone: Mutex<HashSet<(RootName, RelPath)>>,
}

macro_rules! view_from {
    ($ledger:expr) => {{
        let mut view = ReferenceView::default();
        $ledger.all_holds()?.iter().for_each(|hold| view.put_hold(hold));
        $ledger.all_sessions()?.iter().for_each(|session| view.put_session(session));
        $ledger.all_tracks()?.into_iter().for_each(|track| view.put_track(track));
        view
    }};
}

/// The references as a dry run without an agent sees them; `None`: there is no ledger yet.
///
/// # Errors
/// When the ledger can't be read.
pub fn view_of(ledger: Option<&LedgerReader>) -> Result<ReferenceView, StoreError> {
    Ok(match ledger {
        Some(ledger) => view_from!(ledger),
        None => ReferenceView::default(),
    })
}

const fn covers(by: Caller) -> Covers {
    if by.admin { Covers::AnyOwner } else { Covers::Owner(by.uid) }
}

impl References {
    /// Reads what is on record.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub fn open(ledger: Arc<Ledger>) -> Result<Self, StoreError> {
        let view = view_from!(ledger);
        let counts = Counts::default();
        counts.add(Counted::Holds, ledger.all_holds()?.iter().map(|hold| hold.uid));
        counts.add(Counted::Tracks, ledger.all_tracks()?.iter().map(|track| track.uid));
        let sessions = ledger.all_sessions()?;
        let living = sessions.iter().filter(|session| session.ended_at.is_none());
        counts.add(Counted::Sessions, living.map(|session| session.uid));
        Ok(Self {
            view: Arc::new(RwLock::new(view)),
            ledger,
            changes: RwLock::default(),
            releasing: Releasing::default(),
            counts,
            gone: Mutex::default(),
        })
    }

    /// What the sweeps read.
    pub const fn view(&self) -> &Arc<RwLock<ReferenceView>> {
        &self.view
    }

    fn changes(&self) -> RwLockWriteGuard<'_, ()> {
        self.changes.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_change(&self) -> RwLockReadGuard<'_, ()> {
        self.changes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, ReferenceView> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down what is told of files: all of it or nothing. What was told of
    /// the same file before stays where nothing new is said.
    ///
    /// # Errors
    /// `OthersSession`, `OthersFile`, `TooMany`, `Store`.
    pub fn track(
        &self,
        files: Vec<Named>,
        telling: &Telling,
        by: Caller,
        now: Timestamp,
    ) -> Result<Vec<TrackRecord>, ReferenceError> {
        let _changes = self.changes();
        let session = match &telling.session {
            Some(id) => Some(self.touched(id, by, now)?),
            None => None,
        };
        if let Some(session) = session.as_ref().filter(|session| !speaks_for_all(session, by))
            && let Some(file) = files.iter().find(|file| file.facts.uid != session.uid)
        {
            return Err(ReferenceError::OthersFile {
                path: file.path.clone(),
                uid: file.facts.uid,
                id: session.id.clone(),
                owner: session.uid,
            });
        }
        // Whoever ends the session removes what is his, whoever put it there.
        let covers = match &session {
            Some(session) if !speaks_for_all(session, by) => Covers::Owner(session.uid),
            _ => covers(by),
        };
        let tracks: Vec<TrackRecord> = {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            files
                .into_iter()
                .map(|file| {
                    let before =
                        view.told_of(&file.root, &file.path).filter(|told| told.recorded.is(&file.facts));
                    let mut jobs = before.map(|told| told.jobs.clone()).unwrap_or_default();
                    jobs.extend(
                        telling.job.iter().filter(|job| !jobs.contains(job)).cloned().collect::<Vec<_>>(),
                    );
                    TrackRecord {
                        expires_at: telling.expires_at.or(before.and_then(|told| told.expires_at)),
                        session: telling.session.clone().or(before.and_then(|told| told.session.clone())),
                        jobs,
                        recorded: Recorded::of(&file.facts),
                        root: file.root,
                        path: file.path,
                        uid: by.uid,
                        covers: match before {
                            Some(before) if telling.session.is_none() && before.session.is_some() => {
                                before.covers
                            }
                            _ => covers,
                        },
                        tracked_at: now,
                    }
                })
                .collect()
        };
        let (begun, fresh) = (session.as_ref().is_some_and(|one| self.begins(one)), self.fresh(&tracks, by));
        if let Some(session) = session.as_ref().filter(|_| begun) {
            self.counts.take(Counted::Sessions, session.uid, 1, !by.admin)?;
        }
        let ends = || session.iter().filter(|_| begun).map(|session| session.uid);
        if let Err(error) = self.counts.take(Counted::Tracks, by.uid, fresh, !by.admin) {
            self.counts.give_back(Counted::Sessions, ends());
            return Err(error);
        }
        if let Err(error) = self.ledger.put_tracks(&tracks, session.as_ref()) {
            self.counts.give_back(Counted::Sessions, ends());
            self.counts.give_back(Counted::Tracks, std::iter::repeat_n(by.uid, fresh));
            return Err(error.into());
        }
        let mut view = self.view_mut();
        if let Some(session) = &session {
            view.put_session(session);
        }
        let (mut added, mut taken_over) = (0, Vec::new());
        for track in &tracks {
            let before = view.told_of(&track.root, &track.path).map(|before| before.uid);
            added += usize::from(before != Some(by.uid));
            taken_over.extend(before.filter(|uid| *uid != by.uid));
            view.put_track(track.clone());
        }
        drop(view);
        // What went meanwhile does not count any more, and does now.
        self.counts.add(Counted::Tracks, std::iter::repeat_n(by.uid, added.saturating_sub(fresh)));
        self.counts.give_back(Counted::Tracks, taken_over.into_iter());
        Ok(tracks)
    }

    /// How many of these files nothing was told of yet by `by`.
    fn fresh(&self, tracks: &[TrackRecord], by: Caller) -> usize {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let is_known = |track: &TrackRecord| {
            view.told_of(&track.root, &track.path).is_some_and(|before| before.uid == by.uid)
        };
        // One that is named often is one.
        let places: HashSet<_> =
            tracks.iter().filter(|track| !is_known(track)).map(|track| (&track.root, &track.path)).collect();
        places.len()
    }

    /// Whether a session counts from now on.
    fn begins(&self, session: &SessionRecord) -> bool {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.session_facts(&session.id).is_none_or(|known| known.ended_at.is_some())
    }

    /// Forgets holds that are over, and sessions that ended longer than `keep`
    /// ago and have no member left.
    ///
    /// # Errors
    /// When the ledger can't be read or written.
    pub fn prune(&self, keep: Duration, now: Timestamp) -> Result<(), StoreError> {
        let _changes = self.changes();
        let over = |hold: &HoldRecord| hold.until.is_some_and(|until| until <= now);
        let over: Vec<HoldRecord> = self.ledger.all_holds()?.into_iter().filter(over).collect();
        self.forget_holds(&over)?;
        for session in self.ledger.all_sessions()? {
            let is_old = session.ended_at.is_some_and(|ended| ended.age_at(now) >= keep);
            let has_members = {
                let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
                view.roots().any(|root| view.members(root, &session.id).next().is_some())
            };
            if is_old && !has_members {
                self.ledger.remove_session(&session.id)?;
                self.view_mut().remove_session(&session.id);
            }
        }
        Ok(())
    }
}

/// Whether what `by` puts into a session may be anybody's: it is an
/// administrator's own session, or root's.
const fn speaks_for_all(session: &SessionRecord, by: Caller) -> bool {
    by.admin && (session.uid == by.uid || session.uid == 0)
}

#[cfg(test)]
mod tests;
