//! Pause, roots and trust.

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};

use super::{Agent, ask};
use crate::api::body::json;
use crate::api::params::{NoQuery, Segment};
use crate::api::{ApiError, Listing, PauseRequest, PauseState, PeerIdentity, RootResource, TrustState};
use crate::model::RootName;

pub(super) async fn pause(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    body: Body,
) -> Result<Json<PauseState>, ApiError> {
    peer.require_admin("pause removals")?;
    let request: PauseRequest = json(body).await?;
    ask(&agent, move |agent| agent.pause(request, &peer)).await.map(Json)
}

pub(super) async fn resume(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
) -> Result<Json<PauseState>, ApiError> {
    peer.require_admin("resume removals")?;
    ask(&agent, move |agent| agent.resume(&peer)).await.map(Json)
}

/// Roots are few and configured: always one page.
pub(super) async fn roots(
    State(agent): State<Agent>,
    _: NoQuery,
) -> Result<Json<Listing<RootResource>>, ApiError> {
    ask(&agent, |agent| agent.roots().map(Listing::all)).await.map(Json)
}

pub(super) async fn accept_root(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    segment: Segment,
    _: NoQuery,
) -> Result<Json<RootResource>, ApiError> {
    let name: RootName = segment.parse()?;
    peer.require_admin("accept a root")?;
    ask(&agent, move |agent| agent.accept_root(&name, &peer)).await.map(Json)
}

pub(super) async fn registry_trust(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
) -> Result<Json<TrustState>, ApiError> {
    peer.require_admin("trust the registry")?;
    ask(&agent, move |agent| agent.registry_trust(&peer)).await.map(Json)
}

pub(super) async fn clock_trust(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
) -> Result<Json<TrustState>, ApiError> {
    peer.require_admin("trust the clock")?;
    ask(&agent, move |agent| agent.clock_trust(&peer)).await.map(Json)
}
