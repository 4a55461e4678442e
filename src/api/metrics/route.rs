//! `GET /metrics`, on the socket and on the plain listener.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use schemars::json_schema;

use super::Format;
use crate::api::ApiError;
use crate::api::openapi::{Answer, Part, Sketch};
use crate::api::params::NoQuery;
use crate::api::routes::{Agent, ask};

/// The format that the scraper likes best, by its `Accept` headers.
pub(in crate::api) struct Liked(Format);

/// Figures in a text format.
pub(in crate::api) struct Exposition {
    format: Format,
    text: String,
}

/// The figures, in the format that the scraper likes best.
pub(in crate::api) async fn metrics(
    State(agent): State<Agent>,
    _: NoQuery,
    Liked(format): Liked,
) -> Result<Exposition, ApiError> {
    let text = format.of(ask(&agent, |agent| agent.metrics()).await?);
    Ok(Exposition { format, text })
}

impl<S: Send + Sync> FromRequestParts<S> for Liked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let accepted: Vec<&str> =
            parts.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        Ok(Self(Format::accepted((!accepted.is_empty()).then(|| accepted.join(",")).as_deref())))
    }
}

impl Part for Liked {
    fn describe(_: &mut Sketch) {}
}

impl IntoResponse for Exposition {
    fn into_response(self) -> Response {
        let about = [
            (header::CONTENT_TYPE, self.format.content_type()),
            (header::VARY, "accept"),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (about, self.text).into_response()
    }
}

impl Answer for Exposition {
    fn describe(sketch: &mut Sketch) {
        for format in [Format::OpenMetrics, Format::Prometheus] {
            let kind = format.content_type().split(';').next().unwrap_or_default();
            sketch.answer_as(200, "figures", kind, json_schema!({ "type": "string" }));
        }
    }
}
