//! Candidates that come from several places, each path once.

use std::collections::HashSet;
use std::sync::PoisonError;

use crate::model::{JobState, Phase};
use crate::sweep::SweepError;
use crate::sweep::named;
use crate::sweep::nominate::{Candidate, Candidates, Nominator};
use crate::sweep::root::GuardedRoot;

use super::Circumstances;

/// Files of the jobs that ended in the way this phase is about, oldest first.
pub(super) fn ended_jobs_files<'a>(
    root: &'a GuardedRoot,
    nominator: &'a dyn Nominator,
    with: Circumstances<'a>,
    phase: Phase,
) -> Result<Candidates<'a>, SweepError> {
    let jobs: Vec<_> = {
        let view = with.jobs.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = |state: JobState| match phase {
            Phase::CompletedJobs => state == JobState::Completed,
            Phase::Results => !state.is_alive(),
            _ => state.is_failure(),
        };
        let mut jobs: Vec<_> = view
            .jobs
            .iter()
            .filter(|(id, job)| {
                wanted(job.state) && with.moment.forced_job.as_ref().is_none_or(|only| only == *id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        jobs.sort();
        jobs
    };
    let mut all = Vec::new();
    for job in &jobs {
        all.extend(nominator.of_job(job)?.chain(named::of_job(root, with, job)));
    }
    Ok(sorted(once_each(all.into_iter())?))
}

/// Each path once: two jobs, or a name and what was told, can nominate one file.
pub(super) fn once_each(
    candidates: impl Iterator<Item = Result<Candidate, SweepError>>,
) -> Result<Vec<Candidate>, SweepError> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for candidate in candidates {
        let candidate = candidate?;
        if seen.insert(candidate.path()) {
            all.push(candidate);
        }
    }
    Ok(all)
}

pub(super) fn sorted<'a>(mut all: Vec<Candidate>) -> Candidates<'a> {
    all.sort_by(|a, b| (a.age_time, &a.dir, &a.name).cmp(&(b.age_time, &b.dir, &b.name)));
    Box::new(all.into_iter().map(Ok))
}
