//! Holds, tracked files and sessions: any peer its own; the agent checks whose
//! they are where it changes the record.

use axum::extract::State;
use axum::{Extension, Json};

use super::{Agent, ask, check_paths, check_word};
use crate::api::body::SentMany;
use crate::api::params::{NoQuery, Paged, Wait};
use crate::api::segments::Segment;
use crate::api::{
    ApiError, HoldRequest, HoldResource, Listing, PeerIdentity, ReleaseRequest, SessionEnd, SessionResource,
    TrackRequest, TrackedFile,
};
use crate::model::{HoldId, SessionId};

pub(super) async fn hold(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    body: SentMany<HoldRequest>,
) -> Result<Json<Listing<HoldResource>>, ApiError> {
    let request = body.read().await?;
    check_paths(&request.paths)?;
    check_word("reason", request.reason.as_ref())?;
    ask(&agent, move |agent| agent.hold(request, &peer)).await.map(Json)
}

pub(super) async fn holds(
    State(agent): State<Agent>,
    Paged(page): Paged,
) -> Result<Json<Listing<HoldResource>>, ApiError> {
    ask(&agent, move |agent| agent.holds(&page)).await.map(Json)
}

pub(super) async fn release(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment<HoldId>,
    _: NoQuery,
) -> Result<Json<HoldResource>, ApiError> {
    ask(&agent, move |agent| agent.release(&id, &peer)).await.map(Json)
}

pub(super) async fn release_paths(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    body: SentMany<ReleaseRequest>,
) -> Result<Json<Listing<HoldResource>>, ApiError> {
    let request = body.read().await?;
    check_paths(&request.paths)?;
    ask(&agent, move |agent| agent.release_paths(request, &peer)).await.map(Json)
}

pub(super) async fn track(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    body: SentMany<TrackRequest>,
) -> Result<Json<Listing<TrackedFile>>, ApiError> {
    let request = body.read().await?;
    check_paths(&request.paths)?;
    if request.expires_at.is_none() && request.session.is_none() && request.job.is_none() {
        return Err(ApiError::invalid("nothing is told of these files: expected expires_at, session or job"));
    }
    ask(&agent, move |agent| agent.track(request, &peer)).await.map(Json)
}

pub(super) async fn touch(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment<SessionId>,
    _: NoQuery,
) -> Result<Json<SessionResource>, ApiError> {
    ask(&agent, move |agent| agent.session_touch(&id, &peer)).await.map(Json)
}

/// With `wait=true` answered when its files are gone, as far as they may go.
pub(super) async fn end(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    Segment(id): Segment<SessionId>,
    Wait(wait): Wait,
) -> Result<Json<SessionEnd>, ApiError> {
    ask(&agent, move |agent| {
        let mut end = agent.session_end(&id, &peer)?;
        if let Some(sweep) = end.sweep.take_if(|_| wait) {
            end.sweep = Some(agent.await_sweep(&sweep.id)?);
            end.session = agent.session(&id)?;
        }
        Ok(end)
    })
    .await
    .map(Json)
}

pub(super) async fn sessions(
    State(agent): State<Agent>,
    Paged(page): Paged,
) -> Result<Json<Listing<SessionResource>>, ApiError> {
    ask(&agent, move |agent| agent.sessions(&page)).await.map(Json)
}

pub(super) async fn session(
    State(agent): State<Agent>,
    Segment(id): Segment<SessionId>,
    _: NoQuery,
) -> Result<Json<SessionResource>, ApiError> {
    ask(&agent, move |agent| agent.session(&id)).await.map(Json)
}
