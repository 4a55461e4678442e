//! Bodies of requests: JSON of a bounded size, in a bounded time, without
//! anything in it that is not known.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::openapi::{Part, Sketch};
use super::under_way::{keep_place, work};
use super::{ApiError, Problem};

/// The largest body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The longest wait for a whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest body that names files, in bytes.
const MAX_LARGE_BODY: usize = 64 << 20;

/// The longest wait for such a body.
const LARGE_BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// So many of them are in memory at once, until what they ask for is done: nobody fills it with requests.
static LARGE_BODIES: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);

/// A body that is not read yet: who may not ask at all is told so first.
pub(super) struct Sent<T>(Body, PhantomData<fn() -> T>);

/// The same, of one that may name very many files.
pub(super) struct SentMany<T>(Body, PhantomData<fn() -> T>);

impl<T, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        Ok(Self(request.into_body(), PhantomData))
    }
}

impl<T, S: Send + Sync> FromRequest<S> for SentMany<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        Ok(Self(request.into_body(), PhantomData))
    }
}

impl<T: JsonSchema> Part for Sent<T> {
    fn describe(sketch: &mut Sketch) {
        sketch.body::<T>("64 KiB");
    }
}

impl<T: JsonSchema> Part for SentMany<T> {
    fn describe(sketch: &mut Sketch) {
        sketch.body::<T>("64 MiB");
    }
}

impl<T: DeserializeOwned> Sent<T> {
    /// Reads it as JSON; an empty one counts as `{}`. The media type is not
    /// looked at: no browser reaches a Unix socket, and `curl -d` names another.
    pub(super) async fn read(self) -> Result<T, ApiError> {
        let mut bytes = Vec::new();
        timed(BODY_TIMEOUT, more(&mut Limited::new(self.0, MAX_BODY), MAX_BODY, &mut bytes, MAX_BODY))
            .await?;
        parse(&bytes)
    }
}

impl<T: DeserializeOwned + Send + 'static> SentMany<T> {
    /// Reads it as JSON; one that is really large when there is room for it.
    pub(super) async fn read(self) -> Result<T, ApiError> {
        let (bytes, place) = timed(LARGE_BODY_TIMEOUT, async {
            let (mut body, mut bytes) = (Limited::new(self.0, MAX_LARGE_BODY), Vec::new());
            // The usual body needs no place: who sends large ones slowly keeps nobody else waiting.
            more(&mut body, MAX_LARGE_BODY, &mut bytes, MAX_BODY).await?;
            if bytes.len() <= MAX_BODY {
                return Ok((bytes, None));
            }
            let place = LARGE_BODIES.acquire().await.map_err(|why| ApiError::internal(&why))?;
            more(&mut body, MAX_LARGE_BODY, &mut bytes, MAX_LARGE_BODY).await?;
            Ok((bytes, Some(place)))
        })
        .await?;
        // Long enough to keep everybody else waiting on the one thread of the socket.
        let parsed = work(move || (parse(&bytes), place)).await;
        let (request, place) = parsed.map_err(|why| ApiError::internal(&why))?;
        // What was read of it is no smaller.
        place.into_iter().for_each(keep_place);
        request
    }
}

async fn timed<T>(limit: Duration, work: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let late = format!("the request body did not arrive within {} s", limit.as_secs());
        Err(ApiError::new(Problem::Timeout, late))
    })
}

/// Reads on until the end, or until there are more than `enough` bytes.
async fn more(
    body: &mut Limited<Body>,
    most: usize,
    bytes: &mut Vec<u8>,
    enough: usize,
) -> Result<(), ApiError> {
    while bytes.len() <= enough
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|why| {
            if why.is::<LengthLimitError>() {
                ApiError::new(Problem::TooLarge, format!("the request body is larger than {most} bytes"))
            } else {
                ApiError::invalid(format!("failed to read the request body: {why}"))
            }
        })?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes };
    // A list of values in the right order would be read as well.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::invalid("failed to read the request body: expected a JSON object"));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::HoldRequest;
    use crate::api::seats::Seats;
    use crate::api::under_way::UnderWay;

    #[tokio::test]
    async fn a_large_body_has_its_place_until_what_it_asks_for_is_done() {
        let seat = std::sync::Arc::new(Seats::default().take(1000).await.unwrap());
        let asking = std::sync::Arc::new(seat.ask());
        let text = serde_json::json!({ "paths": [format!("/{}", "x".repeat(2 * MAX_BODY))] }).to_string();
        let request = UnderWay::new(seat, asking).scope(async {
            let body = SentMany::<HoldRequest>(Body::from(text), PhantomData);
            assert_eq!(body.read().await.unwrap().paths.len(), 1);
            let while_read = LARGE_BODIES.available_permits();
            let at_work = work(|| LARGE_BODIES.available_permits()).await.unwrap();
            (while_read, at_work, LARGE_BODIES.available_permits())
        });
        assert_eq!(request.await, (1, 1, 2), "before, during and after the work");
    }
}
