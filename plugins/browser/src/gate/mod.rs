//! What pages may reach: a proxy on loopback that all of a session's requests go through, whatever makes them.
//!
//! `rules` is what the configuration allows, `address` which addresses are not public, `dial` makes the connection after
//! both were asked, `proxy` speaks HTTP with the browser, `peer` makes sure that it is the browser. Chromium is told to
//! resolve no names and to send loopback through the proxy too, so there is no way round it.

mod address;
mod dial;
mod peer;
mod proxy;
mod rules;

pub(crate) use dial::{DialError, Dialer, Upstream};
pub(crate) use peer::Peer;
pub(crate) use proxy::Gate;
pub(crate) use rules::Rules;
