//! Pause, roots and trust.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::{Extension, Json};

use super::{Agent, ask};
use crate::api::params::{Params, Segment, json};
use crate::api::{ApiError, Listing, PauseRequest, PauseState, PeerIdentity, RootResource, TrustState};
use crate::model::RootName;

pub(super) async fn pause(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Json<PauseState>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    peer.require_admin("pause removals")?;
    let request: PauseRequest = json(body).await?;
    ask(&agent, move |agent| agent.pause(request, &peer)).await.map(Json)
}

pub(super) async fn resume(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    RawQuery(query): RawQuery,
) -> Result<Json<PauseState>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    peer.require_admin("resume removals")?;
    ask(&agent, move |agent| agent.resume(&peer)).await.map(Json)
}

/// Roots are few and configured: always one page.
pub(super) async fn roots(
    State(agent): State<Agent>,
    RawQuery(query): RawQuery,
) -> Result<Json<Listing<RootResource>>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    ask(&agent, |agent| agent.roots().map(Listing::all)).await.map(Json)
}

pub(super) async fn accept_root(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    segment: Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<RootResource>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    let name: RootName = segment.parse()?;
    peer.require_admin("accept a root")?;
    ask(&agent, move |agent| agent.accept_root(&name, &peer)).await.map(Json)
}

pub(super) async fn registry_trust(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    RawQuery(query): RawQuery,
) -> Result<Json<TrustState>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    peer.require_admin("trust the registry")?;
    ask(&agent, move |agent| agent.registry_trust(&peer)).await.map(Json)
}

pub(super) async fn clock_trust(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    RawQuery(query): RawQuery,
) -> Result<Json<TrustState>, ApiError> {
    Params::read(query.as_deref(), &[])?;
    peer.require_admin("trust the clock")?;
    ask(&agent, move |agent| agent.clock_trust(&peer)).await.map(Json)
}
