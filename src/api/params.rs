//! What a request carries in its query string.
//!
//! Strict on purpose: a parameter that is not known, given twice or out of
//! bounds is refused, so that a typing error never widens a request. One
//! struct a query says what may stand there, and its description in the
//! interface's document.

mod values;

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::openapi::{Part, Sketch};
use super::{ApiError, Page};
pub(super) use values::Bytes;

/// The query of a request; the fields of `T` are the parameters that may stand there.
pub(super) struct Query<T>(pub(super) T);

/// A query in which nothing may stand.
pub(super) struct NoQuery;

/// The part of a list that is asked for: `after` and `limit`, nothing else.
pub(super) struct Paged(pub(super) Page);

/// Whether the answer is to wait for the sweep: `wait`, nothing else.
pub(super) struct Wait(pub(super) bool);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        read(parts.uri.query()).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        read(parts.uri.query()).map(|Nothing {}| Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paged {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        read(parts.uri.query()).map(|Paging { after, limit }| Self(page(after, limit)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        read(parts.uri.query()).map(|Waiting { wait }| Self(wait))
    }
}

impl<T: JsonSchema> Part for Query<T> {
    fn describe(sketch: &mut Sketch) {
        sketch.query::<T>();
    }
}

impl Part for NoQuery {
    fn describe(_: &mut Sketch) {}
}

impl Part for Paged {
    fn describe(sketch: &mut Sketch) {
        sketch.query::<Paging>();
    }
}

impl Part for Wait {
    fn describe(sketch: &mut Sketch) {
        sketch.query::<Waiting>();
    }
}

/// Reads a query string in which only the fields of `T` may stand, each once.
fn read<T: DeserializeOwned>(query: Option<&str>) -> Result<T, ApiError> {
    let mut found = BTreeMap::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value)));
        let name = String::from_utf8(decode(name)?)
            .map_err(|_| ApiError::invalid("the name of a query parameter is not UTF-8"))?;
        let value = value.map(decode).transpose()?;
        if found.insert(name.clone(), value).is_some() {
            return Err(ApiError::invalid(format!("the query parameter {name:?} is given twice")));
        }
    }
    T::deserialize(values::Parameters::new(found)).map_err(|why| ApiError::invalid(why.to_string()))
}

/// Decodes one name or value of a query: `%XX` is a byte, `+` a space (WHATWG URL, 5.1).
fn decode(text: &str) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => {
                        return Err(ApiError::invalid(
                            "the query is not percent-encoded: after each '%' two hexadecimal digits must follow",
                        ));
                    }
                }
            }
            other => other,
        });
    }
    Ok(bytes)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Paging {
    /// The `next` of the page before; the beginning, if absent.
    #[serde(default)]
    after: Option<String>,
    /// The most items.
    #[serde(default)]
    limit: Limit,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Waiting {
    /// Whether to answer only when the sweep has ended.
    #[serde(default)]
    wait: bool,
}

/// Which part of a list; an empty `after` is the beginning.
pub(super) fn page(after: Option<String>, limit: Limit) -> Page {
    Page { after: after.filter(|key| !key.is_empty()), limit: limit.0 }
}

/// How many items a page may have.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct Limit(usize);

impl Default for Limit {
    fn default() -> Self {
        Self(Page::DEFAULT_LIMIT)
    }
}

impl TryFrom<u64> for Limit {
    type Error = String;

    fn try_from(limit: u64) -> Result<Self, String> {
        usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=Page::MAX_LIMIT).contains(limit))
            .map(Self)
            .ok_or_else(|| format!("expected 1 to {}", Page::MAX_LIMIT))
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "minimum": 1, "maximum": Page::MAX_LIMIT, "default": Page::DEFAULT_LIMIT,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, Policy, RunId, Timestamp};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct All {
        path: Option<Bytes>,
        #[serde(default)]
        wait: bool,
        job: Option<JobId>,
        run: Option<RunId>,
        policy: Option<Policy>,
        since: Option<Timestamp>,
    }

    #[test]
    fn every_parameter_is_read_in_its_own_form() {
        let all: All =
            read(Some("path=%2Ftmp%2F%FF+b&wait&job=j&run=r&policy=failed-jobs&since=2026-01-01T00:00:00Z"))
                .unwrap();
        assert_eq!(
            all,
            All {
                path: Some(Bytes(b"/tmp/\xff b".to_vec())),
                wait: true,
                job: Some(JobId::parse("j").unwrap()),
                run: Some(RunId::new("r")),
                policy: Some(Policy::FailedJobs),
                since: Timestamp::parse("2026-01-01T00:00:00Z"),
            }
        );
        assert_eq!(read::<All>(Some("since=7&wait=false")).unwrap().since, Some(Timestamp::from_unix(7, 0)));
    }

    #[test]
    fn what_is_refused_is_named_with_what_is_allowed() {
        for (query, told) in [
            ("b=1", "unknown query parameter \"b\"; allowed: path, wait, job, run, policy, since"),
            ("wait&wait", "the query parameter \"wait\" is given twice"),
            ("wait=%f", "not percent-encoded"),
            ("wait=%zz", "not percent-encoded"),
            ("%ff=1", "not UTF-8"),
            ("wait=", "failed to read query parameter \"wait\": \"\""),
            ("wait=maybe", "failed to read query parameter \"wait\": \"maybe\""),
            ("job=a/b", "failed to read query parameter \"job\": \"a/b\" is not a valid job id"),
            ("job=%ff", "failed to read query parameter \"job\": it is not UTF-8"),
            ("policy=all", "failed to read query parameter \"policy\": unknown variant `all`"),
            ("since=yesterday", "failed to read query parameter \"since\": \"yesterday\" is not a time"),
        ] {
            let refused = read::<All>(Some(query)).unwrap_err();
            assert_eq!(refused.status, 400, "{query}");
            assert!(refused.detail.contains(told), "{query}: {}", refused.detail);
        }
        assert!(read::<Nothing>(None).is_ok() && read::<Nothing>(Some("&&")).is_ok());
        assert!(read::<Nothing>(Some("a")).is_err_and(|why| why.detail.ends_with("allowed: none")));
    }

    #[test]
    fn a_page_has_from_1_to_1000_items() {
        let page =
            |query| read::<Paging>(Some(query)).map(|Paging { after, limit }| super::page(after, limit));
        assert_eq!(page("").unwrap(), Page::default());
        assert_eq!(page("after=").unwrap(), Page::default());
        assert_eq!(page("after=k&limit=1000").unwrap(), Page { after: Some("k".into()), limit: 1000 });
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit="] {
            let refused = page(query).unwrap_err();
            assert_eq!(refused.status, 400, "{query}");
            assert!(refused.detail.contains("\"limit\""), "{}", refused.detail);
        }
    }
}
