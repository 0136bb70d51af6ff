//! What the server says about itself to programs: OpenAPI 3.1, of its routes and of its tools.
//!
//! `operations` is the table of routes in words, `schemas` takes the wire types' own JSON Schemas,
//! `write` builds the document from both, and `tools` does the same for the tools of the plugins.
//!
//! The schemas come from the types that the server reads and writes, by `schemars`: its dialect is the one
//! of OpenAPI 3.1 and that of the plugins' own schemas, which are therefore carried over as they are.

mod operations;
mod schemas;
mod tools;
mod write;

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{extract::State, response::Response};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::{answer::json as answer, asked::refused, front::Served};
use crate::{failure::internal, sandbox::Sandbox};

/// The documents. They never change, so each is written once, when it is first asked for.
#[derive(Default)]
pub(super) struct Documents {
    routes: OnceLock<Bytes>,
    tools: OnceLock<Bytes>,
}

/// `GET /openapi.json`.
pub(super) async fn routes(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    give(&served.documents.routes, &headers, || {
        operations::document(&served.sandbox)
    })
}

/// `GET /openapi/tools.json`.
pub(super) async fn tools(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    give(&served.documents.tools, &headers, || {
        tools::document(&served.sandbox)
    })
}

fn give(place: &OnceLock<Bytes>, headers: &HeaderMap, make: impl FnOnce() -> Value) -> Response {
    if let Some(document) = place.get() {
        return answer(200, document.clone());
    }
    match serde_json::to_vec(&make()) {
        Ok(document) => answer(200, place.get_or_init(|| document.into()).clone()),
        Err(error) => {
            tracing::error!(%error, "the description of the server cannot be written");
            refused(&internal(), headers, Instant::now())
        }
    }
}

/// What both documents begin with.
fn head(sandbox: &Sandbox, description: &str) -> Value {
    let server = &sandbox.config.server;
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": server.title,
            "version": env!("CARGO_PKG_VERSION"),
            "description": description,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": server.url.as_deref().unwrap_or("/") }],
        "security": security(sandbox),
    })
}

/// Any of these lets a request in: either header, or nothing when nobody is asked for a key.
fn security(sandbox: &Sandbox) -> Value {
    let mut ways = vec![json!({ "bearer": [] }), json!({ "apiKey": [] })];
    if sandbox.config.security.keys.is_empty() {
        ways.insert(0, json!({}));
    }
    ways.into()
}

/// How a key is shown.
fn security_schemes() -> Value {
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "A key of `security.auth.keys`." },
        "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key, in another header." },
    })
}
