//! The interface's document: OpenAPI 3.1, made of the routes as they serve.
//!
//! Promises: every route is in it, none else, with the types that its handler
//! takes and answers. Must not know: what any route does.

mod sketch;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::Problem;
pub(super) use sketch::{Answer, Described, Part, Sketch};

/// What one route says of itself beside its handler's signature.
pub(super) struct Operation {
    /// How it is asked for.
    pub(super) method: Method,
    /// Where, with `{name}` for each variable part.
    pub(super) path: &'static str,
    /// What a program may call it.
    pub(super) id: &'static str,
    /// What it does, for people.
    pub(super) summary: &'static str,
    /// How it may fail, beside the ways that every route of its kind may.
    pub(super) may: &'static [Problem],
    /// Tells what its handler takes and answers.
    pub(super) describe: fn(&mut Sketch),
}

/// Any request can contradict itself, meet what nobody foresaw, or come while
/// the agent starts or stops.
const ALWAYS: [Problem; 3] = [Problem::Invalid, Problem::Internal, Problem::Unavailable];

const DESCRIPTION: &str = "HTTP over guardian's Unix socket. Reading is for whoever can open the socket; any peer may \
    speak for jobs, sessions and files of its own; everything else that changes something needs an administrator, \
    by the peer's credentials as the kernel vouches for them. Unknown fields and query parameters are refused. \
    A path that is not UTF-8 is percent-encoded, with `path_encoding` beside it.";

/// The document of all operations.
pub(super) fn document<'a>(operations: impl Iterator<Item = &'a Operation>) -> Value {
    let mut sketch = Sketch::new();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        ALWAYS.iter().chain(operation.may).for_each(|problem| sketch.problem(*problem));
        (operation.describe)(&mut sketch);
        let mut described = sketch.take(&variable_parts(operation.path));
        described.insert("operationId".to_owned(), Value::from(operation.id));
        described.insert("summary".to_owned(), Value::from(operation.summary));
        described.insert("tags".to_owned(), json!([subject(operation.path)]));
        paths.entry(operation.path).or_insert_with(|| json!({}))
            [operation.method.as_str().to_ascii_lowercase()] = Value::Object(described);
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "guardian",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://guardian", "description": "the Unix socket, e.g. /run/guardian/guardian.sock" }],
        "paths": paths,
        "components": { "schemas": sketch.schemas() },
    });
    for_readers(&mut document);
    document
}

fn variable_parts(path: &str) -> Vec<&str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
}

/// The first word of a path behind the version.
fn subject(path: &str) -> &str {
    path.trim_start_matches("/v1").split('/').find(|part| !part.is_empty()).unwrap_or(path)
}

/// Descriptions come from the source's comments: links within it lead nowhere here.
fn for_readers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => {
                        *text = text
                            .replace("[`", "`")
                            .replace("`]", "`")
                            .replace("super::", "")
                            .replace('\n', " ");
                    }
                    other => for_readers(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(for_readers),
        _ => {}
    }
}
