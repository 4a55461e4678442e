//! What is known of one operation, put together from its handler's signature.
//!
//! Whatever a handler takes says what it takes, and whatever it answers says
//! what that looks like: so the document cannot speak of other types than
//! those that serve.

use std::collections::BTreeMap;
use std::future::Future;

use axum::extract::State;
use axum::{Extension, Json};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api::{ApiError, Problem};

/// What a handler takes.
pub(in crate::api) trait Part {
    fn describe(sketch: &mut Sketch);
}

/// What a handler answers when all is well.
pub(in crate::api) trait Answer {
    fn describe(sketch: &mut Sketch);
}

/// A handler; `D` is what it takes and answers.
pub(in crate::api) trait Described<D> {
    fn describe(sketch: &mut Sketch);
}

macro_rules! described {
    ($($part:ident)*) => {
        impl<F, Fut, A, $($part),*> Described<(A, $($part),*)> for F
        where
            F: Fn($($part),*) -> Fut,
            Fut: Future<Output = Result<A, ApiError>>,
            A: Answer,
            $($part: Part),*
        {
            fn describe(sketch: &mut Sketch) {
                $($part::describe(sketch);)*
                A::describe(sketch);
            }
        }
    };
}

described!();
described!(P1);
described!(P1 P2);
described!(P1 P2 P3);
described!(P1 P2 P3 P4);
described!(P1 P2 P3 P4 P5);

impl<T> Part for State<T> {
    fn describe(_sketch: &mut Sketch) {}
}

/// Who asks is not said in the request: the kernel tells.
impl<T> Part for Extension<T> {
    fn describe(_sketch: &mut Sketch) {}
}

impl<T: JsonSchema> Answer for Json<T> {
    fn describe(sketch: &mut Sketch) {
        sketch.answer::<T>(200, "done");
    }
}

/// One operation as far as it is known, and the schemas of all.
pub(in crate::api) struct Sketch {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
    segments: Vec<Value>,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: BTreeMap<u16, Value>,
    problems: Vec<Problem>,
}

