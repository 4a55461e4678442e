//! Chunks that are reported complete: which of the files that were named are
//! theirs, and when a report has served.
//!
//! Promises: the report is on record before anything is removed for it. Must
//! not know: HTTP, how removal works, whether an agent runs.

use std::sync::Arc;

use crate::api::{ApiError, ChunkCompletion, ChunkRequest, PathText};
use crate::model::{
    ChunkFiles, ChunkId, CompletedChunk, FileKind, JobId, JobRecord, Keep, PathFailure, Policy, RelPath,
    Skip, SweepRequest, Trigger, WirePath,
};
use crate::policy::{JobsView, PathReadings};
use crate::sweep::root::GuardedRoot;
use crate::sys::clock;

use super::engine::{Commission, Engine, Target};
use super::explain::below;
use super::jobs::{Caller, JobRegistry, Now};
use super::problems;
use super::surroundings::Control;

/// What was named, sorted out.
#[derive(Debug, Default)]
struct Named {
    /// What is of the chunk; `None`: nothing was named, all of it is meant.
    files: Option<ChunkFiles>,
    /// What is not, with why.
    refused: Vec<PathFailure>,
}

impl Named {
    /// Whether there is anything to do.
    fn is_in_vain(&self) -> bool {
        self.files.as_ref().is_some_and(ChunkFiles::is_empty)
    }
}

/// A report that was taken in.
pub struct Reported {
    /// What is answered; of the sweep it knows nothing.
    pub answer: ChunkCompletion,
    /// What is on record now; `None` if nothing that was named is of the chunk.
    pub done: Option<Arc<CompletedChunk>>,
}

/// Puts on record that a chunk of `job` is complete, as far as what was named
/// is of it. What is written after that is told from what was there before.
///
/// # Errors
/// Those of [`JobRegistry::complete_chunk`]; nothing has changed then.
pub fn report(
    registry: &JobRegistry,
    job: &JobRecord,
    chunk: &ChunkId,
    request: &ChunkRequest,
    by: Caller,
    targets: &[Target],
) -> Result<Reported, ApiError> {
    let named = sort_out(&request.files, job, chunk, targets);
    let is_in_vain = named.is_in_vain();
    let Named { files, refused } = named;
    let answer = ChunkCompletion { job: job.id.clone(), chunk: chunk.clone(), refused, sweep: None };
    if is_in_vain {
        return Ok(Reported { answer, done: None });
    }
    let done = registry
        .complete_chunk(&job.id, chunk, files, by, Now::read())
        .map_err(|error| problems::job(&error))?;
    clock::wait_until_stamps_pass(done.at);
    Ok(Reported { answer, done: Some(done) })
}

/// Looks at each path that was named. One that is gone already is no mistake.
fn sort_out(paths: &[PathText], job: &JobRecord, chunk: &ChunkId, targets: &[Target]) -> Named {
    if paths.is_empty() {
        return Named::default();
    }
    let (mut files, mut refused) = (Vec::new(), Vec::new());
    for path in paths {
        match find(path, job, chunk, targets) {
            Ok((root, path)) => files.push((root.name.clone(), path)),
            Err(error) => refused.push(PathFailure { path: wire(path), error }),
        }
    }
    Named { files: Some(ChunkFiles::new(files)), refused }
}

/// As it goes into the answer.
fn wire(path: &PathText) -> WirePath {
    match path {
        PathText::Plain(path) => WirePath { path: path.clone(), path_encoding: None },
        PathText::Encoded(wire) => wire.clone(),
    }
}

fn find<'a>(
    path: &PathText,
    job: &JobRecord,
    chunk: &ChunkId,
    targets: &'a [Target],
) -> Result<(&'a GuardedRoot, RelPath), String> {
    let bytes = path.to_bytes().map_err(|error| error.to_string())?;
    let found = targets.iter().find_map(|target| Some((&target.root, below(target.root.path(), &bytes)?)));
    let (root, path) = found.ok_or("it lies beneath no root that is guarded now")?;
    if job.root.as_ref().is_some_and(|only| *only != root.name) {
        return Err(format!("it lies in root {}, and job {} works in another", root.name, job.id));
    }
    if !PathReadings::of(&root.rules.patterns, &path).names_chunk(&job.id, chunk) {
        return Err(format!("its path names no chunk {chunk} of job {}", job.id));
    }
    look(root, &path, job)?;
    Ok((root, path))
}

fn look(root: &GuardedRoot, path: &RelPath, job: &JobRecord) -> Result<(), String> {
    let parent = path.parent().unwrap_or_default();
    let facts = match root.dir.open_dir(&parent) {
        Ok(dir) => match dir.stat(path.name(), root.rules.age_by) {
            Ok(facts) => facts,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("it can't be looked at: {error}")),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(format!("its directory is not reached beneath the root: {}", super::chain(&error)));
        }
    };
    if facts.id.kind == FileKind::Directory {
        return Err("it is a directory".to_owned());
    }
    if !job.covers.includes(facts.uid) {
        return Err(format!("it belongs to uid {}, and job {} covers other files", facts.uid, job.id));
    }
    Ok(())
}

/// The sweep for a completed chunk.
pub fn request(job: &JobId, chunk: &ChunkId) -> SweepRequest {
    SweepRequest { job: Some(job.clone()), chunk: Some(chunk.clone()), ..SweepRequest::of(Policy::Chunks) }
}

/// The reports in force that a sweep is about to serve: of one chunk, one job, or all.
pub fn in_force(view: &JobsView, of: &SweepRequest) -> Vec<Arc<CompletedChunk>> {
    let jobs = view.jobs.iter().filter(|(id, _)| of.job.as_ref().is_none_or(|only| only == *id));
    let reports = jobs.flat_map(|(_, job)| &job.completed);
    reports.filter(|done| of.chunk.as_ref().is_none_or(|only| *only == done.chunk)).cloned().collect()
}

/// Forgets the reports of which nothing is left. `targets` must be all roots
/// there are, each wholly known; what is left is asked of a plan.
pub fn forget_served(
    engine: &Engine,
    registry: &JobRegistry,
    reports: Vec<Arc<CompletedChunk>>,
    targets: &[Target],
) {
    for done in reports {
        match is_served(engine, &done, targets) {
            Ok(true) => {
                if let Err(error) = registry.forget_chunk(&done) {
                    tracing::debug!(job = %done.job, reason = %super::chain(&error), "a completed chunk stays on record");
                }
            }
            Ok(false) => {
                tracing::debug!(job = %done.job, chunk = %done.chunk, "of a completed chunk files are left; they go when they can");
            }
            Err(error) => {
                tracing::debug!(job = %done.job, reason = %super::chain(&error), "a completed chunk could not be looked at");
            }
        }
    }
}

fn is_served(
    engine: &Engine,
    done: &CompletedChunk,
    targets: &[Target],
) -> Result<bool, super::engine::EngineError> {
    let control = Control::default();
    let request = request(&done.job, &done.chunk);
    let commission = Commission {
        request: &request,
        trigger: Trigger::ChunkCompleted,
        requested_by: None,
        control: &control,
        list: false,
        stop: &|| None,
        leave_out: None,
    };
    let gone = [Keep::NotSubject.as_str(), Skip::Vanished.as_str()];
    let plans = engine.plan(&commission, targets)?;
    Ok(plans
        .iter()
        .all(|(plan, ..)| plan.actions.is_empty() && plan.kept.keys().all(|why| gone.contains(why))))
}
