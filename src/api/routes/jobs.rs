//! Jobs: any peer its own; the agent checks the owner where it changes the record.

use axum::extract::State;
use axum::{Extension, Json};

use super::{Agent, ask};
use crate::api::body::Sent;
use crate::api::params::{NoQuery, Paged};
use crate::api::segments::Segment;
use crate::api::{ApiError, JobPut, JobResource, Listing, PeerIdentity};
use crate::model::JobId;

pub(super) async fn list(
    State(agent): State<Agent>,
    Paged(page): Paged,
) -> Result<Json<Listing<JobResource>>, ApiError> {
    ask(&agent, move |agent| agent.jobs(&page)).await.map(Json)
}

pub(super) async fn show(
    State(agent): State<Agent>,
    Segment(id): Segment<JobId>,
    _: NoQuery,
) -> Result<Json<JobResource>, ApiError> {
    ask(&agent, move |agent| agent.job_get(&id)).await.map(Json)
}

pub(super) async fn put(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment<JobId>,
    _: NoQuery,
    body: Sent<JobPut>,
) -> Result<Json<JobResource>, ApiError> {
    let job = body.read().await?;
    if job.pid == Some(0) {
        return Err(ApiError::invalid("pid is 0: expected the number of a process"));
    }
    if job.ttl.is_some_and(|ttl| ttl.0.is_zero()) {
        return Err(ApiError::invalid("ttl is 0: expected a duration above 0"));
    }
    ask(&agent, move |agent| agent.job_put(&id, job, &peer)).await.map(Json)
}

pub(super) async fn heartbeat(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment<JobId>,
    _: NoQuery,
) -> Result<Json<JobResource>, ApiError> {
    ask(&agent, move |agent| agent.job_heartbeat(&id, &peer)).await.map(Json)
}
