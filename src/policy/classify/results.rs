//! Results of jobs that ended long ago. They are what a job was run for, so
//! nothing but their own retention lets them go.

use super::{Case, Detail, Judged, keep};
use crate::model::{Keep, Reason};
use crate::policy::Ownership;

impl Case<'_> {
    /// Judges a file that may be an old result.
    pub(super) fn old_result(&self) -> Judged {
        let not_subject = || keep(Keep::NotSubject, Detail::default());
        if self.check_not_result().is_ok() {
            return Err(not_subject());
        }
        self.check_protections()?;
        self.check_forced_job()?;
        let Ownership::Belongs(job, facts) = self.owner else { return Err(not_subject()) };
        self.check_not_referred()?;
        // Also of a job that is asked for by name: to ask for it is not to say how long.
        let limit = self.moment.limit(self.rules.retain.results);
        let ended = self.wait(facts.ended(), limit, Keep::JobRetention, Some(job))?;
        self.remove(Reason::OldResult { job: job.clone(), state: facts.state, ended, limit })
    }
}
