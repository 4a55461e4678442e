//! The variable parts of a route's path, read as the names that they are.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StringDeserializer};

use super::ApiError;
use super::openapi::{Part, Sketch};

/// The one variable part of a route's path.
pub(super) struct Segment<T>(pub(super) T);

/// The two variable parts of a route's path.
pub(super) struct Segments<A, B>(pub(super) A, pub(super) B);

fn read<T: DeserializeOwned>(text: String) -> Result<T, ApiError> {
    T::deserialize(StringDeserializer::<Error>::new(text)).map_err(|why| ApiError::invalid(why.to_string()))
}

async fn parts<T, S>(parts: &mut Parts, state: &S) -> Result<T, ApiError>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    let Path(text) = Path::<T>::from_request_parts(parts, state)
        .await
        .map_err(|why| ApiError::invalid(why.body_text()))?;
    Ok(text)
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Segment<T> {
    type Rejection = ApiError;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, ApiError> {
        read(parts::<String, S>(head, state).await?).map(Self)
    }
}

impl<A: DeserializeOwned, B: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Segments<A, B> {
    type Rejection = ApiError;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (first, second) = parts::<(String, String), S>(head, state).await?;
        Ok(Self(read(first)?, read(second)?))
    }
}

impl<T: JsonSchema> Part for Segment<T> {
    fn describe(sketch: &mut Sketch) {
        sketch.segment::<T>();
    }
}

impl<A: JsonSchema, B: JsonSchema> Part for Segments<A, B> {
    fn describe(sketch: &mut Sketch) {
        sketch.segment::<A>();
        sketch.segment::<B>();
    }
}
