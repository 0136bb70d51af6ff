//! Builds the paths of a document: one operation after the other, each in a few words.

use sandbox_protocol::{Envelope, ErrorKind};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::schemas::Schemas;
use crate::http::once::LONGEST_KEY;

/// The answer to whatever went wrong.
const FAILURE: &str = "#/components/responses/Failure";

/// The paths of a document, and the types that they use.
pub(super) struct Paths {
    paths: Map<String, Value>,
    schemas: Schemas,
}

impl Paths {
    pub(super) fn new() -> Self {
        Self {
            paths: Map::new(),
            schemas: Schemas::new(),
        }
    }

    /// The paths so far.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().map(String::as_str)
    }

    /// Begins to describe what `GET` does with a path.
    pub(super) fn get(&mut self, path: &str, id: &str, tag: &str) -> Operation<'_> {
        self.operation(path, "get", id, tag)
    }

    /// Begins to describe what `POST` does with a path.
    pub(super) fn post(&mut self, path: &str, id: &str, tag: &str) -> Operation<'_> {
        self.operation(path, "post", id, tag)
    }

    fn operation(&mut self, path: &str, method: &str, id: &str, tag: &str) -> Operation<'_> {
        let described = json!({
            "operationId": id,
            "tags": [tag],
            "responses": { "default": { "$ref": FAILURE } },
        });
        let Self { paths, schemas } = self;
        let place = &mut paths.entry(path).or_insert_with(|| json!({}))[method];
        *place = described;
        Operation { place, schemas }
    }

    /// Paths and components.
    pub(super) fn finish(mut self, document: &mut Value, more: Map<String, Value>) {
        let failure = self.schemas.of_answer::<Envelope>();
        let mut schemas = self.schemas.into_components();
        schemas.extend(more);
        document["paths"] = self.paths.into();
        document["components"] = json!({
            "schemas": schemas,
            "responses": { "Failure": {
                "description": "What went wrong: `code` and `message` say it, `data` may say more.",
                "content": content(&failure),
            } },
            "parameters": parameters(),
            "securitySchemes": super::security_schemes(),
        });
    }
}

/// An operation on its way into the document.
pub(super) struct Operation<'a> {
    place: &'a mut Value,
    schemas: &'a mut Schemas,
}

