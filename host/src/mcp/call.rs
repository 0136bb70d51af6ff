//! A call of a tool: from its arguments through dispatch to its result, and what becomes of it when it takes
//! long, is cancelled, or loses its client.

use std::{future::pending, sync::Arc, task::Poll, time::Instant};

use futures_util::poll;
use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CreateTaskResult, JsonObject},
    service::RequestContext,
};
use sandbox_plugin_api::host::Events;
use sandbox_protocol::{ErrorKind, TraceId};
use serde_json::{Value, value::RawValue};
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

use super::{
    Mcp, compact,
    detached::Work,
    handles::Handle,
    offer::Offered,
    own,
    progress::{Listener, Progress, Step},
    reply::{self, Paper},
    schema::SESSION_ID,
    visit::Visit,
};
use crate::{
    dispatch::{self, dispatch},
    failure::{Failure, internal},
    observe::{Front, Origin, Parent},
    sandbox::Caller,
    sessions::{Wanted, WorkerKey},
};

/// The headers of W3C trace context.
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

type Context = RequestContext<RoleServer>;

/// `tools/call`.
pub(super) async fn call(
    mcp: &Arc<Mcp>,
    visit: &Visit,
    request: CallToolRequestParams,
    context: Context,
) -> Result<CallToolResponse, ErrorData> {
    let arguments = request.arguments.unwrap_or_default();
    if own::has(&request.name) {
        return Ok(run_own(mcp, visit, &request.name, arguments, &context).await);
    }
    if visit.scope.compact && compact::has(&request.name) {
        return match compact::call(mcp, visit, &request.name, arguments) {
            compact::Asked::Found(result) => Ok(result.into()),
            compact::Asked::Call(name, arguments) if own::has(&name) => {
                Ok(run_own(mcp, visit, &name, arguments, &context).await)
            }
            compact::Asked::Call(name, arguments) => {
                run(mcp, visit, &name, arguments, context).await
            }
        };
    }
    run(mcp, visit, &request.name, arguments, context).await
}

async fn run_own(
    mcp: &Arc<Mcp>,
    visit: &Visit,
    name: &str,
    arguments: JsonObject,
    context: &Context,
) -> CallToolResponse {
    let origin = Trace::of(context).origin();
    own::call(mcp, visit, name, arguments, origin).await.into()
}

async fn run(
    mcp: &Arc<Mcp>,
    visit: &Visit,
    name: &str,
    mut arguments: JsonObject,
    context: Context,
) -> Result<CallToolResponse, ErrorData> {
    let offered = mcp.offer.find(name, &visit.scope);
    let offered = offered.ok_or_else(|| unknown(mcp, visit, name))?;
    let handle = match handle(mcp, visit, offered, &mut arguments) {
        Ok(handle) => handle,
        Err(failure) => return Ok(reply::of_failure(&failure).into()),
    };
    let tasks = context
        .client_capabilities()
        .is_some_and(|it| it.supports_tasks());
    let token = context.meta.get_progress_token();
    let (progress, steps) = (token.is_some() || tasks).then(Progress::new).unzip();
    let progress = progress.map(Arc::new);
    let job = Job {
        mcp: Arc::clone(mcp),
        caller: visit.caller.clone(),
        has_handle: handle.is_some(),
        worker: Visit::worker(handle.as_ref()),
        name: name.into(),
        params: params(&arguments)?,
        trace: Trace::of(&context),
        progress: progress.clone(),
    };
    let mut work: Work = Box::pin(job.run());
    // What ends at once needs nobody to wait for it, nor can it be cancelled.
    if progress.is_none()
        && let Poll::Ready(result) = poll!(&mut work)
    {
        return Ok(result.into());
    }
    let registered = visit.handle.as_ref().filter(|_| visit.outlives_connection);
    let registered = registered.map(|handle| mcp.cancels.register(handle, &context.id));
    let cancelled = registered.as_ref().map(|it| it.cancelled.clone());
    let work = Box::pin(async move {
        let _registered = registered;
        work.await
    });
    let listener = token.map(|token| Listener {
        peer: context.peer,
        token,
    });
    let waiting = Waiting {
        mcp,
        visit,
        name,
        offered,
        tasks,
        progress,
        steps: Steps(steps, listener),
        closed: context.ct,
        cancelled,
    };
    waiting.wait(work).await
}

