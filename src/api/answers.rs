//! Answers with another status than 200, or that are not JSON.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::events::EventBody;
use super::openapi::{Answer, Sketch};
use super::{ApiError, Event, Health, Listing, PlanResource, Problem, SweepResource};
use crate::model::Report;

/// 202: it is on record, and goes on.
pub(super) struct Accepted<T>(pub(super) T);

/// 202, or 200 where it has ended.
pub(super) struct Sooner<T> {
    pub(super) ended: bool,
    pub(super) body: T,
}

/// 200, or 503 where that is to tell that it is critical.
pub(super) struct Healthy {
    pub(super) refuse: bool,
    pub(super) health: Health,
}

/// 201: a plan, and where it is kept.
pub(super) struct Planned(pub(super) PlanResource);

/// A sweep: 202 where it goes on, 200 with its reports where it has ended.
pub(super) struct Swept {
    location: HeaderValue,
    state: State,
}

enum State {
    Begun(Box<SweepResource>),
    Ended(Value),
}

/// Server-sent events.
pub(super) struct Stream(pub(super) EventBody);

/// JSON that is always the same.
pub(super) struct Document(pub(super) Bytes);

impl Swept {
    pub(super) fn begun(sweep: SweepResource) -> Result<Self, ApiError> {
        Ok(Self { location: location(&sweep)?, state: State::Begun(Box::new(sweep)) })
    }

    /// `reports` as [`super::waited_body`] makes it.
    pub(super) fn ended(sweep: &SweepResource, reports: Value) -> Result<Self, ApiError> {
        Ok(Self { location: location(sweep)?, state: State::Ended(reports) })
    }
}

fn location(sweep: &SweepResource) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(format!("/v1/sweeps/{}", sweep.id))
        .map_err(|_| ApiError::new(Problem::Internal, "the sweep's id cannot stand in a header"))
}

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self.0)).into_response()
    }
}

impl<T: Serialize> IntoResponse for Sooner<T> {
    fn into_response(self) -> Response {
        let status = if self.ended { StatusCode::OK } else { StatusCode::ACCEPTED };
        (status, Json(self.body)).into_response()
    }
}

impl IntoResponse for Healthy {
    fn into_response(self) -> Response {
        let status = if self.refuse { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        (status, Json(self.health)).into_response()
    }
}

impl IntoResponse for Planned {
    fn into_response(self) -> Response {
        let id = self.0.id.as_ref();
        let location = id.and_then(|id| HeaderValue::try_from(format!("/v1/plans/{id}")).ok());
        let location = location.map(|location| [(header::LOCATION, location)]);
        (StatusCode::CREATED, location, Json(self.0)).into_response()
    }
}

impl IntoResponse for Swept {
    fn into_response(self) -> Response {
        let location = [(header::LOCATION, self.location)];
        match self.state {
            State::Begun(sweep) => (StatusCode::ACCEPTED, location, Json(sweep)).into_response(),
            State::Ended(reports) => (location, Json(reports)).into_response(),
        }
    }
}

impl IntoResponse for Stream {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
        (kind, Body::new(self.0)).into_response()
    }
}

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

impl<T: JsonSchema> Answer for Accepted<T> {
    fn describe(sketch: &mut Sketch) {
        sketch.answer::<T>(202, "on record");
    }
}

impl<T: JsonSchema> Answer for Sooner<T> {
    fn describe(sketch: &mut Sketch) {
        sketch.answer::<T>(202, "on record; the sweep goes on");
        sketch.answer::<T>(200, "with `wait=true`: the sweep has ended");
    }
}

impl Answer for Healthy {
    fn describe(sketch: &mut Sketch) {
        sketch.answer::<Health>(200, "how the roots are");
        sketch.answer::<Health>(503, "with `strict=true`: critical");
    }
}

impl Answer for Planned {
    fn describe(sketch: &mut Sketch) {
        sketch.answer::<PlanResource>(201, "the plan");
        sketch.location(201, "where the plan is kept");
    }
}

impl Answer for Swept {
    fn describe(sketch: &mut Sketch) {
        sketch.answer::<SweepResource>(202, "queued, or joined to an equal one");
        sketch.location(202, "where the sweep can be asked for");
        let forms = json_schema!({
            "description": "the report, with the `plan` that a dry run left beside; a list where there are more roots than one, or none",
            "anyOf": [sketch.mention::<Report>(), sketch.mention::<Listing<Report>>()],
        });
        sketch.answer_as(200, "with `wait=true`: what it did", "application/json", forms);
        sketch.location(200, "where the sweep can be asked for");
    }
}

impl Answer for Stream {
    fn describe(sketch: &mut Sketch) {
        let event = sketch.mention::<Event>();
        let text = json_schema!({
            "type": "string",
            "description": "server-sent events: each with `event`, `data` in one line of JSON, and mostly `id`",
            "contentMediaType": "application/json",
            "contentSchema": event,
        });
        sketch.answer_as(200, "events as they happen", "text/event-stream", text);
    }
}

impl Answer for Document {
    fn describe(sketch: &mut Sketch) {
        let schema = json_schema!({ "type": "object", "required": ["openapi", "info", "paths"] });
        sketch.answer_as(200, "this document", "application/json", schema);
    }
}
