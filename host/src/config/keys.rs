//! The API keys of a configuration: taken from the file, from a file beside it, or as a digest.
//! Owns their reading. Only digests are kept, so that no key can reach a log or a core dump from here.

use std::{collections::HashMap, fs, path::Path};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use sha2::{Digest, Sha256};

use super::{
    diagnostic::Diagnostic,
    document::Document,
    masking::MASK,
    written::{Auth, Key},
};
use crate::schema::child;

const AUTH: &str = "/security/auth";

/// Shorter keys can be guessed by trying; 16 random characters cannot.
const SHORT: usize = 16;

/// A key that clients may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is, for logs.
    pub name: String,
    /// The SHA-256 of the key.
    pub digest: [u8; 32],
    /// Whether it may stop the server and see other clients' sessions.
    pub admin: bool,
}

impl ApiKey {
    /// What is kept of a key, and compared (in constant time) with what a client shows.
    pub fn digest_of(key: &str) -> [u8; 32] {
        Sha256::digest(key.as_bytes()).into()
    }
}

impl Serialize for ApiKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut shown = to.serialize_struct("ApiKey", 3)?;
        shown.serialize_field("name", &self.name)?;
        shown.serialize_field("key", MASK)?;
        shown.serialize_field("admin", &self.admin)?;
        shown.end()
    }
}

/// The keys that `auth` names; empty when nobody is to be asked for one.
pub(super) fn read(
    auth: &Auth,
    document: &Document,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<ApiKey> {
    // A switch that says "on" without a key would leave the server open: that is an error below, not a default.
    if auth.enabled == Some(false) {
        return Vec::new();
    }
    let mut keys = Vec::new();
    if let Some(key) = &auth.api_key {
        let at = child(AUTH, "api_key");
        judge(key, &at, diagnostics);
        keys.push((
            at,
            ApiKey {
                name: "default".to_owned(),
                digest: ApiKey::digest_of(key),
                admin: true,
            },
        ));
    }
    for (index, key) in auth.keys.iter().enumerate() {
        let at = child(&child(AUTH, "keys"), index.to_string());
        if let Some(digest) = digest(key, &at, document, diagnostics) {
            keys.push((
                at,
                ApiKey {
                    name: key.name.clone(),
                    digest,
                    admin: key.admin,
                },
            ));
        }
    }
    if keys.is_empty() && auth.keys.is_empty() && auth.enabled == Some(true) {
        diagnostics.push(
            Diagnostic::error(
                child(AUTH, "enabled"),
                "authentication is on, but there is no key",
            )
            .hint("add one to `security.auth.keys`, or set `enabled` to false"),
        );
    }
    refuse_twins(&keys, diagnostics);
    keys.into_iter().map(|(_, key)| key).collect()
}

fn digest(
    key: &Key,
    at: &str,
    document: &Document,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<[u8; 32]> {
    match (&key.key, &key.key_file, &key.sha256) {
        (Some(text), None, None) => {
            judge(text, &child(at, "key"), diagnostics);
            Some(ApiKey::digest_of(text))
        }
        (None, Some(file), None) => {
            let at = child(at, "key_file");
            match from_file(&document.resolve(file), &at, diagnostics) {
                Ok(text) => {
                    judge(&text, &at, diagnostics);
                    Some(ApiKey::digest_of(&text))
                }
                Err(reason) => {
                    let message = format!("the key file `{file}` cannot be used: {reason}");
                    diagnostics.push(Diagnostic::error(at, message));
                    None
                }
            }
        }
        (None, None, Some(hex)) => from_hex(hex),
        _ => {
            let message = format!(
                "the key `{}` needs exactly one of `key`, `key_file`, `sha256`",
                key.name
            );
            diagnostics.push(Diagnostic::error(at, message));
            None
        }
    }
}

fn from_file(path: &Path, at: &str, diagnostics: &mut Vec<Diagnostic>) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    if readable_by_others(path) {
        diagnostics.push(
            Diagnostic::warning(at, "the key file can be read by other users")
                .hint(format!("chmod 600 {}", path.display())),
        );
    }
    let key = text.trim();
    if key.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(key.to_owned())
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> bool {
    false
}

fn judge(key: &str, at: &str, diagnostics: &mut Vec<Diagnostic>) {
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        diagnostics.push(
            Diagnostic::error(at, "a key that no client can send in a header")
                .hint("use letters, digits and punctuation of ASCII, without spaces"),
        );
    }
    if key.chars().count() < SHORT {
        diagnostics.push(
            Diagnostic::warning(
                at,
                format!("a key of fewer than {SHORT} characters can be guessed"),
            )
            .hint("make one with: openssl rand -hex 24"),
        );
    }
}

fn refuse_twins(keys: &[(String, ApiKey)], diagnostics: &mut Vec<Diagnostic>) {
    let mut names = HashMap::new();
    let mut digests = HashMap::new();
    for (at, key) in keys {
        if names.insert(&key.name, at).is_some() {
            diagnostics.push(Diagnostic::error(
                at,
                format!("two keys have the name `{}`", key.name),
            ));
        }
        if let Some(other) = digests.insert(key.digest, &key.name) {
            let message = format!("the keys `{other}` and `{}` are the same", key.name);
            diagnostics.push(Diagnostic::error(at, message));
        }
    }
}

fn from_hex(digits: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(digits, &mut digest).ok()?;
    Some(digest)
}
