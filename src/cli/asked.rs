//! What somebody asked for, in words: the same for `audit` and `history --requests`.
//!
//! It knows no kind of request: what an agent of another version recorded is
//! shown too, field by field, and nothing of it is left out but what is empty.

use serde_json::{Map, Value};

use crate::model::{TimeSpan, Timestamp, escape_control};

/// `job 42, state active, ttl 10m`; control characters escaped.
pub(super) fn in_words(request: &Value) -> String {
    match request {
        Value::Object(fields) => {
            let said: Vec<_> = fields.iter().filter_map(|(name, value)| field(name, value, fields)).collect();
            said.join(", ")
        }
        other => plain("", other),
    }
}

/// The same of what the audit log has as text; what is no request stays as it is.
pub(super) fn text_in_words(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(request @ Value::Object(_)) => in_words(&request),
        _ => escape_control(text),
    }
}

fn field(name: &str, value: &Value, all: &Map<String, Value>) -> Option<String> {
    let is_empty = match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    // The action has a column of its own, and a number of things that are all named says nothing.
    let is_said = match name {
        "action" | "path_encoding" => true,
        "refused" => value.as_u64() == Some(0),
        "count" => {
            all.values().any(|other| other.as_array().map(Vec::len) == value.as_u64().map(|n| n as usize))
        }
        _ => false,
    };
    if is_empty || is_said {
        return None;
    }
    let label = name.replace('_', " ");
    match value {
        Value::Bool(true) => Some(label),
        Value::Bool(false) => None,
        Value::Object(_) if !is_path(value) => Some(in_words(value)).filter(|text| !text.is_empty()),
        value => Some(format!("{label} {}", plain(name, value))),
    }
}

fn is_path(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|fields| fields.keys().all(|name| name == "path" || name == "path_encoding"))
}

/// One value; of what is named `ttl` a number is seconds.
fn plain(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => match Timestamp::parse(text) {
            Some(time) if matches!(name, "until" | "expires_at") => format!("{time:#}"),
            _ => escape_control(text),
        },
        Value::Number(number) => match number.as_u64() {
            Some(seconds) if matches!(name, "ttl" | "for" | "older_than") => {
                TimeSpan::from_secs(seconds).to_string()
            }
            _ => number.to_string(),
        },
        Value::Array(items) => {
            let each: Vec<_> = items.iter().map(|item| plain(name, item)).collect();
            each.join(" ")
        }
        Value::Object(fields) => match fields.get("path") {
            Some(path) if is_path(value) => plain("path", path),
            _ => in_words(value),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_told_field_by_field_without_what_is_empty() {
        let job = json!({"action": "job_put", "change": {"state": "active", "ttl": 600}, "job": "42"});
        assert_eq!(in_words(&job), "state active, ttl 10m, job 42");
        let hold = json!({"action": "hold", "count": 1, "holds": [["01a1", {"path": "/s/a b"}]],
            "reason": "being\nlooked at", "until": "2026-11-24T08:31:53.063539995Z"});
        assert_eq!(
            in_words(&hold),
            "holds 01a1 /s/a b, reason being\\nlooked at, until 2026-11-24T08:31:54Z"
        );
        let many = json!({"action": "trash", "count": 20_000, "paths": [{"path": "/s/a%FF", "path_encoding": "percent"}],
            "session": null, "dry_run": false, "emergencies": true});
        assert_eq!(in_words(&many), "count 20000, emergencies, paths /s/a%FF");
    }

    #[test]
    fn a_reason_that_is_no_request_stays_as_it_is() {
        assert_eq!(text_in_words("orphan: names no job; age 25h"), "orphan: names no job; age 25h");
        assert_eq!(text_in_words(r#"{"action":"pause","for":7200}"#), "for 2h");
    }
}
