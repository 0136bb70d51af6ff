//! The one way of a call, whichever front it came through: tool, parameters, backend, session, run.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sandbox_plugin_api::host::{Answer, Events, Function, Pending, Request, Status};
use sandbox_protocol::{Code, ErrorKind};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::{
    backend::Backend,
    catalog::Tool,
    failure::Failure,
    gate::Pass,
    invoke::{End, answered, invoke},
    observe::{Front, Origin, Parent, Watch, record::shown},
    plugin::Kind,
    sandbox::{Caller, Sandbox},
    sessions::{Lease, Session, WorkerKey},
};

/// A call as a front hands it over.
pub struct Call<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// The worker.
    pub worker: &'a str,
    /// The tool's name, in any of the forms that callers use.
    pub action: &'a str,
    /// The parameters, not parsed.
    pub params: Option<&'a RawValue>,
    /// How long the tool may run, if the caller says.
    pub timeout: Option<Duration>,
    /// The trace.
    pub trace: &'a str,
    /// Where it came in.
    pub front: Front,
    /// The caller's span.
    pub parent: Parent<'a>,
    /// When all of it was there.
    pub started: Instant,
    /// Where progress and output go, if anybody listens.
    pub events: Option<Arc<dyn Events>>,
}

/// How a call ended, with what a front writes into the answer's `meta`.
pub struct Outcome<'a> {
    /// The tool, when the name meant one.
    pub tool: Option<&'a Tool>,
    /// The session it ran in.
    pub session: Option<Arc<Session>>,
    /// How long it took.
    pub elapsed: Duration,
    /// What the tool answered, or why it did not.
    pub result: Result<Answer, Failure>,
}

/// Runs a call. Dropping the future cancels it in the plugin.
pub fn dispatch<'a>(sandbox: &'a Sandbox, call: &Call<'_>) -> impl Future<Output = Outcome<'a>> {
    dispatch_part(sandbox, call, None)
}

/// The same for a call that is a part of what was let in as a `whole`.
pub async fn dispatch_part<'a>(
    sandbox: &'a Sandbox,
    call: &Call<'_>,
    whole: Option<&Pass>,
) -> Outcome<'a> {
    let mut watch = sandbox.observers.watch(call);
    let result = run(sandbox, call, whole, &mut watch).await;
    let outcome = Outcome {
        elapsed: watch.ended(&result),
        tool: watch.tool(),
        session: watch.take_session(),
        result,
    };
    drop(watch);
    outcome.log(call);
    outcome
}

async fn run<'a>(
    sandbox: &'a Sandbox,
    call: &Call<'_>,
    whole: Option<&Pass>,
    watch: &mut Watch<'a, '_>,
) -> Result<Answer, Failure> {
    // 1. May there be calls at all, and which tool is meant?
    let pass = match whole {
        None => sandbox.admit()?,
        Some(whole) => sandbox.admit_part(whole)?,
    };
    let tool = sandbox.catalog.tool(call.action)?;
    watch.found(tool);
    // 2. Parameters, for plugins that leave their check to the host.
    let params = call.params.map_or("{}", RawValue::get);
    check_params(tool, params)?;
    // 3. The backend, warm.
    tool.backend.warm_up().await?;
    // 4. The session: the worker's, or one for this call alone.
    let key = WorkerKey::new(call.caller.owner(), call.worker);
    let lease = sandbox.sessions.lease(&key, &tool.backend).await?;
    let needs_one = tool.backend.kind != Kind::Shared;
    let temporary = match &lease {
        None if needs_one => {
            let origin = Origin::new(call.trace, watch.traceparent());
            let sessions = &sandbox.sessions;
            let made = sessions.open_temporary(&key, &tool.backend, origin);
            Some(Box::pin(made).await?)
        }
        _ => None,
    };
    let lease = lease.or_else(|| {
        temporary
            .as_ref()
            .and_then(|made| Lease::begin(made.session()))
    });
    let session = lease.as_ref().map(|lease| Arc::clone(lease.session()));
    if let Some(session) = &session {
        watch.runs_in(session);
    }
    // 5. The tool itself. The lease stays with the operation until the plugin is done with it.
    let within = (
        watch.traceparent().unwrap_or_default(),
        call.parent.tracestate.unwrap_or_default(),
    );
    run_tool(tool, call, within, params, session.as_ref(), (lease, pass)).await
}

async fn run_tool(
    tool: &Tool,
    call: &Call<'_>,
    (traceparent, tracestate): (&str, &str),
    params: &str,
    session: Option<&Arc<Session>>,
    keep: (Option<Lease>, Pass),
) -> Result<Answer, Failure> {
    let timeout = call.timeout.unwrap_or(tool.timeout);
    let backend = &tool.backend;
    let request = Request {
        tool: tool.index,
        params: params.as_bytes(),
        worker: call.worker,
        session_id: session.map_or("", |session| &session.id),
        session_config: session.map_or(&[], |session| session.config.as_bytes()),
        trace: call.trace,
        traceparent,
        tracestate,
        timeout: Some(timeout),
        session: session.and_then(|session| session.handle()),
    };
    let events = call.events.clone();
    let mut pending = backend
        .handle
        .start(Function::Call, &request, events, Some(Box::new(keep)));
    let answer = match pending.try_take() {
        // What ended at once needs neither timer nor registration, nor the room for them.
        Some(answer) => answer,
        None => Box::pin(wait(tool, session, pending, timeout)).await?,
    };
    match answer.status() {
        Status::Completed => {
            check_answer(tool, &answer)?;
            backend.behaved();
            lost(session, &answer);
            Ok(answer)
        }
        Status::Panicked => {
            let session = session.map(|session| &**session);
            Err(panicked(&tool.name, backend, session, &answer))
        }
        Status::Cancelled => Err(Failure::new(
            ErrorKind::BackendFailed,
            format!("`{}` was cancelled by its backend", tool.name),
        )),
    }
}

