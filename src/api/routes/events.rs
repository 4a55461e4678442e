//! What happens, as it happens: open to whoever can open the socket.

use axum::Extension;
use axum::extract::State;

use super::Agent;
use crate::api::answers::Stream;
use crate::api::events::LastEvent;
use crate::api::params::NoQuery;
use crate::api::{ApiError, PeerIdentity};

/// From now on, or behind the event that the header `Last-Event-ID` names.
pub(super) async fn stream(
    State(agent): State<Agent>,
    Extension(peer): Extension<PeerIdentity>,
    _: NoQuery,
    LastEvent(last): LastEvent,
) -> Result<Stream, ApiError> {
    Ok(Stream(agent.events(&peer, last.as_ref())?.into_body()))
}
