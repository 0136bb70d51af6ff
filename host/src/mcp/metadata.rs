//! What the protocol's authorization part asks of a protected server: where it says how it is protected.
//!
//! Keys here are given out by the operator, not by an authorization server, so the metadata names none.

use http::header::HOST;
use http::{HeaderMap, HeaderValue, StatusCode, header::WWW_AUTHENTICATE, request::Parts};
use serde_json::{Value, json};

use super::PATH;
use crate::config::Config;

/// Where clients look for the metadata of a resource; the resource's own path follows.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The metadata of the resource at this path.
pub(crate) fn document(config: &Config, headers: &HeaderMap, path: &str) -> Value {
    json!({
        "resource": format!("{}{path}", base(config, headers)),
        "resource_name": config.server.title,
        "bearer_methods_supported": ["header"],
    })
}

/// Tells a client that was refused at `/mcp` where the metadata is.
pub fn challenge(config: &Config, request: &Parts, status: StatusCode, answer: &mut HeaderMap) {
    let path = request.uri.path();
    if status != StatusCode::UNAUTHORIZED || !path.starts_with(PATH) {
        return;
    }
    let base = base(config, &request.headers);
    let challenge = format!(r#"Bearer resource_metadata="{base}{WELL_KNOWN}{path}""#);
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        answer.insert(WWW_AUTHENTICATE, value);
    }
}

/// What clients call the server: as it is configured, else as this one did.
fn base(config: &Config, headers: &HeaderMap) -> String {
    let host = || headers.get(HOST).and_then(|host| host.to_str().ok());
    match (&config.server.url, host()) {
        (Some(url), _) => url.clone(),
        (None, Some(host)) => format!("http://{host}"),
        (None, None) => config.server.client_url(),
    }
}
