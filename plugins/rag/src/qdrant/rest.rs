//! The requests to a Qdrant server, and what its refusals mean.

use std::error::Error as _;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{Cluster, points::Point};
use crate::index::IndexError;

/// One collection of a server.
pub(super) struct Rest {
    client: Client,
    collection: String,
    name: String,
    api_key: Option<String>,
}

impl Rest {
    pub(super) fn new(cluster: &Cluster) -> Result<Self, IndexError> {
        let client = Client::builder().timeout(cluster.timeout).build();
        let client = client.map_err(|error| IndexError::Cluster(error.to_string()))?;
        Ok(Self {
            client,
            collection: format!(
                "{}/collections/{}",
                cluster.url.trim_end_matches('/'),
                cluster.collection
            ),
            name: cluster.collection.clone(),
            api_key: cluster.api_key.clone(),
        })
    }

    /// The collection's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the collection is; none if there is none.
    pub(super) async fn collection(&self) -> Result<Option<Value>, IndexError> {
        let request = self.request(Method::GET, "");
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        result(response).await.map(Some)
    }

    pub(super) async fn make_collection(&self, settings: &Value) -> Result<(), IndexError> {
        self.send(Method::PUT, "", settings).await.map(drop)
    }

    /// Has a field of the payload indexed: filters and groups need it.
    pub(super) async fn make_field(&self, field: &str, kind: &str) -> Result<(), IndexError> {
        let body = json!({ "field_name": field, "field_schema": kind });
        self.send(Method::PUT, "/index?wait=true", &body)
            .await
            .map(drop)
    }

    pub(super) async fn upsert(&self, points: &[Point]) -> Result<(), IndexError> {
        let body = json!({ "points": points });
        self.send(Method::PUT, "/points?wait=true", &body)
            .await
            .map(drop)
    }

    pub(super) async fn delete(&self, filter: &Value) -> Result<(), IndexError> {
        let body = json!({ "filter": filter });
        self.send(Method::POST, "/points/delete?wait=true", &body)
            .await
            .map(drop)
    }

    pub(super) async fn count(&self, filter: &Value) -> Result<u64, IndexError> {
        let body = json!({ "filter": filter, "exact": true });
        let result = self.send(Method::POST, "/points/count", &body).await?;
        let count = result.get("count").and_then(Value::as_u64);
        count.ok_or_else(|| IndexError::Cluster("it answered without a count".to_owned()))
    }

    pub(super) async fn query_groups(&self, query: &Value) -> Result<Vec<Value>, IndexError> {
        let mut result = self
            .send(Method::POST, "/points/query/groups", query)
            .await?;
        match result.get_mut("groups").map(Value::take) {
            Some(Value::Array(groups)) => Ok(groups),
            _ => Err(IndexError::Cluster("it answered without groups".to_owned())),
        }
    }

    /// The payload of a point; none if there is no such point.
    pub(super) async fn payload(&self, id: &str) -> Result<Option<Value>, IndexError> {
        let body = json!({ "ids": [id], "with_payload": true });
        let result = self.send(Method::POST, "/points", &body).await?;
        Ok(result.pointer("/0/payload").cloned())
    }

    /// Writes a point that is no passage.
    pub(super) async fn set_payload(&self, id: &str, payload: &Value) -> Result<(), IndexError> {
        let body = json!({ "points": [{ "id": id, "vector": {}, "payload": payload }] });
        self.send(Method::PUT, "/points?wait=true", &body)
            .await
            .map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, IndexError> {
        let request = self.request(method, path).json(body);
        result(request.send().await.map_err(|error| unreachable(&error))?).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.collection));
        match &self.api_key {
            Some(key) => request.header("api-key", key),
            None => request,
        }
    }
}

/// The `result` of an answer, or what the server says is wrong.
async fn result(response: reqwest::Response) -> Result<Value, IndexError> {
    let status = response.status();
    let text = response.text().await.map_err(|error| unreachable(&error))?;
    let mut body: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Ok(body["result"].take());
    }
    // Refusals of keys are plain text.
    let said = body
        .pointer("/status/error")
        .and_then(Value::as_str)
        .unwrap_or(&text);
    let said: String = said.chars().take(300).collect();
    Err(IndexError::Cluster(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "it refused the api_key of the backend's config".to_owned()
        }
        _ => format!("it answered {status}: {said}"),
    }))
}

fn unreachable(error: &reqwest::Error) -> IndexError {
    // The address is the operator's, not the caller's.
    tracing::error!(?error, "the Qdrant server cannot be asked");
    IndexError::Cluster(if error.is_timeout() {
        "it did not answer in time".to_owned()
    } else if error.is_builder() {
        "qdrant.url is no address that this build can use: http://host:port, or https in a build with \
         the feature tls"
            .to_owned()
    } else if let Some(fault) = certificate_fault(error) {
        format!(
            "{fault}: add the authority that signed it to the system's, or name a file with it in the server's \
             environment as SSL_CERT_FILE"
        )
    } else {
        "it cannot be reached".to_owned()
    })
}

/// What is wrong with the server's certificate, if that is why it was not asked.
fn certificate_fault(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // The type is of a crate that is only there with TLS.
        if text.starts_with("invalid peer certificate") {
            return Some(text);
        }
        cause = error.source();
    }
    None
}
