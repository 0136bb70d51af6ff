//! Where the server listens and where it is reached. Owns the reading of `host` and `url`.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Serialize, Serializer};

/// An address or a name to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An IP address.
    Address(IpAddr),
    /// A name that the system resolves.
    Name(String),
}

/// A text that is neither an address nor a host name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither an IP address nor a host name")]
pub struct InvalidHost(pub String);

impl Host {
    /// Whether only programs of this machine can connect to it.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether it stands for all addresses of the machine.
    pub fn is_unspecified(&self) -> bool {
        matches!(self, Self::Address(address) if address.is_unspecified())
    }
}

impl FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let bare = text
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Address(address));
        }
        let is_name = !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
            // A mistyped address is not a name: no top-level domain is a number.
            && !text.split('.').next_back().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()));
        if is_name {
            Ok(Self::Name(text.to_owned()))
        } else {
            Err(InvalidHost(text.to_owned()))
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// The parts of a URL that matter here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) https: bool,
    pub(super) host: Host,
    pub(super) port: Option<u16>,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let uri: http::Uri = text
            .parse()
            .map_err(|error| format!("not a URL: {error}"))?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("it must begin with http:// or https://".to_owned()),
        };
        if uri.query().is_some() {
            return Err("it must not hold a query".to_owned());
        }
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err("it must not hold a user or password".to_owned());
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let named = uri.host().unwrap_or_default();
        let port = match authority[named.len()..].trim_start_matches(':') {
            "" => None,
            port => Some(
                port.parse()
                    .map_err(|_| format!("`{port}` is not a port"))?,
            ),
        };
        let host = named
            .parse()
            .map_err(|error: InvalidHost| error.to_string())?;
        Ok(Self { https, host, port })
    }

    /// `http://127.0.0.1:18890` names the socket itself; a name or https may be a proxy before it.
    pub(super) fn names_the_socket(&self) -> bool {
        !self.https && self.host.is_loopback()
    }
}
