//! `allowed_hosts` and `blocked_hosts`: what they may say, and what follows for a host and for an address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{canonical, is_public};

/// The rules of a backend. Names are judged before they are resolved, addresses before they are dialled.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    allowed: Vec<Rule>,
    blocked: Vec<Rule>,
}

/// An entry that says nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "expected a name (example.com), a wildcard (*.example.com, *), an address (10.0.0.5), a network (10.0.0.0/8), or one \
     of these but a network with a port (localhost:3000, [::1]:80); found {0:?}"
)]
pub(crate) struct RuleError(String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    Any,
    Name(String),
    /// Everything below this name.
    Below(String),
    Network(IpNet),
}

impl Rules {
    pub(crate) fn new(allowed: &[String], blocked: &[String]) -> Result<Self, RuleError> {
        let parse = |rules: &[String]| {
            rules
                .iter()
                .map(|rule| Rule::parse(rule))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            allowed: parse(allowed)?,
            blocked: parse(blocked)?,
        })
    }

    /// Why this host may not be reached, whatever its address is; `None` if that depends on the address.
    pub(crate) fn refuse_host(&self, host: &str, port: u16) -> Option<String> {
        let host = normal(host);
        if let Ok(address) = bare(&host).parse::<IpAddr>() {
            return self.refuse_address(&host, address, port);
        }
        if self.blocked.iter().any(|rule| rule.is_name(&host, port)) {
            return Some("it is in blocked_hosts".to_owned());
        }
        let by_address = |rule: &Rule| matches!(rule.hosts, Hosts::Network(_));
        let may = |rule: &Rule| rule.is_name(&host, port) || by_address(rule);
        (!self.allowed.iter().any(may)).then(|| "it is not in allowed_hosts".to_owned())
    }

    /// Why this address may not be reached under this name.
    pub(crate) fn refuse_address(&self, host: &str, address: IpAddr, port: u16) -> Option<String> {
        let (host, address) = (normal(host), canonical(address));
        let blocked = |rule: &Rule| rule.is_name(&host, port) || rule.is_address(address, port);
        if self.blocked.iter().any(blocked) {
            return Some("it is in blocked_hosts".to_owned());
        }
        if self
            .allowed
            .iter()
            .any(|rule| rule.is_address(address, port))
        {
            return None;
        }
        if !is_public(address) {
            return Some(
                "it is a private or loopback address, and allowed_hosts does not list it"
                    .to_owned(),
            );
        }
        let named = self.allowed.iter().any(|rule| rule.is_name(&host, port));
        (!named).then(|| "it is not in allowed_hosts".to_owned())
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, RuleError> {
        let wrong = || RuleError(text.to_owned());
        if text.trim_end().ends_with("*.") {
            return Err(wrong());
        }
        let text = normal(text.trim());
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::of(Hosts::Network(network), None));
        }
        if let Ok(address) = bare(&text).parse::<IpAddr>() {
            return Ok(Self::of(Hosts::Network(canonical(address).into()), None));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
            None => (text.as_str(), None),
        };
        if let Ok(address) = bare(host).parse::<IpAddr>() {
            return Ok(Self::of(Hosts::Network(canonical(address).into()), port));
        }
        let is_name = |name: &str| {
            let letter = |c: char| c.is_alphanumeric() || "-_.".contains(c);
            !name.is_empty() && !name.starts_with('.') && name.chars().all(letter)
        };
        // Pages say names in their ASCII form.
        let ascii = |name: &str| match url::Host::parse(name) {
            Ok(url::Host::Domain(name)) if is_name(&name) => Ok(name),
            _ => Err(wrong()),
        };
        let hosts = match host.strip_prefix("*.") {
            _ if host == "*" => Hosts::Any,
            Some(name) => Hosts::Below(ascii(name)?),
            None if host.contains('*') => return Err(wrong()),
            None => Hosts::Name(ascii(host)?),
        };
        Ok(Self::of(hosts, port))
    }

    const fn of(hosts: Hosts, port: Option<u16>) -> Self {
        Self { hosts, port }
    }

    fn is_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }

    fn is_name(&self, host: &str, port: u16) -> bool {
        self.is_port(port)
            && match &self.hosts {
                Hosts::Any => true,
                Hosts::Name(name) => host == name,
                Hosts::Below(name) => {
                    let above = host.strip_suffix(name.as_str());
                    above.is_some_and(|above| above.len() > 1 && above.ends_with('.'))
                }
                Hosts::Network(_) => false,
            }
    }

    /// `localhost` is loopback by definition; no other name says what its addresses are.
    fn is_address(&self, address: IpAddr, port: u16) -> bool {
        self.is_port(port)
            && match &self.hosts {
                Hosts::Network(network) => network.contains(&address),
                Hosts::Name(name) => name == "localhost" && address.is_loopback(),
                Hosts::Any | Hosts::Below(_) => false,
            }
    }
}

