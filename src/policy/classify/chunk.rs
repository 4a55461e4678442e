//! Files of completed chunks: their job has given them up, also while it lives.
//!
//! A report of completion speaks of the files as they were then. What was
//! written, renamed or otherwise changed since has a later ctime, which no
//! program can set back: it is not what was processed, and stays.

use super::{Case, Detail, DirContext, Judged, Verdict, keep, keep_for};
use crate::model::{ChunkId, CompletedChunk, FileFacts, JobState, Keep, Reason};
use crate::policy::{JobFacts, JobsView, Moment, Ownership, Reading, RootRules};

/// What a report says of a file.
pub(super) enum GivenUp<'a> {
    /// It is given up.
    Wholly(&'a CompletedChunk),
    /// It may as well be of another chunk, of which nothing was said.
    Perhaps(&'a CompletedChunk, JobState),
}

/// The report by which this file was given up, if there is one.
pub(super) fn given_up<'a>(
    rules: &RootRules,
    moment: &Moment,
    jobs: &'a JobsView,
    dir: &DirContext,
    name: &[u8],
    own: &[Reading],
    facts: &FileFacts,
) -> Option<GivenUp<'a>> {
    let asked = |done: &CompletedChunk| {
        moment.forced_job.as_ref().is_none_or(|job| *job == done.job)
            && moment.forced_chunk.as_ref().is_none_or(|chunk| *chunk == done.chunk)
    };
    let speaks_of = |done: &CompletedChunk| {
        facts.id.ctime.max(facts.id.mtime) <= done.at
            && done.files.as_ref().is_none_or(|files| files.contains(&rules.root, dir.path.join(name)))
    };
    let is_reported = |job: &JobFacts, chunk: &ChunkId| {
        job.completed.iter().any(|done| done.chunk == *chunk && speaks_of(done))
    };
    let mut perhaps = None;
    for reading in dir.readings.all().iter().chain(own) {
        let Some(chunk) = &reading.chunk else { continue };
        let job = jobs.jobs.get(&reading.job).filter(|job| job.covers(&rules.root, facts.uid));
        let Some(job) = job.filter(|job| !job.completed.is_empty()) else { continue };
        for done in job.completed.iter().filter(|done| done.chunk == *chunk && asked(done) && speaks_of(done))
        {
            let of_this_job = |readings: &[Reading]| {
                let chunks: Vec<&ChunkId> = readings
                    .iter()
                    .filter(|one| one.job == done.job)
                    .filter_map(|one| one.chunk.as_ref())
                    .collect();
                is_complete(&chunks, |chunk| is_reported(job, chunk))
            };
            let above = || dir.path.components().all(|part| of_this_job(&rules.patterns.readings(part)));
            if done.files.is_some() || (of_this_job(own) && above()) {
                return Some(GivenUp::Wholly(done));
            }
            perhaps.get_or_insert(GivenUp::Perhaps(done, job.state));
        }
    }
    perhaps
}

/// Whether all chunks that one component may name are reported. One without any says nothing.
fn is_complete(chunks: &[&ChunkId], is_reported: impl Fn(&ChunkId) -> bool) -> bool {
    let reported: Vec<&ChunkId> = chunks.iter().copied().filter(|chunk| is_reported(chunk)).collect();
    chunks.iter().all(|chunk| {
        reported.contains(chunk) || reported.iter().any(|number| is_number_and_words(number, chunk))
    })
}

/// Whether `longer` is no chunk of its own but this one's number and words of
/// the name behind it: `1_part` is, `1_2` is not.
fn is_number_and_words(number: &ChunkId, longer: &ChunkId) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    number.as_str().bytes().all(is_digit)
        && longer.as_str().strip_prefix(number.as_str()).is_some_and(|rest| {
            !rest.starts_with(|first: char| first.is_ascii_digit())
                && rest.bytes().any(|byte| byte.is_ascii_alphabetic())
        })
}

/// The verdict on what may as well be of another chunk.
pub(super) fn kept_for(done: &CompletedChunk, state: JobState) -> Verdict {
    let why = if state.is_alive() { Keep::ActiveJob } else { Keep::JobRetention };
    keep_for(why, &done.job)
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
        self.check_not_waiting()?;
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
