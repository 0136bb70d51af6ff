//! Shows a configuration without its secrets, for `sandbox config show`. Owns what counts as a secret.

use serde_json::Value;

use super::{document::Document, settings::Config};
use crate::schema::{child, is_within};

/// What stands in the place of a secret.
pub(super) const MASK: &str = "********";

/// Parts of key names whose strings are secrets. Too many are masked rather than too few.
const SECRET: [&str; 7] = [
    "key",
    "token",
    "secret",
    "passw",
    "passphrase",
    "credential",
    "authorization",
];

/// Whether the name of a key says that its value is a secret.
pub(super) fn names_a_secret(pointer: &str) -> bool {
    pointer.split('/').any(|part| {
        let part = part.to_lowercase();
        // Where a key lies is no secret, and its digest neither.
        !part.ends_with("_file") && SECRET.iter().any(|word| part.contains(word))
    })
}

/// Whether the key of the value at `pointer` says that it is a secret.
fn hides_a_secret(pointer: &str) -> bool {
    let named = pointer
        .rsplit('/')
        .find(|part| !part.chars().all(|c| c.is_ascii_digit()));
    named.is_some_and(names_a_secret)
}

/// Whether the text at `pointer` must not be repeated in a message. Whatever stands in `apis` may be a key.
pub(super) fn may_be_secret(pointer: &str) -> bool {
    hides_a_secret(pointer) || is_within(pointer, "/apis")
}

/// The effective configuration as JSON, its secrets masked.
pub(super) fn effective(config: &Config, document: &Document) -> Value {
    let mut shown = serde_json::to_value(config).unwrap_or_default();
    for section in ["apis", "resources"] {
        if let Some(entries) = shown.get_mut(section) {
            mask(entries, &child("", section), document);
        }
    }
    shown
}

fn mask(value: &mut Value, at: &str, document: &Document) {
    match value {
        Value::String(text) => {
            // What an API tool or the environment of a program takes from ours is nearly always a key under some other
            // name.
            let may_be_key = is_within(at, "/apis") || at.split('/').any(|part| part == "env");
            let from_outside = may_be_key && document.is_from_environment(at);
            if from_outside || names_a_secret(within_section(at)) {
                MASK.clone_into(text);
            } else if let Some(masked) = without_credentials(text) {
                *text = masked;
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                mask(element, &child(at, index.to_string()), document);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                mask(member, &child(at, key), document);
            }
        }
        _ => {}
    }
}

/// Masks the secrets of a file that was read as it stands, such as one that a client asked for.
///
/// A placeholder without a default only names a secret, and stays.
pub fn mask_secrets(value: &mut Value) {
    mask_below(value, "");
}

fn mask_below(value: &mut Value, at: &str) {
    match value {
        Value::String(text) => {
            if hides_a_secret(at) && !is_placeholder(text) {
                MASK.clone_into(text);
            } else if let Some(masked) = without_credentials(text) {
                *text = masked;
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                mask_below(element, &child(at, index.to_string()));
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                mask_below(member, &child(at, key));
            }
        }
        _ => {}
    }
}

fn is_placeholder(text: &str) -> bool {
    let name = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// The part of the pointer after section and entry: an entry may be called `keyboard`.
fn within_section(pointer: &str) -> &str {
    pointer.splitn(4, '/').nth(3).unwrap_or_default()
}

/// A URL with a user and password in it, without them.
fn without_credentials(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (credentials, _) = authority.rsplit_once('@')?;
    Some(format!("{scheme}://{MASK}{}", &rest[credentials.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for secret in [
            "/api_key",
            "/PGPASSWORD",
            "/auth/Token",
            "/keys/0",
            "/client_secret",
        ] {
            assert!(names_a_secret(secret), "{secret}");
        }
        for plain in ["/model", "/key_file", "/port"] {
            assert!(!names_a_secret(plain), "{plain}");
        }
    }

    #[test]
    fn secrets_of_a_file_as_it_stands() {
        let mut value = serde_json::json!({
            "auth": {"api_key": "abc", "keys": [{"name": "ops", "key": "def"}, {"key": "${KEY}"}]},
            "password": "${PW:-fallback}", "tokens": ["t"], "max_tokens": 5,
            "monkey": {"name": "Jack"}, "db": "postgres://me:pw@db/x", "path": "/etc",
        });
        mask_secrets(&mut value);
        let text = value.to_string();
        for secret in ["abc", "def", "fallback", "\"t\"", "pw@"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
        for plain in ["ops", "${KEY}", "Jack", "/etc", "5"] {
            assert!(text.contains(plain), "{plain} is not in {text}");
        }
    }

    #[test]
    fn passwords_in_urls() {
        let masked = without_credentials("postgres://me:pw@db:5432/x@y");
        assert_eq!(masked.as_deref(), Some("postgres://********@db:5432/x@y"));
        assert_eq!(without_credentials("https://host/a@b"), None);
    }
}
