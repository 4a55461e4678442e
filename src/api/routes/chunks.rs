//! Chunks of jobs: any peer those of its own jobs; the agent checks the owner.

use axum::Extension;
use axum::extract::State;

use super::{Agent, ask};
use crate::api::answers::Sooner;
use crate::api::body::SentMany;
use crate::api::params::Wait;
use crate::api::segments::Segments;
use crate::api::{ApiError, ChunkCompletion, ChunkRequest, PeerIdentity};
use crate::model::{ChunkId, JobId};

/// 202 once it is on record; with `wait=true` 200 when its files are gone.
pub(super) async fn complete(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segments(job, chunk): Segments<JobId, ChunkId>,
    Wait(wait): Wait,
    body: SentMany<ChunkRequest>,
) -> Result<Sooner<ChunkCompletion>, ApiError> {
    let request = body.read().await?;
    let mut done = ask(&agent, move |agent| agent.chunk_complete(&job, &chunk, request, &peer)).await?;
    if !wait {
        return Ok(Sooner { ended: false, body: done });
    }
    if let Some(sweep) = done.sweep.take() {
        done.sweep = Some(ask(&agent, move |agent| agent.await_sweep(&sweep.id)).await?);
    }
    Ok(Sooner { ended: true, body: done })
}
