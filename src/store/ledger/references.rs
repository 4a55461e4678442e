//! Holds, tracked files and sessions in the ledger.

use super::tables::{self, HOLDS, Row, SESSIONS, TRACKS};
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
        let row = |hold: &HoldRecord| self.row(HOLDS, hold.id.as_str().as_bytes(), hold);
        self.write_rows(holds.iter().map(row).collect::<Result<_, _>>()?)
    }

    /// Forgets holds: all of them or none.
    pub fn remove_holds<'a>(&self, ids: impl Iterator<Item = &'a HoldId>) -> Result<(), StoreError> {
        self.write_rows(ids.map(|id| Row::gone(HOLDS, id.as_str().as_bytes())).collect())
    }

    /// Records what was told of files, and with it the session that it stirred:
    /// all of it or nothing.
    pub fn put_tracks(
        &self,
        tracks: &[TrackRecord],
        session: Option<&SessionRecord>,
    ) -> Result<(), StoreError> {
        let row = |one: &TrackRecord| self.row(TRACKS, &key(&one.root, &one.path), one);
        let mut rows: Vec<Row> = tracks.iter().map(row).collect::<Result<_, _>>()?;
        if let Some(session) = session {
            rows.push(self.row(SESSIONS, session.id.as_str().as_bytes(), session)?);
        }
        self.write_rows(rows)
    }

    /// Forgets what was told of files.
    pub fn remove_tracks(&self, root: &RootName, paths: &[RelPath]) -> Result<(), StoreError> {
        self.write(|t| {
            paths.iter().try_for_each(|path| tables::remove(t, TRACKS, &key(root, path)).map(drop))
        })
    }

    /// Records a session as it is now.
    pub fn put_session(&self, session: &SessionRecord) -> Result<(), StoreError> {
        self.write_rows(vec![self.row(SESSIONS, session.id.as_str().as_bytes(), session)?])
    }

    /// Forgets a session; whether it was known.
    pub fn remove_session(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.write(|t| tables::remove(t, SESSIONS, id.as_str().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Covers, Recorded, Timestamp};
    use crate::store::ledger::{BACKUP, FILE, LedgerOrigin};

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000);

    fn path(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes()).unwrap()
    }

    fn hold(id: &str) -> HoldRecord {
        HoldRecord {
            id: HoldId::new(id),
            root: RootName::parse("scratch").unwrap(),
            path: path("d"),
            recorded: Recorded { ino: 7, born: Some(NOW) },
            until: None,
            reason: Some("r".to_owned()),
            uid: 0,
            covers: Covers::AnyOwner,
            created_at: NOW,
        }
    }

    fn track(root: &str, at: &str) -> TrackRecord {
        TrackRecord {
            root: RootName::parse(root).unwrap(),
            path: path(at),
            recorded: Recorded { ino: 7, born: None },
            expires_at: Some(NOW),
            session: None,
            jobs: Vec::new(),
            uid: 0,
            covers: Covers::AnyOwner,
            tracked_at: NOW,
        }
    }

    fn session() -> SessionRecord {
        SessionRecord {
            id: SessionId::parse("s").unwrap(),
            uid: 0,
            created_at: NOW,
            last_activity: NOW,
            ended_at: None,
        }
    }

    #[test]
    fn what_was_told_is_there_after_reopening_and_is_forgotten_by_root_and_path() {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, _) = Ledger::open(dir.path(), NOW).unwrap();
        ledger.put_holds(&[hold("1"), hold("2")]).unwrap();
        // Roots whose names begin alike have each their own files.
        let told = [track("a", "x"), track("a", "x/y"), track("ab", "x")];
        ledger.put_tracks(&told, Some(&session())).unwrap();
        drop(ledger);
        let (ledger, _) = Ledger::open(dir.path(), NOW).unwrap();
        assert_eq!(ledger.holds_page(Some(&HoldId::new("1")), 5).unwrap(), [hold("2")]);
        assert_eq!(ledger.session(&session().id).unwrap(), Some(session()));
        assert_eq!(ledger.all_tracks().unwrap(), told);
        ledger.remove_tracks(&told[0].root, &[path("x")]).unwrap();
        assert_eq!(ledger.all_tracks().unwrap(), told[1..]);
        ledger.remove_holds([HoldId::new("1")].iter()).unwrap();
        assert_eq!(ledger.all_holds().unwrap(), [hold("2")]);
    }

    #[test]
    fn a_lost_ledger_keeps_the_holds_and_sessions_of_its_backup() {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, _) = Ledger::open(dir.path(), NOW).unwrap();
        ledger.put_holds(&[hold("1")]).unwrap();
        ledger.put_session(&session()).unwrap();
        ledger.backup(&dir.path().join(BACKUP)).unwrap();
        drop(ledger);
        std::fs::write(dir.path().join(FILE), vec![7; 50_000]).unwrap();
        let (ledger, origin) = Ledger::open(dir.path(), NOW).unwrap();
        assert!(matches!(origin, LedgerOrigin::Lost { .. }), "{origin:?}");
        assert_eq!(ledger.all_holds().unwrap(), [hold("1")]);
        assert_eq!(ledger.all_sessions().unwrap(), [session()]);
    }

    #[test]
    fn a_ledger_of_an_earlier_version_is_read_as_one_without_them() {
        let dir = tempfile::tempdir().unwrap();
        drop(Ledger::open(dir.path(), NOW).unwrap());
        let database = redb::Database::open(dir.path().join(FILE)).unwrap();
        let change = database.begin_write().unwrap();
        for table in [HOLDS, TRACKS, SESSIONS] {
            change.delete_table(table).unwrap();
        }
        change.commit().unwrap();
        drop(database);
        let reader = LedgerReader::open(dir.path()).unwrap().unwrap();
        assert!(reader.all_holds().unwrap().is_empty() && reader.hold(&HoldId::new("1")).unwrap().is_none());
        drop(reader);
        let (ledger, _) = Ledger::open(dir.path(), NOW).unwrap();
        ledger.put_holds(&[hold("1")]).unwrap();
        assert_eq!(ledger.all_holds().unwrap(), [hold("1")]);
    }
}
