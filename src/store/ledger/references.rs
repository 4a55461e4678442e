//! Holds, tracked files and sessions in the ledger.

use super::tables::{self, HOLDS, SESSIONS, TRACKS};
use super::{Ledger, LedgerReader};
use crate::model::{HoldId, HoldRecord, RelPath, RootName, SessionId, SessionRecord, TrackRecord};
use crate::store::StoreError;

/// A root's name has no NUL byte, so that no two files have one key.
fn key(root: &RootName, path: &RelPath) -> Vec<u8> {
    [root.as_str().as_bytes(), &[0], path.as_bytes()].concat()
}

macro_rules! queries {
    ($ledger:ty) => {
        impl $ledger {
            /// Holds in order of id, behind `after`.
            pub fn holds_page(
                &self,
                after: Option<&HoldId>,
                limit: usize,
            ) -> Result<Vec<HoldRecord>, StoreError> {
                let after = after.map(|id| id.as_str().as_bytes());
                self.read(|t| tables::page(t, HOLDS, after, false, limit, |_| true))
            }

            /// One hold.
            pub fn hold(&self, id: &HoldId) -> Result<Option<HoldRecord>, StoreError> {
                self.read(|t| tables::get(t, HOLDS, id.as_str().as_bytes()))
            }

            /// All holds in order of id.
            pub fn all_holds(&self) -> Result<Vec<HoldRecord>, StoreError> {
                self.holds_page(None, usize::MAX)
            }

            /// All that was told of files.
            pub fn all_tracks(&self) -> Result<Vec<TrackRecord>, StoreError> {
                self.read(|t| tables::page(t, TRACKS, None, false, usize::MAX, |_| true))
            }

            /// One session.
            pub fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
                self.read(|t| tables::get(t, SESSIONS, id.as_str().as_bytes()))
            }

            /// All sessions in order of id.
            pub fn all_sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
                self.read(|t| tables::page(t, SESSIONS, None, false, usize::MAX, |_| true))
            }
        }
    };
}

queries!(Ledger);
queries!(LedgerReader);

impl Ledger {
    /// Records holds: all of them or none.
    pub fn put_holds(&self, holds: &[HoldRecord]) -> Result<(), StoreError> {
        self.write(|t| {
            holds.iter().try_for_each(|hold| tables::put(t, HOLDS, hold.id.as_str().as_bytes(), hold))
        })
    }

    /// Forgets holds: all of them or none.
    pub fn remove_holds<'a>(&self, ids: impl Iterator<Item = &'a HoldId>) -> Result<(), StoreError> {
        let mut ids = ids;
        self.write(|t| ids.try_for_each(|id| tables::remove(t, HOLDS, id.as_str().as_bytes()).map(drop)))
    }

    /// Records what was told of files, and with it the session that it stirred:
    /// all of it or nothing.
    pub fn put_tracks(
        &self,
        tracks: &[TrackRecord],
        session: Option<&SessionRecord>,
    ) -> Result<(), StoreError> {
        self.write(|t| {
            if let Some(session) = session {
                tables::put(t, SESSIONS, session.id.as_str().as_bytes(), session)?;
            }
            tracks.iter().try_for_each(|one| tables::put(t, TRACKS, &key(&one.root, &one.path), one))
        })
    }

    /// Forgets what was told of files.
    pub fn remove_tracks(&self, root: &RootName, paths: &[RelPath]) -> Result<(), StoreError> {
        self.write(|t| {
            paths.iter().try_for_each(|path| tables::remove(t, TRACKS, &key(root, path)).map(drop))
        })
    }

    /// Records a session as it is now.
    pub fn put_session(&self, session: &SessionRecord) -> Result<(), StoreError> {
        self.write(|t| tables::put(t, SESSIONS, session.id.as_str().as_bytes(), session))
    }

    /// Forgets a session; whether it was known.
    pub fn remove_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.write(|t| tables::remove(t, SESSIONS, id.as_str().as_bytes()))
    }
}
