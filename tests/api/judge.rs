//! Judges requests and answers by the interface's own document.

use std::path::Path;

use serde_json::{Value, json};

use super::wire::{Answer, call};

/// The document of a running agent.
pub(crate) struct Judge {
    pub(crate) document: Value,
}

/// One method of one path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
}

impl Judge {
    pub(crate) fn of(socket: &Path) -> Self {
        let answer = call(socket, "GET", "/v1/openapi.json", b"");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        Self { document: answer.json() }
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        let paths = self.document["paths"].as_object().unwrap();
        let of = |(path, methods): (&String, &Value)| {
            let methods = methods.as_object().unwrap().keys().map(|method| method.to_uppercase());
            methods.map(|method| Operation { method, path: path.clone() }).collect::<Vec<_>>()
        };
        paths.iter().flat_map(of).collect()
    }

    pub(crate) fn described(&self, operation: &Operation) -> &Value {
        &self.document["paths"][&operation.path][operation.method.to_lowercase()]
    }

    /// The operation that a request asks for.
    pub(crate) fn find(&self, method: &str, target: &str) -> Option<Operation> {
        let parts: Vec<&str> = target.split('?').next().unwrap().split('/').collect();
        let fits = |template: &str| {
            let template: Vec<&str> = template.split('/').collect();
            let same = |(part, word): (&&str, &&str)| part.starts_with('{') || part == word;
            (template.len() == parts.len() && template.iter().zip(&parts).all(same))
                .then(|| template.iter().filter(|part| part.starts_with('{')).count())
        };
        let all = self.operations().into_iter().filter(|operation| operation.method == method);
        // Plain words before variable parts, as the router does.
        all.filter_map(|one| Some((fits(&one.path)?, one))).min().map(|(_, one)| one)
    }

    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let mut whole = schema.clone();
        whole["components"] = self.document["components"].clone();
        let options = jsonschema::options().should_validate_formats(true);
        let validator = options.build(&whole).map_err(|why| format!("not a schema: {why}"))?;
        let wrong: Vec<String> =
            validator.iter_errors(value).map(|why| format!("{}: {why}", why.instance_path())).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// Whether a body may be sent.
    pub(crate) fn takes(&self, operation: &Operation, body: &[u8]) -> Result<(), String> {
        let described = &self.described(operation)["requestBody"];
        if described.is_null() {
            return if body.is_empty() { Ok(()) } else { Err("no body is described".to_owned()) };
        }
        if body.is_empty() {
            return if described["required"] == json!(true) {
                Err("a body is needed".to_owned())
            } else {
                Ok(())
            };
        }
        let value: Value = serde_json::from_slice(body).map_err(|why| why.to_string())?;
        self.fits(&described["content"]["application/json"]["schema"], &value)
    }

    /// What is wrong with an answer, if anything is.
    pub(crate) fn answer(&self, operation: &Operation, answer: &Answer) -> Result<(), String> {
        let described = &self.described(operation)["responses"][answer.status.to_string()];
        if described.is_null() {
            return Err(format!("status {} is not described", answer.status));
        }
        for (name, header) in described["headers"].as_object().into_iter().flatten() {
            if header["required"] == json!(true) && answer.header(&name.to_lowercase()).is_none() {
                return Err(format!("the header {name} is missing"));
            }
        }
        let kind = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        let schema = &described["content"][kind]["schema"];
        if schema.is_null() {
            return Err(format!("{kind:?} is not described for status {}", answer.status));
        }
        if !kind.ends_with("json") {
            return Ok(());
        }
        let value: Value = serde_json::from_slice(&answer.body).map_err(|why| why.to_string())?;
        if answer.status >= 400
            && kind == "application/problem+json"
            && value["status"] != json!(answer.status)
        {
            return Err("the problem names another status".to_owned());
        }
        self.fits(schema, &value)
    }
}

#[test]
fn the_judge_sees_what_is_wrong() {
    let document = json!({
        "components": { "schemas": { "A": { "type": "object", "properties": { "at": { "type": "string", "format": "date-time" } },
            "required": ["at"], "additionalProperties": false } } },
        "paths": { "/a/{id}": { "post": {
            "requestBody": { "content": { "application/json": { "schema": { "type": "integer", "maximum": 3 } } } },
            "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/A" } } } } },
        } }, "/a/b": { "post": { "responses": {} } } },
    });
    let judge = Judge { document };
    let operation = judge.find("POST", "/a/x?y=1").unwrap();
    assert_eq!(operation.path, "/a/{id}");
    assert_eq!(judge.find("POST", "/a/b").unwrap().path, "/a/b");
    assert_eq!(judge.find("GET", "/a/x"), None);
    assert!(judge.takes(&operation, b"3").is_ok() && judge.takes(&operation, b"4").is_err());
    let answer = |status, body: &str| Answer {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into(),
    };
    assert_eq!(judge.answer(&operation, &answer(200, r#"{"at":"2026-01-01T00:00:00Z"}"#)), Ok(()));
    for (status, body) in [
        (201, r#"{"at":"2026-01-01T00:00:00Z"}"#),
        (200, r#"{"at":"yesterday"}"#),
        (200, "{}"),
        (200, r#"{"at":"2026-01-01T00:00:00Z","more":1}"#),
        (200, "{"),
    ] {
        assert!(judge.answer(&operation, &answer(status, body)).is_err(), "{status} {body}");
    }
}
