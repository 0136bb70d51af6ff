//! What every request passes, whatever its route: the guard, the router, and a net under both.

use std::{
    future::poll_fn,
    mem,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    pin::{Pin, pin},
    sync::Arc,
    time::Instant,
};

use axum::{Router, body::Body, response::Response};
use http::{HeaderMap, Method, Request, Uri, Version, header::ORIGIN, request::Parts};
use hyper::body::Incoming;
use sandbox_protocol::{Timestamp, routes::EXECUTE};
use tower::Service;

use super::{
    Options,
    activity::Sent,
    answer::Carried,
    asked::{Asked, Visitor, refused},
    connection::Link,
    cors,
    discard::discard,
    events::Streams,
    execute,
    guard::{Admitted, Guard},
    once::Store,
    openapi, routes,
    tools::Lists,
};
use crate::{
    failure::{Failure, internal},
    mcp,
    sandbox::Sandbox,
};

/// What the routes serve.
pub(super) struct Served {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) config_directory: Option<PathBuf>,
    pub(super) lists: Lists,
    pub(super) documents: openapi::Documents,
    pub(super) streams: Streams,
    pub(super) up_since: Timestamp,
    pub(super) once: Arc<Store>,
    pub(super) mcp: Option<mcp::Front>,
}

/// Guard and routes.
pub(super) struct Front {
    guard: Guard,
    router: Router,
    served: Arc<Served>,
}

impl Front {
    pub(super) fn new(
        sandbox: Arc<Sandbox>,
        listening: Option<SocketAddr>,
        options: Options,
    ) -> Arc<Self> {
        let guard = Guard::new(listening, &sandbox.config);
        let limits = sandbox.config.server.idempotency.clone();
        let mcp = sandbox.config.mcp.enabled.then(|| {
            // Streams stay open for as long as their clients want; they must not keep the server.
            mcp::Front::new(Arc::clone(&sandbox), options.closing.clone())
        });
        let served = Arc::new(Served {
            once: Store::new(limits, Arc::clone(&sandbox.observers)),
            sandbox,
            config_directory: options.config_directory,
            lists: Lists::default(),
            documents: openapi::Documents::default(),
            streams: Streams::default(),
            up_since: Timestamp::now(),
            mcp,
        });
        Arc::new(Self {
            guard,
            router: routes::router().with_state(Arc::clone(&served)),
            served,
        })
    }

    /// Answers a request. Dropping the future cancels whatever it has begun.
    ///
    /// The future is kept small: it is copied to its place once for each request, and a future has room twice for
    /// what it is given and holds.
    pub(super) fn answer(
        link: Arc<Link>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Sent>> {
        let (mut head, body) = request.into_parts();
        async move {
            let front = &link.front;
            let running = link.activity.begin(head.version == Version::HTTP_2);
            let access = Access::begin(&head);
            let origin = head.headers.get(ORIGIN).cloned();
            let mut response = caught(pin!(front.let_in(&mut head, body, &link))).await;
            cors::decorate(
                &front.guard.origins,
                origin.as_ref(),
                response.headers_mut(),
            );
            if let Some(access) = access {
                access.end(&response, &link);
            }
            drop(running);
            response.map(|body| Sent { body, link })
        }
    }

    async fn let_in(&self, head: &mut Parts, body: Incoming, link: &Link) -> Response<Carried> {
        let caller = match self.guard.admit(head, link.peer.ip()) {
            Ok(Admitted::Caller(caller)) => caller,
            Ok(Admitted::Preflight(answer)) => return answer.map(Carried::Right),
            Err(failure) => return self.refuse(&failure, head, body).map(Carried::Right),
        };
        let peer = link.peer;
        let visitor = Visitor { caller, peer };
        // Nearly every request takes this route: it is spared the router's boxes and copies.
        if head.method == Method::POST && head.uri.path() == EXECUTE {
            let headers = mem::take(&mut head.headers);
            return match Asked::read(headers, body, visitor, &self.served).await {
                Err(refused) => refused.map(Carried::Right),
                Ok(asked) if execute::is_plain(&asked) => {
                    execute::plainly(&self.served, &asked).await
                }
                Ok(asked) => {
                    let answer = execute::execute(Arc::clone(&self.served), asked);
                    Box::pin(answer).await.map(Carried::Right)
                }
            };
        }
        let (nothing, ()) = Request::new(()).into_parts();
        let mut head = mem::replace(head, nothing);
        head.extensions.insert(visitor);
        Box::pin(self.route(Request::from_parts(head, Body::new(body)))).await
    }

    fn refuse(&self, failure: &Failure, head: &Parts, body: Incoming) -> Response {
        discard(body, &head.headers);
        let mut answer = refused(failure, &head.headers, Instant::now());
        let status = answer.status();
        mcp::challenge(
            &self.served.sandbox.config,
            head,
            status,
            answer.headers_mut(),
        );
        answer
    }

    async fn route(&self, request: Request<Body>) -> Response<Carried> {
        // A router is always ready.
        let routed = self.router.clone().call(request).await;
        let answer = routed.unwrap_or_else(|never| match never {});
        answer.map(Carried::Right)
    }
}

/// A panic is a mistake in the host, which its panic hook logs: the request fails, and nothing else.
async fn caught(
    mut answer: Pin<&mut impl Future<Output = Response<Carried>>>,
) -> Response<Carried> {
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)));
        let nothing = HeaderMap::new();
        polled.unwrap_or_else(|_| {
            let answer = refused(&internal(), &nothing, Instant::now());
            answer.map(Carried::Right).into()
        })
    })
    .await
}

/// The line of the access log.
struct Access {
    method: Method,
    uri: Uri,
    started: Instant,
}

impl Access {
    /// `None` when nobody reads the log that closely.
    fn begin(head: &Parts) -> Option<Box<Self>> {
        let wanted = tracing::enabled!(target: "sandbox::access", tracing::Level::DEBUG);
        wanted.then(|| {
            Box::new(Self {
                method: head.method.clone(),
                uri: head.uri.clone(),
                started: Instant::now(),
            })
        })
    }

    fn end(self, response: &Response<Carried>, link: &Link) {
        tracing::debug!(
            target: "sandbox::access",
            peer = %link.peer,
            method = %self.method,
            path = self.uri.path(),
            status = response.status().as_u16(),
            took_ms = self.started.elapsed().as_secs_f64() * 1e3,
            "request"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_that_tells_nothing_of_it() {
        let response = caught(pin!(async { panic!("at /srv/secret") })).await;
        assert_eq!(response.status(), 500);
        let body = axum::body::to_bytes(Body::new(response.into_body()), 10_000)
            .await
            .unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(
            text.contains(r#""code":5000"#) && !text.contains("secret"),
            "{text}"
        );
    }
}