impl Operation<'_> {
    /// What it does: a line, and perhaps more.
    pub(super) fn does(self, summary: &str, description: &str) -> Self {
        self.place["summary"] = summary.into();
        if !description.is_empty() {
            self.place["description"] = description.into();
        }
        self
    }

    /// It has parameters beside the body.
    pub(super) fn with(self, parameters: &[Value]) -> Self {
        self.place["parameters"] = parameters.into();
        self
    }

    /// It takes a body; this is one.
    pub(super) fn takes<T: JsonSchema>(self, example: Value) -> Self {
        let schema = self.schemas.of_request::<T>();
        self.takes_schema(&schema, true, Some(example))
    }

    /// It takes a body, which may be left out.
    pub(super) fn may_take<T: JsonSchema>(self, example: Value) -> Self {
        let schema = self.schemas.of_request::<T>();
        self.takes_schema(&schema, false, Some(example))
    }

    /// It takes a body of this schema.
    pub(super) fn takes_schema(
        self,
        schema: &Value,
        required: bool,
        example: Option<Value>,
    ) -> Self {
        let mut content = content(schema);
        if let Some(example) = example {
            content["application/json"]["example"] = example;
        }
        self.place["requestBody"] = json!({ "required": required, "content": content });
        self
    }

    /// It answers with an envelope round this.
    pub(super) fn answers<T: JsonSchema>(self) -> Self {
        self.answers_bare::<Envelope<T>>()
    }

    /// It answers with this, without an envelope.
    pub(super) fn answers_bare<T: JsonSchema>(self) -> Self {
        let schema = self.schemas.of_answer::<T>();
        self.answers_schema(&schema)
    }

    /// It answers with JSON of this schema.
    pub(super) fn answers_schema(self, schema: &Value) -> Self {
        self.also("200", "Done.", &content(schema))
    }

    /// It answers with this content and status.
    pub(super) fn also(self, status: &str, description: &str, content: &Value) -> Self {
        self.place["responses"][status] = json!({ "description": description, "content": content });
        self
    }

    /// It answers with a stream of events instead, when it is asked to; these, say.
    pub(super) fn streams(self, example: &str) -> Self {
        self.place["responses"]["200"]["content"]["text/event-stream"] =
            json!({ "schema": { "type": "string" }, "example": example });
        self
    }

    /// It may refuse an `Idempotency-Key`.
    pub(super) fn refuses_keys(self) -> Self {
        for (status, description) in [
            (
                "409",
                "Code 1002: the request was sent before, and is not known here; it may have run.",
            ),
            (
                "422",
                "Code 1002: the `Idempotency-Key` was sent with another body.",
            ),
        ] {
            self.place["responses"][status] =
                json!({ "$ref": FAILURE, "description": description });
        }
        self
    }

    /// What may go wrong in particular; what may go wrong anywhere is described once.
    pub(super) fn fails(self, kinds: &[ErrorKind]) -> Self {
        for kind in kinds {
            let text = format!("Code {}: {}", kind.code(), in_words(*kind));
            let responses = &mut self.place["responses"];
            let response = &mut responses[kind.status().to_string()];
            let before = response["description"].as_str();
            let description = before.map_or(text.clone(), |before| format!("{before} {text}"));
            // Beside a reference, a description stands instead of the one that it leads to.
            *response = json!({ "$ref": FAILURE, "description": description });
        }
        self
    }

    /// It has these marks of our own.
    pub(super) fn hints(self, marks: &[(&str, Value)]) -> Self {
        for (name, value) in marks {
            self.place[*name] = value.clone();
        }
        self
    }

    /// Nobody is asked for a key.
    pub(super) fn open(self) -> Self {
        self.place["security"] = json!([]);
        self
    }
}

/// JSON of this schema.
pub(super) fn content(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn parameters() -> Value {
    json!({
        "Worker": {
            "name": "X-Worker-ID", "in": "header", "schema": { "type": "string", "maxLength": 256 },
            "description": "Who calls, when the body does not say it.",
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "minLength": 1, "maxLength": LONGEST_KEY },
            "description": "Makes it safe to ask again: the same key with the same body returns the first answer, also while \
                that runs; with another body it is refused. With `Idempotency-Repeat: true` it is answered only if the first \
                is known, and never run; with `Idempotency-Abandon: true` the first is cancelled.",
        },
        "Traceparent": {
            "name": "traceparent", "in": "header", "schema": { "type": "string" },
            "description": "The trace that this belongs to, as W3C trace context spells it.",
        },
    })
}

fn in_words(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ToolNotFound => "no tool has the name; `data.nearest` lists similar ones.",
        ErrorKind::ToolAmbiguous => {
            "several tools share the bare name; `data.candidates` lists them."
        }
        ErrorKind::Parameter => "the body or a parameter is wrong; `data.field` says which.",
        ErrorKind::NoSession => "there is no such session.",
        ErrorKind::SessionClosing => "the session is being destroyed.",
        ErrorKind::SessionCreationFailed => "the backend could not make a session.",
        ErrorKind::ResourceNotFound => "no loaded backend has the resource type.",
        ErrorKind::Forbidden => "the caller may not do this.",
        ErrorKind::BackendFailed => "the backend panicked, crashed, or answered nonsense.",
        ErrorKind::TimedOut => "the call took longer than it was allowed.",
        ErrorKind::WarmupFailed => "the backend could not be warmed up.",
        ErrorKind::Unavailable => "no capacity, or a program that is not installed.",
        ErrorKind::ConfigurationNotFound => "there is no such file.",
        ErrorKind::TooManyRequests => "there are too many sessions already.",
        other => other.code().default_message(),
    }
}
