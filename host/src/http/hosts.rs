//! By which names a server that listens on loopback may be addressed.
//!
//! A web page can give its own name the address 127.0.0.1 after it was loaded, and is then of one
//! origin with whatever listens there. Its requests still carry its name.

use std::net::IpAddr;

use http::{Uri, header::HOST, request::Parts, uri::Authority};
use sandbox_protocol::ErrorKind;

use crate::{
    config::{Host, Server},
    failure::Failure,
};

/// The names besides those of loopback itself.
pub(super) struct Hosts(Vec<Host>);

impl Hosts {
    /// `None` when any name will do: other machines know the server by names of their own.
    pub(super) fn new(listening: Option<IpAddr>, server: &Server) -> Option<Self> {
        if !listening.is_some_and(|address| address.is_loopback()) {
            return None;
        }
        let url = server
            .url
            .as_deref()
            .and_then(|url| url.parse::<Uri>().ok());
        let proxy = url.as_ref().and_then(|url| url.host()?.parse().ok());
        Some(Self(
            [Some(server.host.clone()), proxy]
                .into_iter()
                .flatten()
                .collect(),
        ))
    }

    /// Whether the request names this server.
    pub(super) fn check(&self, head: &Parts) -> Result<(), Failure> {
        let named = head.headers.get_all(HOST).into_iter();
        let mut named = named.map(|value| Authority::try_from(value.as_bytes()).ok());
        let in_uri = head
            .uri
            .authority()
            .is_none_or(|authority| self.knows(authority));
        if in_uri && named.all(|authority| authority.is_some_and(|it| self.knows(&it))) {
            return Ok(());
        }
        Err(Failure::new(
            ErrorKind::Forbidden,
            "this server is not known by that host name; use 127.0.0.1 or localhost",
        ))
    }

    fn knows(&self, authority: &Authority) -> bool {
        let host = authority.host().to_ascii_lowercase().parse::<Host>();
        host.is_ok_and(|host| host.is_loopback() || self.0.contains(&host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    fn check(host: &str) -> bool {
        let text = br#"{"server": {"url": "https://agents.example.org/sandbox"}}"#;
        let loaded = Config::read("c.json", "/".into(), text.to_vec(), &Environment::empty());
        let config = loaded.unwrap().config;
        let hosts = Hosts::new("127.0.0.1".parse().ok(), &config.server).unwrap();
        let request = http::Request::builder()
            .header(HOST, host)
            .body(())
            .unwrap();
        hosts.check(&request.into_parts().0).is_ok()
    }

    #[test]
    fn loopback_and_the_configured_name_are_known() {
        for known in [
            "localhost",
            "LocalHost:18890",
            "127.0.0.1:1",
            "127.1.2.3",
            "[::1]:80",
            "agents.example.org",
            "Agents.Example.org:443",
        ] {
            assert!(check(known), "{known}");
        }
        for unknown in [
            "evil.example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "192.0.2.1",
            "",
            "a b",
        ] {
            assert!(!check(unknown), "{unknown}");
        }
    }
}
