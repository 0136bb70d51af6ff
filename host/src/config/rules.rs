//! What a schema cannot say: how keys depend on each other, and what the values mean.
//! Owns the step from the file as written to [`Config`]; every fault is collected, none ends the work.

use std::{collections::BTreeMap, thread};

use serde_json::Value;

use super::{
    address::{Host, Url},
    diagnostic::{Diagnostic, Severity},
    document::Document,
    keys,
    observe::Observe,
    settings::{Config, Origins, RateLimit, Resource, Security, Server},
    written,
};
use crate::schema::{child, nearest};

/// The port that clients try when they are told nothing.
const PORT: u16 = 18890;

/// More threads than this help no plugin that waits rather than computes.
const PLUGIN_THREADS: usize = 4;

/// Makes the configuration, and says what is wrong, doubtful or worth knowing about it.
pub(super) fn settle(file: written::File, document: &Document) -> (Config, Vec<Diagnostic>) {
    let mut rules = Rules {
        document,
        diagnostics: Vec::new(),
    };
    let warmup = rules.warmup(&file);
    rules.apis(&file);
    let server = rules.server(file.server);
    let resources = file
        .resources
        .into_iter()
        .map(|(name, resource)| {
            let resource = rules.resource(&name, resource, &server);
            (name, resource)
        })
        .collect::<BTreeMap<_, _>>();
    let security = rules.security(&file.security);
    let observe = rules.observe(file.observe);
    let config = Config {
        server,
        resources,
        apis: file.apis,
        warmup,
        security,
        observe,
        mcp: file.mcp,
    };
    (config, rules.diagnostics)
}

struct Rules<'d> {
    document: &'d Document,
    diagnostics: Vec<Diagnostic>,
}

