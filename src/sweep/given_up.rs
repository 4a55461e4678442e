//! Candidates of completed chunks: the files that were named, or all names
//! that the chunk may have.
//!
//! Costs what the chunks hold, not what their jobs do.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use crate::model::CompletedChunk;

use super::SweepError;
use super::named::named;
use super::nominate::{Candidate, Candidates, Nominator};
use super::planner::Circumstances;
use super::root::GuardedRoot;

/// Files of the completed chunks that are asked for, oldest first.
pub(super) fn of_completed_chunks<'a>(
    root: &'a GuardedRoot,
    nominator: &'a dyn Nominator,
    with: Circumstances<'a>,
) -> Result<Candidates<'a>, SweepError> {
    let mut all = Vec::new();
    for done in reported(root, with) {
        match &done.files {
            Some(files) => extend(&mut all, named(root, files.of_root(&root.name).cloned()))?,
            None => extend(&mut all, nominator.of_chunk(&done.job, &done.chunk)?)?,
        }
    }
    let mut seen = HashSet::new();
    all.retain(|candidate| seen.insert(candidate.path()));
    all.sort_by(|a, b| (a.age_time, &a.dir, &a.name).cmp(&(b.age_time, &b.dir, &b.name)));
    Ok(Box::new(all.into_iter().map(Ok)))
}

fn extend(all: &mut Vec<Candidate>, more: Candidates<'_>) -> Result<(), SweepError> {
    for candidate in more {
        all.push(candidate?);
    }
    Ok(())
}

fn reported(root: &GuardedRoot, with: Circumstances<'_>) -> Vec<Arc<CompletedChunk>> {
    let view = with.jobs.read().unwrap_or_else(PoisonError::into_inner);
    let moment = with.moment;
    let mut found: Vec<_> = view
        .jobs
        .iter()
        .filter(|(id, job)| {
            !job.completed.is_empty()
                && job.root.as_ref().is_none_or(|only| *only == root.name)
                && moment.forced_job.as_ref().is_none_or(|only| only == *id)
        })
        .flat_map(|(_, job)| &job.completed)
        .filter(|done| moment.forced_chunk.as_ref().is_none_or(|only| *only == done.chunk))
        .cloned()
        .collect();
    found.sort_by(|a, b| (&a.job, &a.chunk, a.at).cmp(&(&b.job, &b.chunk, b.at)));
    found
}
