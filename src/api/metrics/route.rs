//! `GET /metrics`, on the socket and on the plain listener.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::Format;
use crate::api::ApiError;
use crate::api::params::Params;
use crate::api::routes::{Agent, ask};

/// The figures, in the format that the scraper likes best.
pub(in crate::api) async fn metrics(
    State(agent): State<Agent>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Params::read(query.as_deref(), &[])?;
    let accepted: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted((!accepted.is_empty()).then(|| accepted.join(",")).as_deref());
    let text = format.of(ask(&agent, |agent| agent.metrics()).await?);
    let about = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::VARY, "accept"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((about, text).into_response())
}