impl Rules<'_> {
    fn error(&mut self, pointer: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.diagnostics
            .push(Diagnostic::error(pointer, message).hint(hint));
    }

    fn server(&mut self, written: written::Server) -> Server {
        if written.cleanup_interval.is_some() {
            self.diagnostics.push(
                Diagnostic::new(
                    Severity::Note,
                    "/server/cleanup_interval",
                    "`server.cleanup_interval` has no effect: sessions end exactly when their time is over",
                )
                .hint("remove it"),
            );
        }
        let (host, port) = self.address(&written);
        Server {
            host,
            port,
            url: written.url.map(|url| url.trim_end_matches('/').to_owned()),
            title: written.title,
            description: written.description,
            session_ttl: written.session_ttl,
            log_level: written.log_level,
            plugin_dirs: written
                .plugin_dirs
                .iter()
                .map(|dir| self.document.resolve(dir))
                .collect(),
            plugin_threads: written
                .plugin_threads
                .map_or_else(plugin_threads, usize::from),
            grace_period: written.grace_period,
            idempotency: written.idempotency,
            limits: written.limits,
        }
    }

    /// Host and port from their own keys, else from `url` where that names the socket itself.
    fn address(&mut self, written: &written::Server) -> (Host, u16) {
        let url = written.url.as_deref().and_then(|url| {
            Url::parse(url)
                .map_err(|reason| {
                    self.error(
                        "/server/url",
                        format!("`server.url`: {reason}"),
                        "for example http://127.0.0.1:18890",
                    );
                })
                .ok()
        });
        let socket = url.filter(Url::names_the_socket);
        let host = match &written.host {
            Some(text) => text.parse().unwrap_or_else(|reason| {
                self.error(
                    "/server/host",
                    format!("`server.host`: {reason}"),
                    "for example 127.0.0.1, or 0.0.0.0 for all addresses",
                );
                loopback()
            }),
            None => socket
                .as_ref()
                .map_or_else(loopback, |url| url.host.clone()),
        };
        if let Some(other) = socket.as_ref().map(|url| &url.host)
            && let (Host::Address(ours), Host::Address(named)) = (&host, other)
            && ours.is_loopback()
            && ours != named
        {
            self.error(
                "/server/url",
                format!("`server.url` says {named}, but the server listens on {ours}"),
                "make them the same, or leave one of them out",
            );
        }
        let port_of_url = socket.map(|url| url.port.unwrap_or(80));
        let port = written.port.or(port_of_url).unwrap_or(PORT);
        if let Some(other) = port_of_url.filter(|other| *other != port && host.is_loopback()) {
            self.error(
                "/server/url",
                format!("`server.url` says port {other}, but the server listens on port {port}"),
                "make them the same, or leave one of them out",
            );
        }
        (host, port)
    }

    fn resource(&mut self, name: &str, written: written::Resource, server: &Server) -> Resource {
        let at = child("/resources", name);
        if !is_name(name) {
            self.error(
                &at,
                format!("`{name}` cannot be the name of a resource"),
                "use letters, digits, `_` and `-`, beginning with a letter or digit",
            );
        }
        Resource {
            enabled: written.enabled,
            backend_class: written.backend_class.unwrap_or_default(),
            config: written.config,
            description: written.description,
            optional: written.optional,
            sha256: written.sha256.map(|digest| digest.to_lowercase()),
            session_ttl: written.session_ttl.unwrap_or(server.session_ttl),
            max_sessions: written.max_sessions,
            timeout: written.timeout.unwrap_or(server.limits.request_timeout),
        }
    }

    /// The names are looked up in the document, where a resource that has faults of its own still stands.
    fn warmup(&mut self, file: &written::File) -> Vec<String> {
        let known: Vec<&str> = self
            .document
            .value()
            .pointer("/resources")
            .and_then(Value::as_object)
            .map(|resources| resources.keys().map(String::as_str).collect())
            .unwrap_or_default();
        for (index, name) in file.warmup.resources.iter().enumerate() {
            let at = child("/warmup/resources", index.to_string());
            if !known.contains(&name.as_str()) {
                let hint = match nearest(name, known.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None if known.is_empty() => "no resource is configured".to_owned(),
                    None => format!("configured: {}", known.join(", ")),
                };
                self.error(
                    &at,
                    format!("`warmup.resources` names `{name}`, which is no resource"),
                    hint,
                );
            } else if file.warmup.enabled
                && file.resources.get(name).is_some_and(|entry| !entry.enabled)
            {
                self.error(
                    &at,
                    format!("`warmup.resources` names `{name}`, which is not enabled"),
                    format!("enable `resources.{name}`, or remove it here"),
                );
            }
        }
        if file.warmup.enabled {
            file.warmup.resources.clone()
        } else {
            Vec::new()
        }
    }

    fn apis(&mut self, file: &written::File) {
        for name in file.apis.keys() {
            self.diagnostics.push(
                Diagnostic::new(
                    Severity::Note,
                    child("/apis", name),
                    format!(
                        "`apis.{name}` has no effect: this release has no backend that reads it"
                    ),
                )
                .hint("keep it for one that does, or remove it"),
            );
        }
    }

    fn security(&mut self, written: &written::Security) -> Security {
        Security {
            allowed_origins: self.origins(&written.allowed_origins),
            rate_limit: written
                .rate_limit
                .as_ref()
                .and_then(|limit| self.rate_limit(limit)),
            keys: keys::read(&written.auth, self.document, &mut self.diagnostics),
        }
    }

    fn observe(&mut self, mut written: Observe) -> Observe {
        written.audit.file = written.audit.file.map(|file| self.document.resolve(file));
        let traces = &written.traces;
        if let Some(endpoint) = &traces.endpoint {
            let wrong = match Url::parse(endpoint) {
                Err(reason) => Some(reason),
                Ok(url) if url.https => Some("https is not spoken here".to_owned()),
                Ok(_) => None,
            };
            if let Some(reason) = wrong {
                self.error(
                    "/observe/traces/endpoint",
                    format!("`observe.traces.endpoint`: {reason}"),
                    "for example http://127.0.0.1:4318/v1/traces, a collector on this machine",
                );
            }
        }
        for (name, value) in &traces.headers {
            let is_name = name.parse::<http::HeaderName>().is_ok();
            if !is_name || value.parse::<http::HeaderValue>().is_err() {
                self.error(
                    &child("/observe/traces/headers", name),
                    "not a header that can be sent",
                    "names are letters, digits and dashes; values have no line breaks",
                );
            }
        }
        written
    }

    fn origins(&mut self, written: &[String]) -> Origins {
        let mut listed = Vec::new();
        let mut any = false;
        for (index, origin) in written.iter().enumerate() {
            let at = child("/security/allowed_origins", index.to_string());
            if origin == "*" {
                any = true;
                self.diagnostics.push(
                    Diagnostic::warning(
                        at,
                        "every web page may use this server from its visitor's browser",
                    )
                    .hint("list the origins that need it, such as https://app.example.org"),
                );
            } else if let Some(usual) = without_usual_port(origin) {
                self.error(
                    &at,
                    format!("`{origin}` is what no browser sends"),
                    format!("write `{usual}`: the scheme's own port is left out"),
                );
            } else if is_origin(origin) {
                listed.push(origin.to_lowercase());
            } else {
                self.error(
                    &at,
                    format!("`{origin}` is not an origin"),
                    "write scheme://host or scheme://host:port and nothing after it",
                );
            }
        }
        if any {
            Origins::ANY
        } else {
            Origins::Listed(listed)
        }
    }

    fn rate_limit(&mut self, written: &written::RateLimit) -> Option<RateLimit> {
        const AT: &str = "/security/rate_limit";
        let (requests, per) = match (written.requests, written.requests_per_minute) {
            (Some(requests), None) => (requests, written.per),
            (None, Some(requests)) => {
                let per = child(AT, "per");
                if self.document.value().pointer(&per).is_some() {
                    self.error(
                        &per,
                        "`requests_per_minute` is per minute already",
                        "remove `per`, or write `requests` instead",
                    );
                }
                (requests, std::time::Duration::from_mins(1))
            }
            (Some(_), Some(_)) => {
                self.error(
                    &child(AT, "requests_per_minute"),
                    "the rate limit is given twice, by `requests` and by `requests_per_minute`",
                    "keep one of them",
                );
                return None;
            }
            (None, None) if !written.enabled => return None,
            (None, None) => {
                self.error(
                    AT,
                    "the rate limit does not say how many requests",
                    "add `requests`",
                );
                return None;
            }
        };
        written.enabled.then(|| RateLimit {
            requests,
            per,
            burst: written.burst.unwrap_or(requests),
        })
    }
}

fn loopback() -> Host {
    Host::Address(std::net::Ipv4Addr::LOCALHOST.into())
}

fn plugin_threads() -> usize {
    thread::available_parallelism()
        .map_or(1, usize::from)
        .min(PLUGIN_THREADS)
}

/// Names stand before the colon of tools and in session names.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// An origin without the port that its scheme stands for, where it has that one.
fn without_usual_port(origin: &str) -> Option<&str> {
    [("http://", ":80"), ("https://", ":443")]
        .into_iter()
        .filter(|(scheme, _)| origin.starts_with(scheme))
        .find_map(|(_, port)| origin.strip_suffix(port))
}

/// Browsers send scheme, host and a port that is not the scheme's own; never a path.
fn is_origin(origin: &str) -> bool {
    origin.parse::<http::Uri>().is_ok_and(|uri| {
        uri.scheme().is_some()
            && uri.host().is_some()
            && uri.path() == "/"
            && !origin.ends_with('/')
    })
}
