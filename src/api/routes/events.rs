//! What happens, as it happens: open to whoever can open the socket.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Agent;
use crate::api::params::NoQuery;
use crate::api::{ApiError, PeerIdentity};

pub(super) async fn stream(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let body = Body::new(agent.events(&peer)?.into_body());
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((kind, body).into_response())
}
