//! What a request's target carries: query parameters, and names in the path.
//!
//! Strict on purpose: a parameter that is not known, given twice or out of
//! bounds is refused, so that a typing error never widens a request. Must not
//! know: which route asks.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::{ApiError, Page};

/// The parameters of a query string, as bytes: a path need not be UTF-8.
#[derive(Debug)]
pub(super) struct Params(BTreeMap<String, Vec<u8>>);

impl Params {
    /// Reads a query string in which only `allowed` names may stand, each once.
    pub(super) fn read(query: Option<&str>, allowed: &[&str]) -> Result<Self, ApiError> {
        let mut found = BTreeMap::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = String::from_utf8(decode(name)?)
                .map_err(|_| ApiError::invalid("the name of a query parameter is not UTF-8"))?;
            if !allowed.contains(&name.as_str()) {
                let hint = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
                return Err(ApiError::invalid(format!("unknown query parameter {name:?}; allowed: {hint}")));
            }
            let value = decode(value)?;
            if found.insert(name.clone(), value).is_some() {
                return Err(ApiError::invalid(format!("the query parameter {name:?} is given twice")));
            }
        }
        Ok(Self(found))
    }

    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        self.bytes(name)
            .map(|bytes| {
                std::str::from_utf8(bytes)
                    .map_err(|_| ApiError::invalid(format!("the query parameter {name:?} is not UTF-8")))
            })
            .transpose()
    }

    pub(super) fn parsed<T>(&self, name: &str) -> Result<Option<T>, ApiError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.text(name)?
            .map(|text| {
                text.parse().map_err(|why| {
                    ApiError::invalid(format!("failed to read query parameter {name:?}: {why}"))
                })
            })
            .transpose()
    }

    /// `name=true`, `name=false`, or `name` alone.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name)? {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => Err(ApiError::invalid(format!(
                "the query parameter {name:?} is {other:?}: expected true or false"
            ))),
        }
    }

    /// `after` and `limit`.
    pub(super) fn page(&self) -> Result<Page, ApiError> {
        let after = self.text("after")?.filter(|key| !key.is_empty()).map(str::to_owned);
        let limit = match self.text("limit")? {
            None => Page::DEFAULT_LIMIT,
            Some(text) => {
                text.parse().ok().filter(|limit| (1..=Page::MAX_LIMIT).contains(limit)).ok_or_else(|| {
                    ApiError::invalid(format!("limit is {text:?}: expected 1 to {}", Page::MAX_LIMIT))
                })?
            }
        };
        Ok(Page { after, limit })
    }
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

/// A query in which nothing may stand.
pub(super) struct NoQuery;

/// The part of a list that is asked for: `after` and `limit`, nothing else.
pub(super) struct Paged(pub(super) Page);

/// Whether the answer is to wait for the sweep: `wait`, nothing else.
pub(super) struct Wait(pub(super) bool);

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Params::read(parts.uri.query(), &[]).map(|_| Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paged {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Params::read(parts.uri.query(), &["after", "limit"])?.page().map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Params::read(parts.uri.query(), &["wait"])?.flag("wait").map(Self)
    }
}

/// The one variable part of a route's path.
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|why| ApiError::invalid(why.body_text()))?;
        Ok(Self(text))
    }
}

impl Segment {
    /// As a name with rules of its own.
    pub(super) fn parse<T>(&self) -> Result<T, ApiError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.0.parse().map_err(|why: T::Err| ApiError::invalid(why.to_string()))
    }
}

/// The two variable parts of a route's path.
pub(super) struct TwoSegments(Segment, Segment);

impl<S: Send + Sync> FromRequestParts<S> for TwoSegments {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((first, second)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|why| ApiError::invalid(why.body_text()))?;
        Ok(Self(Segment(first), Segment(second)))
    }
}

impl TwoSegments {
    /// Both as names with rules of their own.
    pub(super) fn parse<A, B>(&self) -> Result<(A, B), ApiError>
    where
        A: FromStr,
        A::Err: std::fmt::Display,
        B: FromStr,
        B::Err: std::fmt::Display,
    {
        Ok((self.0.parse()?, self.1.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_a_query_are_bytes() {
        let params = Params::read(Some("path=%2Ftmp%2F%FF+b"), &["path"]).unwrap();
        assert_eq!(params.bytes("path").unwrap(), b"/tmp/\xff b");
    }

    #[test]
    fn unknown_doubled_and_broken_parameters_are_refused() {
        for query in ["b=1", "a=1&a=2", "a=%f", "a=%zz", "%ff=1"] {
            assert_eq!(Params::read(Some(query), &["a"]).unwrap_err().status, 400, "{query}");
        }
        assert!(Params::read(None, &[]).is_ok());
        assert!(Params::read(Some("&&"), &[]).is_ok());
    }

    #[test]
    fn a_page_has_from_1_to_1000_items() {
        let page = |query| Params::read(Some(query), &["after", "limit"]).unwrap().page();
        assert_eq!(page("").unwrap(), Page::default());
        assert_eq!(page("after=k&limit=1000").unwrap(), Page { after: Some("k".into()), limit: 1000 });
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=x"] {
            assert_eq!(page(query).unwrap_err().status, 400, "{query}");
        }
    }
}
