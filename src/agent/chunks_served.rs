//! Sweeps of the resident agent that serve completed chunks.
//!
//! Promises: a report of completion is forgotten only when a sweep has looked for
//! its files in an index that knew of them. Must not know: which files are a chunk's.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::ingest::RootState;
use crate::model::{CompletedChunk, SweepRequest};

use super::chain;
use super::chunks::{forget_served, in_force};
use super::engine::Target;
use super::state::Agent;

/// How long a sweep for a chunk waits for the index.
const SETTLE: Duration = Duration::from_secs(5);

/// Waits until what was written before is in the index. `false`: not all of it is.
pub fn is_up_to_date(agent: &Agent, targets: &[Target]) -> bool {
    let deadline = Instant::now() + SETTLE;
    targets.iter().filter_map(|target| target.key).all(|key| {
        let settled = agent.ingest.settle(key, deadline);
        let watched = agent.ingest.status(key).is_some_and(|root| root.state == RootState::Ready);
        if let Err(error) = &settled {
            tracing::debug!(reason = %chain(error), "the index is not up to date");
        }
        settled.is_ok() && watched
    })
}

/// The reports of completed chunks that a sweep is about to serve. To be asked
/// before the index is waited for: of what is reported later it may not tell yet.
pub fn chunks_to_serve(agent: &Agent, of: &SweepRequest) -> Vec<Arc<CompletedChunk>> {
    let view = agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner);
    in_force(&view, of)
}

/// After a sweep that served them: those of which nothing is left are forgotten,
/// where every root could be looked at.
pub fn forget_served_chunks(agent: &Agent, reports: Vec<Arc<CompletedChunk>>) {
    let targets = agent.targets(None);
    let is_known = |target: &Target| {
        let watched = |key| agent.ingest.status(key).is_some_and(|root| root.state == RootState::Ready);
        target.key.is_none_or(watched)
    };
    if reports.is_empty() || targets.len() < agent.slots().len() || !targets.iter().all(is_known) {
        return;
    }
    forget_served(&agent.engine, &agent.registry, reports, &targets);
}
