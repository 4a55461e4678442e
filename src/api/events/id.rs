//! Names of events.

use std::fmt;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde_json::json;

use crate::api::ApiError;
use crate::api::openapi::{Part, Sketch};
use crate::model::Timestamp;

/// One event: which agent told it, by the moment of its start, and the how
/// manyth it was. So a reader that comes back after a restart is not taken for
/// one that heard what it never did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Milliseconds since the Unix epoch.
    pub(super) start: i64,
    /// From 1 on.
    pub(super) number: u64,
}

impl EventId {
    pub(super) const fn first_of(start: Timestamp) -> Self {
        Self { start: start.as_nanos() / 1_000_000, number: 1 }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.number)
    }
}

impl FromStr for EventId {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let parts = || {
            let (start, number) = text.split_once('-')?;
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            Some(Self { start: start.parse().ok()?, number: number.parse().ok()? })
                .filter(|_| plain(start) && plain(number))
        };
        parts().ok_or_else(|| {
            ApiError::invalid(format!(
                "Last-Event-ID is {text:?}: expected the id of an event, such as 1763707470123-17"
            ))
        })
    }
}

/// The header `Last-Event-ID`: the last event that a reader has heard.
pub(in crate::api) struct LastEvent(pub(in crate::api) Option<EventId>);

const HEADER: &str = "Last-Event-ID";

impl<S: Send + Sync> FromRequestParts<S> for LastEvent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(HEADER).filter(|value| !value.is_empty()) else {
            return Ok(Self(None));
        };
        String::from_utf8_lossy(value.as_bytes()).parse().map(Some).map(Self)
    }
}

impl Part for LastEvent {
    fn describe(sketch: &mut Sketch) {
        let schema = json!({ "type": "string", "pattern": "^([0-9]{1,18}-[0-9]{1,18})?$" });
        sketch.header(HEADER, "the id of the last event that was heard: those after it come first", schema);
    }
}
