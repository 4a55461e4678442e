//! Paths in requests.

use serde::{Deserialize, Serialize};

use crate::model::{PathError, WirePath};

/// A path in a request: text, or an object with its encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PathText {
    /// UTF-8.
    Plain(String),
    /// Percent-encoded, as answers give it.
    Encoded(WirePath),
}

impl PathText {
    /// From the bytes that the kernel knows.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Plain(text.to_owned()),
            Err(_) => Self::Encoded(WirePath::from_bytes(bytes)),
        }
    }

    /// The bytes that were meant.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PathError> {
        match self {
            Self::Plain(text) => Ok(text.clone().into_bytes()),
            Self::Encoded(path) => path.to_bytes(),
        }
    }
}
