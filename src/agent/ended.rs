//! Whether what is to be cleaned up after has ended.
//!
//! Promises: a request about one job or session is refused by name while that
//! is at work. Must not know: who asks, and whether an agent runs.

use crate::api::ApiError;
use crate::model::{Policy, SweepRequest};
use crate::policy::{JobsView, ReferenceView};

/// Refuses to clean up after a job that is at work.
pub fn check_job(request: &SweepRequest, jobs: &JobsView) -> Result<(), ApiError> {
    // What it gave up itself goes while it is at work.
    let Some(id) = request.job.as_ref().filter(|_| request.policy != Policy::Chunks) else { return Ok(()) };
    match jobs.jobs.get(id) {
        Some(job) if job.state.is_alive() => Err(ApiError::conflict(format!(
            "job {id} is {}: its files stay until it ends",
            job.state.as_str()
        ))
        .with_help("end it first: guardian job fail, cancel or complete")),
        _ => Ok(()),
    }
}

/// Refuses to clean up after a session that goes on, or that nobody knows.
pub fn check_session(request: &SweepRequest, references: &ReferenceView) -> Result<(), ApiError> {
    let Some(id) = &request.session else { return Ok(()) };
    match references.session_facts(id) {
        None => Err(ApiError::invalid(format!("session {id} is not known"))),
        Some(facts) if facts.ended_at.is_none() => {
            Err(ApiError::conflict(format!("session {id} goes on: its files stay until it ends"))
                .with_help(format!("end it first: guardian session end {id}")))
        }
        Some(_) => Ok(()),
    }
}
