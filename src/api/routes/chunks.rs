//! Chunks of jobs: any peer those of its own jobs; the agent checks the owner.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};

use super::{Agent, ask};
use crate::api::body::large_json;
use crate::api::params::{TwoSegments, Wait};
use crate::api::{ApiError, ChunkCompletion, ChunkRequest, PeerIdentity};
use crate::model::{ChunkId, JobId};

/// 202 once it is on record; with `wait=true` 200 when its files are gone.
pub(super) async fn complete(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    segments: TwoSegments,
    Wait(wait): Wait,
    body: Body,
) -> Result<(StatusCode, Json<ChunkCompletion>), ApiError> {
    let (job, chunk): (JobId, ChunkId) = segments.parse()?;
    let request: ChunkRequest = large_json(body).await?;
    let mut done = ask(&agent, move |agent| agent.chunk_complete(&job, &chunk, request, &peer)).await?;
    if !wait {
        return Ok((StatusCode::ACCEPTED, Json(done)));
    }
    if let Some(sweep) = done.sweep.take() {
        done.sweep = Some(ask(&agent, move |agent| agent.await_sweep(&sweep.id)).await?);
    }
    Ok((StatusCode::OK, Json(done)))
}
