//! Paths in requests.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::model::{PathError, WirePath};

/// A path in a request: text, or an object with its encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, from = "Given")]
pub enum PathText {
    /// UTF-8.
    Plain(String),
    /// Percent-encoded, as answers give it.
    Encoded(WirePath),
}

/// As it is read: other than in an answer, where a path stands among other
/// fields, nothing else may stand beside it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a path: text, or {\"path\", \"path_encoding\": \"percent\"}")]
enum Given {
    Plain(String),
    Encoded(Encoded),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    path: String,
    #[serde(default)]
    path_encoding: Option<String>,
}

impl From<Given> for PathText {
    fn from(given: Given) -> Self {
        match given {
            Given::Plain(text) => Self::Plain(text),
            Given::Encoded(Encoded { path, path_encoding }) => {
                Self::Encoded(WirePath { path, path_encoding })
            }
        }
    }
}

impl JsonSchema for PathText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PathText".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "an absolute path beneath a root; percent-encoded where its bytes are not UTF-8",
            "anyOf": [
                { "type": "string", "pattern": "^/" },
                {
                    "type": "object",
                    "properties": {
                        "path": { "type": "string" },
                        "path_encoding": { "enum": ["percent", null] },
                    },
                    "required": ["path"],
                    "additionalProperties": false,
                },
            ],
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stands_beside_a_path_in_a_request() {
        for good in [r#""/a""#, r#"{"path":"/a"}"#, r#"{"path":"/%FF","path_encoding":"percent"}"#] {
            assert!(serde_json::from_str::<PathText>(good).is_ok(), "{good}");
        }
        for bad in [r#"{"path":"/a","recursive":true}"#, r#"{}"#, "1", "null"] {
            assert!(serde_json::from_str::<PathText>(bad).is_err(), "{bad}");
        }
    }
}
