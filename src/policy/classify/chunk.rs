//! Files of completed chunks: their job has given them up, also while it lives.
//!
//! A report of completion speaks of the files as they were then. What was
//! written, renamed or otherwise changed since has a later ctime, which no
//! program can set back: it is not what was processed, and stays.

use super::{Case, Detail, DirContext, Judged, keep};
use crate::model::{CompletedChunk, FileFacts, Keep, Reason};
use crate::policy::{JobsView, Moment, Ownership, Reading, RootRules};

/// The report by which this file was given up, if there is one.
pub(super) fn given_up<'a>(
    rules: &RootRules,
    moment: &Moment,
    jobs: &'a JobsView,
    dir: &DirContext,
    name: &[u8],
    own: &[Reading],
    facts: &FileFacts,
) -> Option<&'a CompletedChunk> {
    let asked = |done: &CompletedChunk| {
        moment.forced_job.as_ref().is_none_or(|job| *job == done.job)
            && moment.forced_chunk.as_ref().is_none_or(|chunk| *chunk == done.chunk)
    };
    let speaks_of = |done: &CompletedChunk| {
        facts.id.ctime.max(facts.id.mtime) <= done.at
            && done.files.as_ref().is_none_or(|files| files.contains(&rules.root, dir.path.join(name)))
    };
    dir.readings.all().iter().chain(own).find_map(|reading| {
        let chunk = reading.chunk.as_ref()?;
        let job = jobs.jobs.get(&reading.job).filter(|job| job.covers(&rules.root, facts.uid))?;
        let mut reports = job.completed.iter().map(AsRef::as_ref);
        reports.find(|done: &&CompletedChunk| done.chunk == *chunk && asked(done) && speaks_of(done))
    })
}

impl Case<'_> {
    /// Judges a file that was given up.
    pub(super) fn of_chunk(&self, done: &CompletedChunk) -> Judged {
        self.check_protections()?;
        match self.owner {
            Ownership::Belongs(job, _) if *job == done.job => {}
            // A longer reading names another job, which said nothing of the kind.
            _ => return Err(keep(Keep::NotSubject, Detail::default())),
        }
        self.check_not_result()?;
        if done.at > self.moment.now {
            // Reported by a clock that was set back since: what is older than that can't be told.
            return Err(keep(Keep::ClockUncertain, Detail::default()));
        }
        self.remove(Reason::ChunkCompleted {
            job: done.job.clone(),
            chunk: done.chunk.clone(),
            completed: self.moment.age(done.at),
        })
    }
}
