//! A request to `/mcp`: what the SDK does not do of the protocol over HTTP, and then the SDK.
//!
//! The SDK is run without sessions of its own in both generations. Its sessions hold two tasks and several
//! queues for each client, for as long as one might come back, and end with everything in them while a
//! call is silent for long. Here a client is a handle that nothing is remembered of, so three things of the
//! older generation are done here: giving and checking `Mcp-Session-Id`, giving it back, and cancelling a call by
//! a notification. Streams are not resumed: a call that takes long is answered with a handle instead.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use memchr::memmem;
use rmcp::{
    ErrorData,
    model::{ErrorCode, JsonRpcError, RequestId},
    transport::{
        StreamableHttpServerConfig,
        streamable_http_server::{StreamableHttpService, session::never::NeverSessionManager},
    },
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{Mcp, handler::Handler, handles::Handle, scope::Scope, visit::Visit};
use crate::{
    config::Replies,
    sandbox::{Caller, Sandbox},
    sessions::WorkerKey,
};

/// The header with the older generation's handle.
const SESSION_ID: &str = "mcp-session-id";

/// The header with the protocol's version.
const VERSION: &str = "mcp-protocol-version";

/// The first version without handshake and sessions.
const NEW: &str = "2026-07-28";

type Body = BoxBody<Bytes, Infallible>;

/// A request, let in and read.
pub struct Request {
    /// Who asks.
    pub caller: Caller,
    /// How.
    pub method: Method,
    /// For what.
    pub uri: Uri,
    /// The one backend that is asked for, if it is one.
    pub backend: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The front over HTTP.
pub struct Front {
    mcp: Arc<Mcp>,
    /// What clients see that ask for nothing in particular: nearly all of them.
    scope: Arc<Scope>,
    service: StreamableHttpService<Handler, NeverSessionManager>,
}

impl Front {
    /// A front to this sandbox, until `closing` is cancelled.
    pub fn new(sandbox: Arc<Sandbox>, closing: CancellationToken) -> Self {
        let settings = &sandbox.config.mcp;
        let limit = sandbox.config.server.limits.max_body_bytes;
        // Host and Origin were checked at the door, for all routes alike.
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_legacy_session_mode(false)
            .with_json_response(settings.replies == Replies::Json)
            .with_max_request_body_bytes(usize::try_from(limit).unwrap_or(usize::MAX))
            .with_cancellation_token(closing);
        let mcp = Arc::new(Mcp::new(sandbox));
        let handler = Handler {
            mcp: Arc::clone(&mcp),
            visit: None,
        };
        let service = StreamableHttpService::new(
            move || Ok(handler.clone()),
            Arc::new(NeverSessionManager::default()),
            config,
        );
        let scope = Arc::new(Scope::read(None, "", mcp.settings().compact));
        Self {
            mcp,
            scope,
            service,
        }
    }

    /// Answers. Dropping the future, or the body of what it answers, cancels a call of the newer generation.
    pub async fn answer(&self, request: Request) -> Response<Body> {
        let owner = request.caller.owner();
        let old = header(&request.headers, VERSION).is_none_or(|version| version < NEW);
        let shown = header(&request.headers, SESSION_ID).filter(|_| old);
        let handle = shown.map(|shown| self.mcp.handles.check(shown, owner));
        match handle {
            Some(None) => no_session(),
            Some(Some(handle)) if request.method == Method::DELETE => {
                self.end(&request.caller, &handle)
            }
            Some(Some(handle)) => match cancelled(&request.body) {
                Some(id) => {
                    self.mcp.cancels.cancel(&handle, id);
                    empty(StatusCode::ACCEPTED)
                }
                None => self.serve(request, Some(handle)).await,
            },
            None => {
                let begins = old && is_initialize(&request.body);
                let caller = request.caller.clone();
                let response = self.serve(request, None).await;
                if begins {
                    self.begin(&caller, response)
                } else {
                    response
                }
            }
        }
    }

    async fn serve(&self, request: Request, handle: Option<Handle>) -> Response<Body> {
        let scope = match (&request.backend, request.uri.query()) {
            (None, None) => Arc::clone(&self.scope),
            (backend, query) => {
                let compact = self.mcp.settings().compact;
                let query = query.unwrap_or_default();
                Arc::new(Scope::read(backend.as_deref(), query, compact))
            }
        };
        let mut visit = Visit::new(request.caller, scope, handle);
        visit.outlives_connection = visit.handle.is_some();
        let mut served = http::Request::new(Full::new(request.body));
        *served.method_mut() = request.method;
        *served.uri_mut() = request.uri;
        *served.headers_mut() = request.headers;
        served.extensions_mut().insert(visit);
        self.service.handle(served).await
    }

    /// A client of the older generation has introduced itself: from now on it is known by a handle.
    fn begin(&self, caller: &Caller, mut response: Response<Body>) -> Response<Body> {
        if response.status().is_success()
            && let Ok(handle) = self.mcp.handles.issue(caller.owner())
            && let Ok(value) = HeaderValue::from_str(&handle.text)
        {
            response.headers_mut().insert(SESSION_ID, value);
        }
        response
    }

    /// A client takes leave: nobody can come back to what it leaves.
    fn end(&self, caller: &Caller, handle: &Handle) -> Response<Body> {
        self.mcp.handles.end(handle);
        let sessions = Arc::clone(&self.mcp.sandbox.sessions);
        let worker = handle.worker();
        let key = WorkerKey::new(caller.owner(), &worker).into_owned();
        tokio::spawn(async move { sessions.disconnect(&key).await });
        empty(StatusCode::NO_CONTENT)
    }
}

/// The call that the body cancels, if that is what it does.
fn cancelled(body: &[u8]) -> Option<RequestId> {
    const METHOD: &str = "notifications/cancelled";
    #[derive(Deserialize)]
    struct Cancelled<'a> {
        method: &'a str,
        params: Params,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        request_id: RequestId,
    }
    /// A notification is short, and only a short body is worth a second look.
    const LONGEST: usize = 4096;
    let body = Some(body).filter(|body| body.len() <= LONGEST)?;
    memmem::find(body, METHOD.as_bytes())?;
    let read: Cancelled<'_> = serde_json::from_slice(body).ok()?;
    (read.method == METHOD).then_some(read.params.request_id)
}

fn is_initialize(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Begin<'a> {
        method: &'a str,
    }
    serde_json::from_slice::<Begin<'_>>(body).is_ok_and(|begin| begin.method == "initialize")
}

/// The protocol has the client begin again then.
fn no_session() -> Response<Body> {
    let error = ErrorData::new(ErrorCode(-32001), "no such session: initialize again", None);
    let text = serde_json::to_vec(&JsonRpcError::new(None, error)).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    *response.status_mut() = StatusCode::NOT_FOUND;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::default().boxed());
    *response.status_mut() = status;
    response
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_is_told_from_a_text_about_one() {
        let body =
            br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#;
        assert_eq!(cancelled(body), Some(RequestId::Number(7)));
        let body = br#"{"method":"tools/call","id":1,"params":{"a":"notifications/cancelled"}}"#;
        assert_eq!(cancelled(body), None);
        assert_eq!(cancelled(b"notifications/cancelled"), None);
    }

    #[test]
    fn a_beginning_is_recognised() {
        assert!(is_initialize(
            br#"{"id":1,"method":"initialize","params":{"deep":[{}]}}"#
        ));
        assert!(!is_initialize(br#"{"id":1,"method":"tools/list"}"#));
        assert!(!is_initialize(b""));
    }
}
