//! What happens, as it happens: open to whoever can open the socket.

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Agent;
use crate::api::params::Params;
use crate::api::{ApiError, PeerIdentity};

pub(super) async fn stream(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    Params::read(query.as_deref(), &[])?;
    let body = Body::new(agent.events(&peer)?.into_body());
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((kind, body).into_response())
}