/// No such tool, or not for this client.
fn unknown(mcp: &Mcp, visit: &Visit, name: &str) -> ErrorData {
    /// As much of an unknown name as is worth repeating.
    const SHOWN: usize = 80;
    let shown: String = name.chars().take(SHOWN).collect();
    let nearest = mcp.offer.nearest(name, &visit.scope);
    let advice = nearest.map(|name| format!("; did you mean `{name}`?"));
    let message = format!("Unknown tool: `{shown}`{}", advice.unwrap_or_default());
    ErrorData::invalid_params(message, None)
}

/// The session that the call names, else the connection's.
fn handle(
    mcp: &Mcp,
    visit: &Visit,
    offered: &Offered,
    arguments: &mut JsonObject,
) -> Result<Option<Handle>, Failure> {
    if !offered.takes_session() {
        return Ok(visit.handle.clone());
    }
    named_handle(mcp, visit, arguments)
}

/// The handle in the argument `session_id`, else the connection's.
pub(super) fn named_handle(
    mcp: &Mcp,
    visit: &Visit,
    arguments: &mut JsonObject,
) -> Result<Option<Handle>, Failure> {
    let named = match arguments.shift_remove(SESSION_ID) {
        None | Some(Value::Null) => return Ok(visit.handle.clone()),
        Some(Value::String(named)) => named,
        Some(_) => {
            let message = format!("`{SESSION_ID}` must be a string");
            return Err(Failure::new(ErrorKind::Parameter, message));
        }
    };
    match mcp.handles.check(&named, visit.caller.owner()) {
        Some(handle) => Ok(Some(handle)),
        None => Err(Failure::new(
            ErrorKind::NoSession,
            format!(
                "no session has this `{SESSION_ID}`; `session_create` without one gives a new one"
            ),
        )),
    }
}

fn params(arguments: &JsonObject) -> Result<Box<RawValue>, ErrorData> {
    serde_json::value::to_raw_value(arguments)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// The trace that the call belongs to.
struct Trace {
    id: String,
    traceparent: Option<Box<str>>,
    tracestate: Option<Box<str>>,
}

impl Trace {
    /// What the request's `_meta` says counts for more than the headers, which a proxy may have added.
    fn of(context: &Context) -> Self {
        let header = |name| {
            let parts = context.extensions.get::<http::request::Parts>()?;
            parts.headers.get(name)?.to_str().ok()
        };
        let meta = &context.meta;
        let (parent, state) = match meta.get_traceparent() {
            Some(parent) => (Some(parent), meta.get_tracestate()),
            None => (header(TRACEPARENT), header(TRACESTATE)),
        };
        Self {
            id: TraceId::choose(parent, None).to_string(),
            traceparent: parent.map(Into::into),
            tracestate: state.map(Into::into),
        }
    }

    fn origin(&self) -> Origin {
        Origin::new(&self.id, self.traceparent.as_deref())
    }

    fn parent(&self) -> Parent<'_> {
        Parent {
            traceparent: self.traceparent.as_deref(),
            tracestate: self.tracestate.as_deref(),
        }
    }
}

/// A call, with all it needs to go on by itself.
struct Job {
    mcp: Arc<Mcp>,
    caller: Caller,
    worker: String,
    has_handle: bool,
    /// The tool's name here.
    name: Box<str>,
    params: Box<RawValue>,
    trace: Trace,
    progress: Option<Arc<Progress>>,
}

impl Job {
    async fn run(self) -> rmcp::model::CallToolResult {
        let mcp = &self.mcp;
        // Found before with the client's scope.
        let Some(offered) = mcp.offer.find(&self.name, &Default::default()) else {
            return reply::of_failure(&internal());
        };
        if let Err(failure) = self.open_session(offered).await {
            return reply::of_failure(&failure);
        }
        let call = dispatch::Call {
            caller: &self.caller,
            worker: &self.worker,
            action: &offered.action,
            params: Some(&self.params),
            timeout: None,
            trace: &self.trace.id,
            front: Front::Mcp,
            parent: self.trace.parent(),
            started: Instant::now(),
            events: self.progress.clone().map(|it| it as Arc<dyn Events>),
        };
        let outcome = dispatch(&mcp.sandbox, &call).await;
        let paper = Paper {
            mcp,
            owner: self.caller.owner(),
            offered,
            trace: &self.trace.id,
        };
        crate::http::at_once(reply::size(&outcome), || {
            reply::of_outcome(&paper, &outcome)
        })
    }

