//! `sandbox mcp`: a server of its own for one client, which talks to it over standard input and output.

use std::sync::Arc;

use rmcp::{ServiceExt, transport::stdio};
use tokio_util::sync::CancellationToken;

use super::{Mcp, handler::Handler, scope::Scope, visit::Visit};
use crate::sandbox::{Caller, Sandbox};

/// Serves the client until it closes standard input, or `closing` is cancelled.
///
/// # Errors
///
/// When the client does not speak the protocol.
pub async fn serve_stdio(sandbox: Arc<Sandbox>, closing: CancellationToken) -> anyhow::Result<()> {
    let mcp = Arc::new(Mcp::new(sandbox));
    let handle = mcp.handles.issue(None)?;
    let scope = Scope {
        compact: mcp.settings().compact,
        ..Scope::default()
    };
    let visit = Visit::new(Caller::default(), Arc::new(scope), Some(handle));
    let handler = Handler {
        mcp,
        visit: Some(visit),
    };
    let serving = handler.serve_with_ct(stdio(), closing).await?;
    serving.waiting().await?;
    Ok(())
}