/// Lower case, without the dot that ends a full name.
fn normal(host: &str) -> String {
    let host = host.to_lowercase();
    host.strip_suffix('.').unwrap_or(&host).to_owned()
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str], blocked: &[&str]) -> Rules {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        Rules::new(&texts(allowed), &texts(blocked)).unwrap()
    }

    fn reaches(rules: &Rules, host: &str, address: &str, port: u16) -> bool {
        rules.refuse_host(host, port).is_none()
            && rules
                .refuse_address(host, address.parse().unwrap(), port)
                .is_none()
    }

    #[test]
    fn private_addresses_are_reached_only_when_listed() {
        let open = rules(&["*"], &[]);
        assert!(reaches(&open, "example.com", "93.184.216.34", 443));
        for (host, address) in [
            ("127.0.0.1", "127.0.0.1"),
            ("localhost", "127.0.0.1"),
            ("rebound.example.com", "127.0.0.1"),
            ("rebound.example.com", "::ffff:10.0.0.1"),
            ("[::1]", "::1"),
            ("metadata", "169.254.169.254"),
        ] {
            assert!(!reaches(&open, host, address, 80), "{host} at {address}");
        }
        // A name opens nothing private, not even when it is listed.
        assert!(!reaches(
            &rules(&["corp.example"], &[]),
            "corp.example",
            "10.0.0.5",
            80
        ));
        let inside = rules(&["corp.example", "10.0.0.5"], &[]);
        assert!(reaches(&inside, "corp.example", "10.0.0.5", 80));
        assert!(!reaches(&inside, "corp.example", "10.0.0.6", 80));
        assert!(!reaches(&inside, "example.com", "93.184.216.34", 80));
    }

    #[test]
    fn localhost_and_ports() {
        let local = rules(&["localhost:3000"], &[]);
        assert!(reaches(&local, "localhost", "::1", 3000));
        assert!(reaches(&local, "LOCALHOST.", "127.0.0.1", 3000));
        assert!(reaches(&local, "127.0.0.1", "127.0.0.1", 3000));
        assert!(!reaches(&local, "localhost", "127.0.0.1", 3001));
        let net = rules(&["127.0.0.0/8", "[::1]:80"], &[]);
        assert!(reaches(&net, "127.9.9.9", "127.9.9.9", 1));
        assert!(reaches(&net, "::1", "::1", 80) && !reaches(&net, "::1", "::1", 81));
    }

    #[test]
    fn what_is_blocked_stays_blocked() {
        let rules = rules(
            &["*", "10.0.0.0/8"],
            &["*.ads.example", "10.0.0.7", "bad.example:8080", "1.2.3.4"],
        );
        assert!(!reaches(&rules, "x.ads.example", "93.184.216.34", 443));
        assert!(reaches(&rules, "ads.example", "93.184.216.34", 443));
        assert!(reaches(&rules, "notads.example", "93.184.216.34", 443));
        assert!(
            !reaches(&rules, "inner", "10.0.0.7", 80) && reaches(&rules, "inner", "10.0.0.8", 80)
        );
        assert!(!reaches(&rules, "bad.example", "93.184.216.34", 8080));
        assert!(!reaches(&rules, "innocent.example", "1.2.3.4", 80));
    }

    #[test]
    fn entries_that_say_nothing_are_refused() {
        for text in [
            "",
            "http://example.com",
            "a b",
            "*.",
            "example.com/path",
            "host:port",
            "exa*mple.com",
        ] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Rule::parse("Bücher.example").unwrap().hosts,
            Hosts::Name("xn--bcher-kva.example".to_owned())
        );
    }
}
