//! Which key a request shows, and whose it is.

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};
use sandbox_protocol::ErrorKind;
use subtle::ConstantTimeEq;

use crate::{config::ApiKey, failure::Failure, sandbox::Caller};

/// The other header that may hold a key.
const X_API_KEY: &str = "x-api-key";

/// The keys that are accepted.
pub(super) struct Keys(Vec<([u8; 32], Caller)>);

impl Keys {
    pub(super) fn new(keys: &[ApiKey]) -> Self {
        let caller = |key: &ApiKey| Caller {
            key: Some(Arc::from(key.name.as_str())),
            admin: key.admin,
            peer: None,
        };
        Self(keys.iter().map(|key| (key.digest, caller(key))).collect())
    }

    /// Whether nobody is asked for a key.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who shows this key.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        let refused = |what| Err(Failure::new(ErrorKind::Unauthenticated, what));
        let Some(shown) = shown(headers) else {
            return refused("a key is needed: `Authorization: Bearer KEY` or `X-API-Key: KEY`");
        };
        let digest = ApiKey::digest_of(shown);
        // All are compared, in constant time, so that time tells nothing about any of them.
        let mut found = None;
        for (known, caller) in &self.0 {
            if bool::from(known.ct_eq(&digest)) {
                found = Some(caller);
            }
        }
        found
            .cloned()
            .map_or_else(|| refused("the key is not known here"), Ok)
    }
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &http::HeaderValue| value.to_str().ok())
    };
    bearer(text(AUTHORIZATION.as_str()).unwrap_or_default()).or_else(|| text(X_API_KEY))
}

/// The token of a `Bearer` header; the scheme's name has no case.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let key = |name: &str, admin| ApiKey {
            name: name.to_owned(),
            digest: ApiKey::digest_of(&format!("key of {name}")),
            admin,
        };
        Keys::new(&[key("ann", false), key("ops", true)])
    }

    fn caller(header: &'static str, value: &'static str) -> Result<Caller, Failure> {
        let header = http::HeaderName::from_static(header);
        let value = http::HeaderValue::from_static(value);
        keys().caller(&HeaderMap::from_iter([(header, value)]))
    }

    #[test]
    fn either_header_shows_a_key() {
        for (header, value) in [
            ("authorization", "Bearer key of ops"),
            ("authorization", "bearer  key of ops"),
            ("x-api-key", "key of ops"),
        ] {
            let caller = caller(header, value).unwrap();
            assert_eq!(caller.owner(), Some("ops"), "{header}: {value}");
            assert!(caller.admin);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (header, value) in [
            ("authorization", "Basic key of ops"),
            ("authorization", "key of ops"),
            ("authorization", "Bearer key of nobody"),
            ("x-api-key", ""),
            ("cookie", "key of ops"),
        ] {
            let failure = caller(header, value).unwrap_err();
            assert_eq!(
                (failure.code.0, failure.status),
                (1006, 401),
                "{header}: {value}"
            );
        }
    }
}
