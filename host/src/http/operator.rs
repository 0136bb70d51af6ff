//! Who operates the server: may stop it, and see what belongs to others.

use http::HeaderMap;
use sandbox_protocol::ErrorKind;

use super::{asked::Visitor, front::Served};
use crate::failure::Failure;

/// What proxies add: a request with one of these comes from farther away than its connection.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// Whether this caller operates the server: by a key that is marked `admin`; where nobody has a key, by being on
/// the server's own machine.
pub(super) fn is_operator(served: &Served, visitor: &Visitor, headers: &HeaderMap) -> bool {
    if !served.sandbox.config.security.keys.is_empty() {
        return visitor.caller.admin;
    }
    let forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
    visitor.peer.ip().to_canonical().is_loopback() && !forwarded
}

/// Refuses everybody else; `doing` begins the sentence: `stopping the server`.
pub(super) fn check(
    served: &Served,
    visitor: &Visitor,
    headers: &HeaderMap,
    doing: &str,
) -> Result<(), Failure> {
    if is_operator(served, visitor, headers) {
        return Ok(());
    }
    let needed = if served.sandbox.config.security.keys.is_empty() {
        "a connection from the server's own machine, as it has no keys"
    } else {
        "a key that is marked `admin`"
    };
    let message = format!("{doing} needs {needed}");
    Err(Failure::new(ErrorKind::Forbidden, message))
}
