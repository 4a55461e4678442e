//! What was told of a file: its expiry and its session.
//!
//! Whoever may speak for a file has said when it may go. So neither its age,
//! nor `results`, nor another reference keeps it; only what binds in every
//! phase does, and an entry of queue or trash that goes its own way.

use std::time::Duration;

use super::{Case, Detail, Judged, Keep, Reason, Verdict, keep};

impl Case<'_> {
    pub(super) fn check_not_waiting(&self) -> Result<(), Verdict> {
        if self.references.waits(&self.at) {
            return Err(keep(Keep::Referred, Detail::default()));
        }
        Ok(())
    }

    /// Its expiry, by `track` or by its own mark, has come.
    pub(super) fn expired(&self) -> Judged {
        let Some(expires_at) = self.references.expires_at(&self.at) else {
            return Err(keep(Keep::NotSubject, Detail::default()));
        };
        self.check_not_waiting()?;
        // A time to come counts as now for ages, but here it is what is waited for.
        let now = self.moment.at_the_earliest();
        let limit = self.moment.limit(Duration::ZERO);
        let expired = expires_at.age_at(now);
        if expires_at > now || expired < limit {
            let due_at = Some(expires_at.plus(limit));
            return Err(keep(Keep::Unexpired, Detail { due_at, ..Detail::default() }));
        }
        self.remove(Reason::Expired { expires_at, expired, limit })
    }

    /// Its session has ended, or had no activity for so long that it has.
    pub(super) fn of_session(&self) -> Judged {
        let Some((session, facts)) = self.references.session(&self.at) else {
            return Err(keep(Keep::NotSubject, Detail::default()));
        };
        if self.moment.session.as_ref().is_some_and(|only| only != session) {
            return Err(keep(Keep::NotSubject, Detail::default()));
        }
        self.check_not_waiting()?;
        if let Some(at) = facts.ended_at {
            let limit = self.moment.limit(Duration::ZERO);
            let ended = self.wait(at, limit, Keep::SessionAlive, None)?;
            return self.remove(Reason::SessionEnded { session: session.clone(), ended });
        }
        self.check_clock()?;
        // A shorter age than the root's must not end what its owner counts on.
        let retain = self.rules.retain.sessions;
        let limit = self.moment.limit(retain).max(retain);
        let idle = self.wait(facts.last_activity, limit, Keep::SessionAlive, None)?;
        self.remove(Reason::SessionIdle { session: session.clone(), idle, limit })
    }
}
