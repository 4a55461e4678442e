//! Files that go for their age alone, whosever they are: the last of all rules.

use std::time::Duration;

use super::{Case, Detail, Judged, Keep, Ownership, Reason, keep};

impl Case<'_> {
    pub(super) fn max_age(&self) -> Judged {
        let Some(max_age) = self.rules.retain.max_age else {
            return Err(keep(Keep::NotSubject, Detail::default()));
        };
        self.check_not_result()?;
        self.check_not_referred()?;
        if let Ownership::Unknown(job) = self.owner {
            self.check_grace(job)?;
        }
        let limit = self.moment.limit(max_age);
        let age = self.wait(self.time(), limit, Keep::TooYoung, None)?;
        self.remove(Reason::MaxAge { age, limit })
    }

    pub(super) fn oldest(&self) -> Judged {
        if !self.moment.emergency {
            self.check_not_result()?;
            self.check_not_referred()?;
        }
        let min_age = if self.moment.min_age_suspended { Duration::ZERO } else { self.rules.retain.min_age };
        let mut limit = self.moment.limit(min_age);
        if let Ownership::Unknown(job) = self.owner {
            // On a new root nobody had the time to register; an emergency there takes
            // what is old by its own time, unless a grace was asked for by name.
            if self.moment.emergency && self.moment.new_root && self.rules.registry_grace.is_none() {
                limit = limit.max(self.rules.retain.emergency_orphans);
            } else {
                self.check_grace(job)?;
            }
        }
        let age = self.wait(self.time(), limit, Keep::TooYoung, None)?;
        self.remove(Reason::Oldest { age, limit })
    }
}
