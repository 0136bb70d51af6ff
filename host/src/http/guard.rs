//! Who may come in: by the right name, from a page that may, with a key that is known, not too often.

use std::net::{IpAddr, SocketAddr};

use axum::response::Response;
use http::{Method, request::Parts};
use sandbox_protocol::{ErrorKind, routes};

use super::{
    cors, health,
    hosts::Hosts,
    keys::Keys,
    own::Own,
    pages,
    rate::{Rate, Who},
};
use crate::{
    config::{Config, Origins},
    failure::Failure,
    mcp::WELL_KNOWN,
    sandbox::Caller,
};

/// The rules, made once from the configuration.
pub(super) struct Guard {
    pub(super) origins: Origins,
    hosts: Option<Hosts>,
    own: Own,
    keys: Keys,
    rate: Option<Rate>,
}

/// What becomes of a request that broke no rule.
pub(super) enum Admitted {
    /// It goes on, on behalf of this caller.
    Caller(Caller),
    /// It was a browser's question, and this is the answer.
    Preflight(Response),
}

impl Guard {
    pub(super) fn new(listening: Option<SocketAddr>, config: &Config) -> Self {
        let hosts = Hosts::new(listening, &config.server);
        Self {
            own: Own::new(config, hosts.is_some()),
            origins: config.security.allowed_origins.clone(),
            hosts,
            keys: Keys::new(&config.security.keys),
            rate: config.security.rate_limit.as_ref().map(Rate::new),
        }
    }

    /// Looks at the head of a request.
    pub(super) fn admit(&self, head: &Parts, peer: IpAddr) -> Result<Admitted, Failure> {
        if let Some(hosts) = &self.hosts {
            hosts.check(head)?;
        }
        // The server's own pages are looked for last: most requests come from no page at all.
        cors::check(&self.origins, head).or_else(|refused| {
            let own = self.own.sent(head);
            own.then_some(()).ok_or(refused)
        })?;
        if let Some(answer) = cors::preflight(head) {
            return Ok(Admitted::Preflight(answer));
        }
        if is_open(head) {
            return Ok(Admitted::Caller(Caller::default()));
        }
        let mut caller = self.caller(head, peer)?;
        caller.peer = Some(peer);
        self.take(|| caller.key.clone().map_or_else(|| Who::at(peer), Who::Key))?;
        Ok(Admitted::Caller(caller))
    }

    fn caller(&self, head: &Parts, peer: IpAddr) -> Result<Caller, Failure> {
        if self.keys.is_empty() {
            return Ok(Caller::default());
        }
        self.keys.caller(&head.headers).map_err(|refused| {
            // Wrong keys count as well, or trying them would be free.
            self.take(|| Who::at(peer)).err().unwrap_or(refused)
        })
    }

    fn take(&self, who: impl FnOnce() -> Who) -> Result<(), Failure> {
        let Some(rate) = &self.rate else {
            return Ok(());
        };
        rate.take(&who()).map_err(|wait| {
            Failure::new(ErrorKind::TooManyRequests, "too many requests; slow down")
                .retry_after(wait)
        })
    }
}

/// What watches over servers shows no key: whether this one lives and takes calls. Nor does a browser that
/// opens a page: it asks for the key itself. Nor does who asks how to show one.
fn is_open(head: &Parts) -> bool {
    let reads = [Method::GET, Method::HEAD].contains(&head.method);
    let path = head.uri.path();
    let asks_little = path == routes::READY && !health::is_wanted(head.uri.query());
    let open = path == routes::HEALTH
        || asks_little
        || pages::is_page(path)
        || path.starts_with(WELL_KNOWN);
    reads && open
}
