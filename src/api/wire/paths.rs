//! Paths in requests.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::{PathError, WirePath};

/// A path in a request: text, or an object with its encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PathText {
    /// UTF-8.
    Plain(String),
    /// Percent-encoded, as answers give it.
    Encoded(WirePath),
}

/// Other than in an answer, where a path stands among other fields, nothing
/// else may stand beside it in a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    path: String,
    #[serde(default)]
    path_encoding: Option<String>,
}

impl<'de> Deserialize<'de> for PathText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PathText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path: text, or {\"path\", \"path_encoding\": \"percent\"}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<PathText, E> {
                absolute(PathText::Plain(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<PathText, E> {
                absolute(PathText::Plain(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PathText, A::Error> {
                let Encoded { path, path_encoding } = Encoded::deserialize(MapAccessDeserializer::new(map))?;
                absolute(PathText::Encoded(WirePath { path, path_encoding }))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Whatever a path is given for: it means the same from everywhere.
fn absolute<E: Error>(path: PathText) -> Result<PathText, E> {
    let bytes = path.to_bytes().map_err(E::custom)?;
    if bytes.starts_with(b"/") {
        return Ok(path);
    }
    Err(E::custom(format!("{:?} is not an absolute path", String::from_utf8_lossy(&bytes))))
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
                        "path": { "type": "string", "pattern": "^(/|%2[Ff])" },
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
        for bad in [
            r#"{"path":"/a","recursive":true}"#,
            r#"{}"#,
            r#"["/a","percent"]"#,
            r#""a""#,
            r#"{"path":"a"}"#,
            r#"{"path":"/a","path_encoding":"base64"}"#,
            "1",
            "null",
        ] {
            assert!(serde_json::from_str::<PathText>(bad).is_err(), "{bad}");
        }
    }
}
