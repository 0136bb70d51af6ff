//! What the SDK asks of a server: the methods of the protocol, each a few lines of translation.

use std::{borrow::Cow, sync::Arc};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, GetTaskParams,
        GetTaskResult, Implementation, InitializeRequestParams, InitializeResult,
        ListResourceTemplatesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
        ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ServerCapabilities,
        ServerConfig, Tool,
    },
    service::RequestContext,
};

use super::{Mcp, call, kept::Kept, visit::Visit};

/// How long a client may keep a list: it is the same until the server starts anew.
const LIST_FRESH_MS: u64 = 60_000;

/// What a model is told of the server as a whole.
const INSTRUCTIONS: &str = "The tools of a sandbox server. What the name of a tool begins with is the \
    backend it belongs to. Some backends work in sessions that remember what was done; `session_create` \
    opens one. A call that takes long is answered with a handle for `call_wait`.";

type Context = RequestContext<RoleServer>;

/// The server, as the SDK sees it: one for each request over HTTP, one for a client on stdio.
#[derive(Clone)]
pub(super) struct Handler {
    pub(super) mcp: Arc<Mcp>,
    /// Who is there, where requests do not say it themselves.
    pub(super) visit: Option<Visit>,
}

impl Handler {
    fn visit<'a>(&'a self, context: &'a Context) -> Result<&'a Visit, ErrorData> {
        let visit = self.visit.as_ref().or_else(|| Visit::of(context));
        visit.ok_or_else(|| ErrorData::internal_error("a request without a visitor", None))
    }

    fn detached(
        &self,
        id: &str,
        context: &Context,
    ) -> Result<Arc<super::detached::Call>, ErrorData> {
        let owner = self.visit(context)?.caller.owner();
        let call = self.mcp.detached.find(id, owner);
        call.ok_or_else(|| ErrorData::invalid_params("no task has this id", None))
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_tasks()
            .build();
        let server = &self.mcp.sandbox.config.server;
        let mut about = Implementation::new("sandbox", env!("CARGO_PKG_VERSION"));
        about.title = Some(server.title.clone());
        let description = Some(&server.description).filter(|text| !text.is_empty());
        about.description = description.cloned();
        ServerConfig::new(capabilities)
            .with_server_info(about)
            .with_instructions(INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: Context,
    ) -> Result<InitializeResult, ErrorData> {
        let result = self.negotiate_initialize(&request);
        context.peer.set_peer_info(request);
        result
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        let visit = self.visit(&context)?;
        let tools = self.mcp.offer.list(&visit.scope, visit.handle.is_some());
        Ok(ListToolsResult::with_all_items(tools)
            .with_ttl_ms(LIST_FRESH_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let visit = self.visit(&context)?.clone();
        call::call(&self.mcp, &visit, request, context).await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.mcp.offer.tool_with_headers(name).cloned()
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = vec![Kept::template()];
        Ok(ListResourceTemplatesResult::with_all_items(templates))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let owner = self.visit(&context)?.caller.owner();
        let contents = self.mcp.kept.read(&request.uri, owner).ok_or_else(|| {
            let message = "no such resource, or it was kept long enough";
            let data = serde_json::json!({ "uri": request.uri });
            ErrorData::resource_not_found(message, Some(data))
        })?;
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: Context,
    ) -> Result<GetTaskResult, ErrorData> {
        let call = self.detached(&request.task_id, &context)?;
        Ok(GetTaskResult::new(call.detailed_task(&request.task_id)))
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        self.detached(&request.task_id, &context)?.cancel();
        Ok(())
    }
}
