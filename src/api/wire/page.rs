//! Lists, page by page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which part of a list is asked for (`?after=KEY&limit=N`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The `next` of the page before; the beginning, if absent.
    pub after: Option<String>,
    /// The most items, from 1 to [`Page::MAX_LIMIT`].
    pub limit: usize,
}

impl Page {
    /// Items when none is asked for.
    pub const DEFAULT_LIMIT: usize = 100;
    /// The most items that may be asked for.
    pub const MAX_LIMIT: usize = 1000;
}

impl Default for Page {
    fn default() -> Self {
        Self { after: None, limit: Self::DEFAULT_LIMIT }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ListOf{T}")]
pub struct Listing<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// What to give as `after` for the next page; `null` at the end. Opaque.
    pub next: Option<String>,
}

impl<T> Listing<T> {
    /// A list that is one page.
    pub const fn all(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}
