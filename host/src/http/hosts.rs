//! By which names a server that listens on loopback may be addressed.
//!
//! A web page can give its own name the address 127.0.0.1 after it was loaded, and is then of one
//! origin with whatever listens there. Its requests still carry its name.

use std::net::SocketAddr;

use http::{Uri, header::HOST, request::Parts, uri::Authority};
use sandbox_protocol::ErrorKind;

use crate::{
    config::{Host, Server},
    failure::Failure,
};

/// The names besides those of loopback itself.
pub(super) struct Hosts {
    /// What nearly every client sends, to be compared as it is.
    usual: String,
    named: Vec<Host>,
}

impl Hosts {
    /// `None` when any name will do: other machines know the server by names of their own.
    pub(super) fn new(listening: Option<SocketAddr>, server: &Server) -> Option<Self> {
        let listening = listening.filter(|address| address.ip().is_loopback())?;
        let url = server.url.as_deref();
        let url = url.and_then(|url| url.parse::<Uri>().ok());
        let proxy = url.as_ref().and_then(|url| url.host()?.parse().ok());
        let named = [Some(server.host.clone()), proxy];
        Some(Self {
            usual: listening.to_string(),
            named: named.into_iter().flatten().collect(),
        })
    }

    /// Whether the request names this server.
    pub(super) fn check(&self, head: &Parts) -> Result<(), Failure> {
        let mut named = head.headers.get_all(HOST).into_iter();
        let in_uri = head.uri.authority();
        if in_uri.is_none_or(|it| self.knows(it)) && named.all(|it| self.knows_text(it.as_bytes()))
        {
            return Ok(());
        }
        Err(Failure::new(
            ErrorKind::Forbidden,
            "this server is not known by that host name; use 127.0.0.1 or localhost",
        ))
    }

    fn knows_text(&self, text: &[u8]) -> bool {
        text == self.usual.as_bytes() || Authority::try_from(text).is_ok_and(|it| self.knows(&it))
    }

    fn knows(&self, authority: &Authority) -> bool {
        let host = authority.host().to_ascii_lowercase().parse::<Host>();
        host.is_ok_and(|host| host.is_loopback() || self.named.contains(&host))
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
        let hosts = Hosts::new("127.0.0.1:80".parse().ok(), &config.server).unwrap();
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
