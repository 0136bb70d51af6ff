//! The routes that tell which tools there are. The answers never change, so they are written once.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use sandbox_protocol::ErrorKind;

use super::{
    answer::{bare, json},
    asked::refused,
    front::Served,
};
use crate::{
    catalog::Catalog,
    failure::{Failure, internal},
};

/// The lists that were asked for so far: of all tools, and of those that are not hidden.
#[derive(Default)]
pub(super) struct Lists {
    all: OnceLock<Bytes>,
    visible: OnceLock<Bytes>,
}

impl Lists {
    fn get(&self, catalog: &Catalog, include_hidden: bool) -> Result<Bytes, Failure> {
        let list = if include_hidden {
            &self.all
        } else {
            &self.visible
        };
        if let Some(list) = list.get() {
            return Ok(list.clone());
        }
        let written = serde_json::to_vec(&catalog.list(include_hidden)).map_err(|error| {
            tracing::error!(%error, "the list of tools cannot be written");
            internal()
        })?;
        Ok(list.get_or_init(|| written.into()).clone())
    }
}

/// `GET /api/v1/tools`.
pub(super) async fn list(
    State(served): State<Arc<Served>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let written = include_hidden(uri.query().unwrap_or_default())
        .and_then(|include_hidden| served.lists.get(&served.sandbox.catalog, include_hidden));
    match written {
        Ok(list) => json(200, list),
        Err(failure) => refused(&failure, &headers, Instant::now()),
    }
}

fn include_hidden(query: &str) -> Result<bool, Failure> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.find_map(|(key, value)| (key == "include_hidden").then_some(value));
    match value.unwrap_or_default().to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "" | "false" | "0" => Ok(false),
        _ => Err(Failure::new(
            ErrorKind::Parameter,
            "`include_hidden` must be true or false",
        )),
    }
}

/// `GET /api/v1/tools/{name}/schema`.
pub(super) async fn schema(
    State(served): State<Arc<Served>>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let found = match &name {
        Ok(Path(name)) => served.sandbox.catalog.tool(name),
        Err(_) => Err(Failure::new(
            ErrorKind::Parameter,
            "the tool's name is not UTF-8",
        )),
    };
    match found {
        Ok(tool) => bare(StatusCode::OK, &tool.description),
        Err(failure) => refused(&failure, &headers, Instant::now()),
    }
}
