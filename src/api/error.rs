//! Failures as the socket tells them: RFC 9457 `application/problem+json`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kinds of failure; each has one status, one `type` and one title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The request cannot be understood or contradicts itself.
    Invalid,
    /// The peer may not do this.
    NotPermitted,
    /// There is no such thing.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body did not arrive in time.
    Timeout,
    /// The present state forbids it: a lock is held, a job is active, a request contradicts a running one.
    Conflict,
    /// The body is too large.
    TooLarge,
    /// Too many requests of this uid.
    RateLimited,
    /// Something failed that the client cannot mend.
    Internal,
    /// The agent is starting or stopping.
    Unavailable,
}

impl Problem {
    const fn facts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Invalid => (400, "urn:guardian:problem:invalid", "invalid request"),
            Self::NotPermitted => (403, "urn:guardian:problem:not-permitted", "not permitted"),
            Self::NotFound => (404, "urn:guardian:problem:not-found", "not found"),
            Self::MethodNotAllowed => (405, "urn:guardian:problem:method-not-allowed", "method not allowed"),
            Self::Timeout => (408, "urn:guardian:problem:timeout", "request timed out"),
            Self::Conflict => (409, "urn:guardian:problem:conflict", "conflict"),
            Self::TooLarge => (413, "urn:guardian:problem:too-large", "request too large"),
            Self::RateLimited => (429, "urn:guardian:problem:rate-limited", "rate limit reached"),
            Self::Internal => (500, "urn:guardian:problem:internal", "internal error"),
            Self::Unavailable => (503, "urn:guardian:problem:unavailable", "unavailable"),
        }
    }

    /// The HTTP status.
    pub(super) const fn status(self) -> u16 {
        self.facts().0
    }

    /// The kind in words.
    pub(super) const fn title(self) -> &'static str {
        self.facts().2
    }
}

/// A request that was not served, as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[schemars(rename = "Problem")]
#[error("{title}: {detail}")]
pub struct ApiError {
    /// Names the kind of problem (a URN).
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words; the same for every occurrence.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened here, cause and path included.
    pub detail: String,
    /// What the user can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Seconds until it may be tried again; also the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

impl ApiError {
    /// A problem of a kind, in words.
    pub fn new(problem: Problem, detail: impl Into<String>) -> Self {
        let (status, kind, title) = problem.facts();
        Self {
            kind: kind.to_owned(),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            help: None,
            retry_after_seconds: None,
        }
    }

    /// 400: the request cannot be understood, or names a root or plan in its body that does not exist.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Problem::Invalid, detail)
    }

    /// 403: the peer may not do this.
    pub fn not_permitted(detail: impl Into<String>) -> Self {
        Self::new(Problem::NotPermitted, detail)
    }

    /// 404: what the path names does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Problem::NotFound, detail)
    }

    /// 409: the present state forbids it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Problem::Conflict, detail)
    }

    /// 429: over the limit, may be tried again after `seconds`.
    pub fn rate_limited(detail: impl Into<String>, seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds), ..Self::new(Problem::RateLimited, detail) }
    }

    /// 500: something failed that the client cannot mend; `error` with its causes becomes the detail.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        Self::new(Problem::Internal, crate::model::with_causes(error))
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Why, beside the response that says it, for whoever logs refusals.
#[derive(Debug, Clone)]
pub(super) struct Refused(pub(super) String);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Refused(self.detail));
        response
    }
}
