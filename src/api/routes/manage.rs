//! Pause, roots and trust.

use axum::extract::State;
use axum::{Extension, Json};

use super::{Agent, ask};
use crate::api::body::Sent;
use crate::api::params::NoQuery;
use crate::api::segments::Segment;
use crate::api::{ApiError, Listing, PauseRequest, PauseState, PeerIdentity, RootResource, TrustState};
use crate::model::RootName;

pub(super) async fn pause(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    body: Sent<PauseRequest>,
) -> Result<Json<PauseState>, ApiError> {
    peer.require_admin("pause removals")?;
    let request = body.read().await?;
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
    Segment(name): Segment<RootName>,
    _: NoQuery,
) -> Result<Json<RootResource>, ApiError> {
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