    /// A client that has a handle works in sessions, and they are opened as it comes to need them: agents
    /// that speak this protocol do not think of it.
    async fn open_session(&self, offered: &Offered) -> Result<(), Failure> {
        let sandbox = &self.mcp.sandbox;
        if !offered.in_session || !self.has_handle || !self.mcp.settings().open_sessions {
            return Ok(());
        }
        let key = WorkerKey::new(self.caller.owner(), &self.worker);
        if sandbox.sessions.find(&key, &offered.backend).is_some() {
            return Ok(());
        }
        let _pass = sandbox.admit()?;
        let backend = sandbox.catalog.backend(&offered.backend)?;
        let wanted = Wanted {
            auto_extend: true,
            origin: self.trace.origin(),
            ..Wanted::default()
        };
        sandbox.sessions.open(&key, backend, &wanted).await?;
        Ok(())
    }
}

/// The steps of the call, and who hears of them.
struct Steps(Option<Receiver<Step>>, Option<Listener>);

impl Steps {
    async fn next(&mut self) -> Step {
        let step = match (&mut self.0, &self.1) {
            (Some(steps), Some(_)) => steps.recv().await,
            _ => None,
        };
        match step {
            Some(step) => step,
            // Nobody listens, or the plugin has said its last.
            None => pending().await,
        }
    }

    async fn tell(&self, step: Step) {
        if let Some(listener) = &self.1 {
            listener.tell(step).await;
        }
    }

    /// What the plugin said before its call ended.
    async fn tell_rest(&mut self) {
        while let Some(step) = self.0.as_mut().and_then(|steps| steps.try_recv().ok()) {
            self.tell(step).await;
        }
    }
}

/// A client that waits for the result of a call.
struct Waiting<'a> {
    mcp: &'a Mcp,
    visit: &'a Visit,
    name: &'a str,
    offered: &'a Offered,
    /// Whether the client knows what a task is.
    tasks: bool,
    progress: Option<Arc<Progress>>,
    steps: Steps,
    /// The client's connection closed, or it cancelled the call on this connection.
    closed: CancellationToken,
    /// It cancelled the call on another one.
    cancelled: Option<CancellationToken>,
}

impl Waiting<'_> {
    async fn wait(mut self, mut work: Work) -> Result<CallToolResponse, ErrorData> {
        let mut after = Some(Box::pin(tokio::time::sleep(
            self.mcp.settings().detach_after,
        )));
        loop {
            tokio::select! {
                biased;
                result = &mut work => {
                    self.steps.tell_rest().await;
                    return Ok(result.into());
                }
                step = self.steps.next() => self.steps.tell(step).await,
                () = cancelled(self.cancelled.as_ref()) => return Err(not_wanted()),
                () = self.closed.cancelled() => {
                    if self.visit.outlives_connection && self.cancelled.is_some() {
                        // It goes on for nobody but its effects, until it ends or is cancelled.
                        tokio::spawn(until_cancelled(work, self.cancelled));
                    }
                    return Err(not_wanted());
                }
                () = elapsed(after.as_mut()) => {
                    after = None;
                    match self.detach(work) {
                        Ok(response) => return Ok(response),
                        Err(again) => work = again,
                    }
                }
            }
        }
    }

    fn detach(&self, work: Work) -> Result<CallToolResponse, Work> {
        let owner = self.visit.caller.key.clone();
        let detached = &self.mcp.detached;
        let (id, call) = detached.adopt(work, owner, self.progress.clone())?;
        Ok(if self.tasks {
            CreateTaskResult::new(call.task(&id)).into()
        } else {
            reply::goes_on(&id, self.name, self.offered).into()
        })
    }
}

async fn elapsed(after: Option<&mut std::pin::Pin<Box<tokio::time::Sleep>>>) {
    match after {
        Some(after) => after.await,
        None => pending().await,
    }
}

async fn cancelled(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => pending().await,
    }
}

async fn until_cancelled(work: Work, token: Option<CancellationToken>) {
    tokio::select! {
        _ = work => {}
        () = cancelled(token.as_ref()) => {}
    }
}

/// Nobody reads this: the client has gone, or said that it wants no answer.
fn not_wanted() -> ErrorData {
    ErrorData::internal_error("the call was cancelled", None)
}