async fn wait(
    tool: &Tool,
    session: Option<&Arc<Session>>,
    pending: Pending,
    timeout: Duration,
) -> Result<Answer, Failure> {
    let called_off = async {
        match session {
            Some(session) => session.called_off().await,
            None => tool.backend.called_off.cancelled().await,
        }
    };
    // An operation that ignores its cancellation keeps its lease until it ends; its caller goes on.
    let end = invoke(pending, timeout, called_off, |pending| {
        leave(tool, session, pending);
    });
    let end = end.await;
    if matches!(end, End::CalledOff) && !tool.backend.called_off.is_cancelled() {
        let message = format!(
            "`{}` was cancelled: its session is being destroyed",
            tool.name
        );
        return Err(Failure::new(ErrorKind::SessionClosing, message));
    }
    answered(end, &tool.name, timeout).map_err(Failure::having_begun)
}

/// Nobody waits for the call any more, but a panic in it spoils what it may have left half done all the same. What that
/// takes is only held for the calls that end like this: it is shared by all.
fn leave(tool: &Tool, session: Option<&Arc<Session>>, pending: Pending) {
    let (name, backend) = (tool.name.clone(), Arc::clone(&tool.backend));
    let session = session.cloned();
    pending.leave(move |answer| {
        if answer.status() == Status::Panicked {
            panicked(&name, &backend, session.as_deref(), &answer);
        }
    });
}

/// A backend that says 1003 says that the session is of no more use: creating it again makes another, and does not
/// find this one.
fn lost(session: Option<&Arc<Session>>, answer: &Answer) {
    if answer.code() == Code::SESSION.0
        && let Some(session) = session.filter(|session| session.handle().is_some())
    {
        session.poison();
    }
}

/// A panic spoils what the tool may have left half done: its session, or else the backend.
fn panicked(tool: &str, backend: &Backend, session: Option<&Session>, answer: &Answer) -> Failure {
    backend.panicked(tool, answer);
    let lost = if let Some(session) = session.filter(|session| session.handle().is_some()) {
        session.poison();
        if session.temporary {
            "the session made for this call alone is gone, and no other is touched"
        } else {
            "its session is lost; create it again"
        }
    } else {
        backend.poison();
        "the backend is being started anew; try again"
    };
    Failure::new(
        ErrorKind::BackendFailed,
        format!("`{tool}` panicked; {lost}"),
    )
}

fn check_params(tool: &Tool, params: &str) -> Result<(), Failure> {
    let Some(checker) = &tool.checker else {
        return Ok(());
    };
    let wrong = |message: String| Failure::new(ErrorKind::Parameter, message);
    let value = serde_json::from_str(params).map_err(|error| wrong(format!("params: {error}")))?;
    match checker.first(&value) {
        None => Ok(()),
        Some(fault) => {
            let data = serde_json::to_value(&fault).unwrap_or_default();
            Err(wrong(format!("parameter {fault}")).with_data(data))
        }
    }
}

/// An answer is spliced into what clients read, so it must be JSON. Our SDK writes nothing else, and only plugins that
/// are made with it have its door; of others nobody knows, whatever they say of themselves.
fn check_answer(tool: &Tool, answer: &Answer) -> Result<(), Failure> {
    let by_our_sdk = tool.backend.plugin.inspection.doors.rust;
    if by_our_sdk || (is_json(answer.data()) && is_json(answer.meta())) {
        return Ok(());
    }
    Err(Failure::new(
        ErrorKind::BackendFailed,
        format!("`{}` answered something that is not JSON", tool.name),
    ))
}

/// Whether it is JSON, or nothing, which stands for `null`.
fn is_json(text: &[u8]) -> bool {
    // What is ignored is not looked at for UTF-8.
    let is_value = |text| serde_json::from_str::<IgnoredAny>(text).is_ok();
    text.is_empty() || str::from_utf8(text).is_ok_and(is_value)
}

impl Outcome<'_> {
    /// The one line per call.
    fn log(&self, call: &Call<'_>) {
        let code = match &self.result {
            Ok(answer) => answer.code(),
            Err(failure) => failure.code.0,
        };
        tracing::info!(
            target: "sandbox::call",
            tool = self.tool.map_or_else(|| shown(call.action), |tool| &tool.name),
            worker = call.worker,
            session = self.session.as_deref().map(|session| &*session.id),
            trace_id = call.trace,
            code,
            took_ms = self.elapsed.as_secs_f64() * 1e3,
            error = self.result.as_ref().err().map(tracing::field::display),
            "call"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_spliced() {
        for fine in [&b""[..], b"null", br#"{"a": [1, "\u00e9"]}"#] {
            assert!(is_json(fine));
        }
        for wrong in [&b"{"[..], b"{} {}", b"NaN", b"\"\xff\"", b"nothing"] {
            assert!(!is_json(wrong), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
