//! Sessions: begun, touched, ended.

use std::time::Duration;

use crate::agent::jobs::Caller;
use crate::model::{SessionId, SessionRecord, Timestamp};
use crate::policy::SessionFacts;
use crate::store::StoreError;

use super::{Counted, PoisonError, ReferenceError, References};

impl References {
    /// One session.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.ledger.session(id)
    }

    /// All sessions, in order of id.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub fn all_sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
        self.ledger.all_sessions()
    }

    /// A session after a sign of activity; not on record yet.
    pub(super) fn touched(
        &self,
        id: &SessionId,
        by: Caller,
        now: Timestamp,
    ) -> Result<SessionRecord, ReferenceError> {
        let Some(known) = self.ledger.session(id)? else {
            return Ok(SessionRecord {
                id: id.clone(),
                uid: by.uid,
                created_at: now,
                last_activity: now,
                ended_at: None,
            });
        };
        permit_session(&known, by)?;
        // One that ended begins again: its members that are still there live on.
        let created_at = if known.ended_at.is_some() { now } else { known.created_at };
        Ok(SessionRecord { created_at, last_activity: now, ended_at: None, ..known })
    }

    /// A sign of activity; a session that is not known, or has ended, begins.
    ///
    /// # Errors
    /// `OthersSession`, `TooMany`, `Store`.
    pub fn touch(&self, id: &SessionId, by: Caller, now: Timestamp) -> Result<SessionRecord, ReferenceError> {
        let _changes = self.changes();
        let session = self.touched(id, by, now)?;
        let begun = self.begins(&session);
        if begun {
            self.counts.take(Counted::Sessions, session.uid, 1, !by.admin)?;
        }
        if let Err(error) = self.ledger.put_session(&session) {
            self.counts.give_back(Counted::Sessions, begun.then_some(session.uid).into_iter());
            return Err(error.into());
        }
        self.view_mut().put_session(&session);
        Ok(session)
    }

    /// Ends a session; one that has ended stays as it is.
    ///
    /// # Errors
    /// `NoSession`, `OthersSession`, `Store`.
    pub fn end(&self, id: &SessionId, by: Caller, now: Timestamp) -> Result<SessionRecord, ReferenceError> {
        let _changes = self.changes();
        let known = self.ledger.session(id)?.ok_or_else(|| ReferenceError::NoSession(id.clone()))?;
        permit_session(&known, by)?;
        if known.ended_at.is_some() {
            return Ok(known);
        }
        self.ended(known, now).map_err(ReferenceError::from)
    }

    /// Ends the sessions that were not active for `limit`; those that ended.
    ///
    /// # Errors
    /// When it can't be recorded; sessions that were ended before stay so.
    pub fn end_idle(&self, limit: Duration, now: Timestamp) -> Result<Vec<SessionRecord>, StoreError> {
        let _changes = self.changes();
        let idle: Vec<SessionId> = {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            let sessions = view.sessions();
            let is_idle =
                |facts: &SessionFacts| facts.ended_at.is_none() && facts.last_activity.age_at(now) >= limit;
            sessions.into_iter().filter(|(_, facts)| is_idle(facts)).map(|(id, _)| id.clone()).collect()
        };
        let mut ended = Vec::new();
        for id in idle {
            if let Some(known) = self.ledger.session(&id)? {
                ended.push(self.ended(known, now)?);
            }
        }
        Ok(ended)
    }

    /// Puts the end of a living session on record.
    fn ended(&self, known: SessionRecord, now: Timestamp) -> Result<SessionRecord, StoreError> {
        let session = SessionRecord { ended_at: Some(now), ..known };
        self.ledger.put_session(&session)?;
        self.view_mut().put_session(&session);
        self.counts.give_back(Counted::Sessions, std::iter::once(session.uid));
        Ok(session)
    }
}

fn permit_session(session: &SessionRecord, by: Caller) -> Result<(), ReferenceError> {
    if by.admin || session.uid == by.uid {
        return Ok(());
    }
    Err(ReferenceError::OthersSession { id: session.id.clone(), uid: by.uid, owner: session.uid })
}
