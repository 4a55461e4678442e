//! Jobs: any peer its own; the agent checks the owner where it changes the record.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::{Extension, Json};

use super::{Agent, ask};
use crate::api::params::{Params, Segment, json};
use crate::api::{ApiError, JobPut, JobResource, Listing, PeerIdentity};
use crate::model::JobId;

pub(super) async fn list(
    State(agent): State<Agent>,
    RawQuery(query): RawQuery,
) -> Result<Json<Listing<JobResource>>, ApiError> {
    let page = Params::read(query.as_deref(), &["after", "limit"])?.page()?;
    ask(&agent, move |agent| agent.jobs(&page)).await.map(Json)
}

pub(super) async fn show(
    State(agent): State<Agent>,
    segment: Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<JobResource>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    let id: JobId = segment.parse()?;
    ask(&agent, move |agent| agent.job_get(&id)).await.map(Json)
}

pub(super) async fn put(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    segment: Segment,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Json<JobResource>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    let id: JobId = segment.parse()?;
    let job: JobPut = json(body).await?;
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
    segment: Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<JobResource>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    let id: JobId = segment.parse()?;
    ask(&agent, move |agent| agent.job_heartbeat(&id, &peer)).await.map(Json)
}
