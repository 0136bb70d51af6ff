//! Who makes a request, what they see, and for which worker.

use std::sync::Arc;

use rmcp::{RoleServer, service::RequestContext};

use super::{handles::Handle, scope::Scope};
use crate::sandbox::Caller;

/// The worker of calls that come without a handle. It has no sessions: each call gets one of its own.
const NOBODY: &str = "mcp";

/// Who makes a request, what they see, and for which worker.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) caller: Caller,
    pub(super) scope: Arc<Scope>,
    /// The handle that the connection itself has: the header of the older generation, or the one client
    /// of a server on stdio.
    pub(super) handle: Option<Handle>,
    /// Whether a connection that closes means no more than that. So it is in the older generation over
    /// HTTP, where a client that wants a call to end says so.
    pub(super) outlives_connection: bool,
}

impl Visit {
    pub(super) fn new(caller: Caller, scope: Arc<Scope>, handle: Option<Handle>) -> Self {
        Self {
            caller,
            scope,
            handle,
            outlives_connection: false,
        }
    }

    /// The visit that the front put into the request.
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Option<&Self> {
        let parts = context.extensions.get::<http::request::Parts>()?;
        parts.extensions.get()
    }

    pub(super) fn worker(handle: Option<&Handle>) -> String {
        handle.map_or_else(|| NOBODY.to_owned(), Handle::worker)
    }
}