impl Sketch {
    pub(super) fn new() -> Self {
        let mut requests = SchemaSettings::draft2020_12().for_deserialize();
        requests.inline_subschemas = true;
        requests.meta_schema = None;
        let mut answers = SchemaSettings::draft2020_12().for_serialize();
        answers.definitions_path = "/components/schemas".into();
        answers.meta_schema = None;
        Self {
            requests: requests.into_generator(),
            answers: answers.into_generator(),
            segments: Vec::new(),
            parameters: Vec::new(),
            body: None,
            responses: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    fn asked<T: JsonSchema>(&mut self) -> Value {
        let mut schema = T::json_schema(&mut self.requests).to_value();
        bounded(&mut schema);
        schema
    }

    /// The fields of `T` may stand in the query.
    pub(in crate::api) fn query<T: JsonSchema>(&mut self) {
        let schema = self.asked::<T>();
        let required = |name: &str| {
            schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)))
        };
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let mut field = field.clone();
            let what = field.as_object_mut().and_then(|field| field.remove("description"));
            no_null(&mut field);
            self.parameters.push(json!({
                "name": name, "in": "query", "required": required(name), "schema": field,
                "description": what.unwrap_or_default(),
            }));
        }
    }

    /// The next variable part of the path is a `T`.
    pub(in crate::api) fn segment<T: JsonSchema>(&mut self) {
        let schema = self.asked::<T>();
        self.segments.push(schema);
        self.problem(Problem::NotFound);
    }

    /// A header may be given.
    pub(in crate::api) fn header(&mut self, name: &str, what: &str, schema: Value) {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": false, "schema": schema, "description": what,
        }));
    }

    /// The body is a `T`.
    pub(in crate::api) fn body<T: JsonSchema>(&mut self, most: &str) {
        let schema = self.asked::<T>();
        let required = schema.get("required").is_some();
        self.body = Some(json!({
            "description": format!("at most {most}; no other fields are taken"),
            "required": required,
            "content": { "application/json": { "schema": schema } },
        }));
        self.problem(Problem::Timeout);
        self.problem(Problem::TooLarge);
    }

    /// It answers a `T` with this status.
    pub(in crate::api) fn answer<T: JsonSchema>(&mut self, status: u16, what: &str) {
        let schema = self.answers.subschema_for::<T>();
        self.answer_as(status, what, "application/json", schema);
    }

    /// It answers text of another kind with this status.
    pub(in crate::api) fn answer_as(&mut self, status: u16, what: &str, kind: &str, schema: Schema) {
        let response = self.responses.entry(status).or_insert_with(|| json!({ "description": what }));
        response["content"][kind] = json!({ "schema": schema });
    }

    /// An answer with this status names a place in the header `Location`.
    pub(in crate::api) fn location(&mut self, status: u16, what: &str) {
        if let Some(response) = self.responses.get_mut(&status) {
            response["headers"] = json!({
                "Location": { "description": what, "required": true, "schema": { "type": "string" } },
            });
        }
    }

    /// Makes a schema known that no answer names.
    pub(in crate::api) fn mention<T: JsonSchema>(&mut self) -> Schema {
        self.answers.subschema_for::<T>()
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Ends this operation, and begins the next. `names` are those of the
    /// variable parts of the path.
    pub(super) fn take(&mut self, names: &[&str]) -> Map<String, Value> {
        let mut operation = Map::new();
        let segments = std::mem::take(&mut self.segments);
        let mut parameters: Vec<Value> = names
            .iter()
            .zip(segments)
            .map(|(name, schema)| json!({ "name": name, "in": "path", "required": true, "schema": schema }))
            .collect();
        parameters.append(&mut self.parameters);
        if !parameters.is_empty() {
            operation.insert("parameters".to_owned(), Value::from(parameters));
        }
        if let Some(body) = self.body.take() {
            operation.insert("requestBody".to_owned(), body);
        }
        for problem in std::mem::take(&mut self.problems) {
            let (status, kind) = (problem.status(), "application/problem+json");
            let schema = self.answers.subschema_for::<ApiError>();
            self.answer_as(status, problem.title(), kind, schema);
            if problem == Problem::RateLimited
                && let Some(response) = self.responses.get_mut(&status)
            {
                response["headers"] = json!({
                    "Retry-After": { "description": "seconds", "required": true, "schema": { "type": "integer" } },
                });
            }
        }
        let responses = std::mem::take(&mut self.responses);
        let responses = responses.into_iter().map(|(status, response)| (status.to_string(), response));
        operation.insert("responses".to_owned(), Value::Object(responses.collect()));
        operation
    }

    /// The schemas that answers name.
    pub(super) fn schemas(mut self) -> Map<String, Value> {
        self.answers.take_definitions(true)
    }
}

/// A number in a request has an end where its type has one.
fn bounded(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let most = match fields.get("format").and_then(Value::as_str) {
                Some("uint32") => Some(u64::from(u32::MAX)),
                Some("uint64") => Some(u64::MAX),
                _ => None,
            };
            if let Some(most) = most {
                fields.entry("maximum").or_insert_with(|| Value::from(most));
            }
            fields.values_mut().for_each(bounded);
        }
        Value::Array(values) => values.iter_mut().for_each(bounded),
        _ => {}
    }
}

/// In a query nothing can be `null`: it is absent.
fn no_null(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if fields.get("default").is_some_and(Value::is_null) {
        fields.remove("default");
    }
    if let Some(kinds) = fields.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            fields.insert("type".to_owned(), kind);
        }
    }
    if let Some(words) = fields.get_mut("enum").and_then(Value::as_array_mut) {
        words.retain(|word| !word.is_null());
    }
    if let Some(forms) = fields.get_mut("anyOf").and_then(Value::as_array_mut) {
        forms.retain(|form| form["type"] != "null");
        if let [Value::Object(form)] = forms.as_slice() {
            let form = form.clone();
            fields.remove("anyOf");
            for (name, value) in form {
                fields.entry(name).or_insert(value);
            }
        }
    }
}
