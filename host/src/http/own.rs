//! Which pages are the server's own: browsers name the origin of those as well when they send something.
//!
//! A page can be loaded from a name that leads to this server only later (DNS rebinding), and is then of one
//! origin with it. So the name must be one that nobody can take, or a key must be asked for, which such a page
//! does not have.

use http::{
    HeaderValue, Uri,
    header::{HOST, ORIGIN},
    request::Parts,
    uri::Authority,
};

use crate::config::{Config, Host};

/// By which names the server's own pages are loaded.
pub(super) struct Own {
    /// The address that the configuration gives: what stands there may, whatever a proxy makes of `Host`.
    url: Option<Authority>,
    /// Whether the name of a request may be any: it was checked already, or a key is asked for.
    any: bool,
}

impl Own {
    /// `checked`: requests by other names were refused before.
    pub(super) fn new(config: &Config, checked: bool) -> Self {
        let url = config.server.url.as_deref();
        Self {
            url: url.and_then(|url| url.parse::<Uri>().ok()?.into_parts().authority),
            any: checked || !config.security.keys.is_empty(),
        }
    }

    /// Whether the request comes from a page of the server itself.
    pub(super) fn sent(&self, head: &Parts) -> bool {
        let mut origins = head.headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (origins.next().and_then(authority), origins.next()) else {
            return false;
        };
        let named = head.uri.authority().cloned();
        let named = named.or_else(|| head.headers.get(HOST)?.to_str().ok()?.parse().ok());
        self.url.as_ref() == Some(&origin)
            || named.is_some_and(|named| named == origin && (self.any || is_fixed(&named)))
    }
}

fn authority(origin: &HeaderValue) -> Option<Authority> {
    let origin = origin.to_str().ok()?;
    let host = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    host?.parse().ok()
}

/// Whether the name cannot be made to lead anywhere else.
fn is_fixed(named: &Authority) -> bool {
    let host = named.host().parse::<Host>();
    host.is_ok_and(|host| matches!(host, Host::Address(_)) || host.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn own(config: &str, checked: bool) -> Own {
        let text = config.as_bytes().to_vec();
        let loaded = Config::read("c.json", "/".into(), text, &Environment::empty());
        Own::new(&loaded.unwrap().config, checked)
    }

    fn sent(own: &Own, host: &str, origin: &str) -> bool {
        let request = http::Request::builder()
            .header(HOST, host)
            .header(ORIGIN, origin);
        own.sent(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_page_is_our_own_when_it_came_from_where_the_request_goes() {
        let open = own("{}", false);
        assert!(sent(&open, "192.0.2.1:80", "http://192.0.2.1:80"));
        assert!(sent(&open, "[2001:db8::1]:80", "http://[2001:db8::1]:80"));
        assert!(!sent(&open, "192.0.2.1:80", "http://192.0.2.1:81"));
        assert!(!sent(&open, "192.0.2.1:80", "null"));
        // A name can be made to lead here.
        assert!(!sent(&open, "evil.example.org", "http://evil.example.org"));
        let checked = own("{}", true);
        assert!(sent(
            &checked,
            "agents.example.org",
            "https://agents.example.org"
        ));
        assert!(!sent(&checked, "localhost:80", "http://localhost:3000"));
    }

    #[test]
    fn the_configured_address_is_our_own_whatever_a_proxy_sends() {
        let own = own(
            r#"{"server": {"url": "https://agents.example.org/sandbox"}}"#,
            false,
        );
        assert!(sent(&own, "127.0.0.1:18890", "https://agents.example.org"));
        assert!(!sent(&own, "127.0.0.1:18890", "https://other.example.org"));
    }
}
