//! What a request's body carries: JSON, bounded in size and time.
//!
//! Strict as the query is: a field that is not known or out of bounds is
//! refused and named. Promises that nobody fills the memory with requests.
//! Must not know: what the body asks for.

use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::{ApiError, Problem};

/// The largest request body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The longest wait for a whole request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest body that names files, in bytes.
const MAX_LARGE_BODY: usize = 64 << 20;

/// The longest wait for such a body.
const LARGE_BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// So many of them are in memory at once: nobody fills it with requests.
static LARGE_BODIES: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);

/// Reads a JSON body that may name very many files.
pub(super) async fn large_json<T: DeserializeOwned + Send + 'static>(body: Body) -> Result<T, ApiError> {
    let late = |_| ApiError::new(Problem::Timeout, "the request body did not arrive within 60 s");
    let _place = tokio::time::timeout(LARGE_BODY_TIMEOUT, LARGE_BODIES.acquire())
        .await
        .map_err(late)?
        .map_err(|why| ApiError::internal(&why))?;
    let bytes = collect(body, MAX_LARGE_BODY, LARGE_BODY_TIMEOUT).await?;
    // Long enough to keep everybody else waiting on the one thread of the socket.
    tokio::task::spawn_blocking(move || read(&bytes)).await.map_err(|why| ApiError::internal(&why))?
}

/// Reads a JSON body; an empty one counts as `{}`. The media type is not
/// looked at: no browser reaches a Unix socket, and `curl -d` names another.
pub(super) async fn json<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    read(&collect(body, MAX_BODY, BODY_TIMEOUT).await?)
}

async fn collect(body: Body, most: usize, limit: Duration) -> Result<axum::body::Bytes, ApiError> {
    let late = || format!("the request body did not arrive within {} s", limit.as_secs());
    let collected = tokio::time::timeout(limit, Limited::new(body, most).collect())
        .await
        .map_err(|_| ApiError::new(Problem::Timeout, late()))?
        .map_err(|why| {
            if why.is::<LengthLimitError>() {
                ApiError::new(Problem::TooLarge, format!("the request body is larger than {most} bytes"))
            } else {
                ApiError::invalid(format!("failed to read the request body: {why}"))
            }
        })?;
    Ok(collected.to_bytes())
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|why| {
        let place = why.path().to_string();
        let cause = why.into_inner();
        ApiError::invalid(if place == "." {
            format!("failed to read the request body: {cause}")
        } else {
            format!("failed to read field {place} of the request body: {cause}")
        })
    })?;
    reader.end().map_err(|why| ApiError::invalid(format!("failed to read the request body: {why}")))?;
    Ok(value)
}
