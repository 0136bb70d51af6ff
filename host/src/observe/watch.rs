//! One call, from its start to its end, whatever ends it.

use std::{borrow::Cow, cell::OnceCell, sync::Arc, time::Duration};

use sandbox_plugin_api::host::Answer;

use super::{
    Observers,
    feed::Place,
    record::{CallRecord, End, shown},
    traces::SpanContext,
};
use crate::{catalog::Tool, dispatch::Call, failure::Failure, sessions::Session};

/// A call under way. Dropped without [`ended`](Self::ended), it tells that its caller went away.
pub struct Watch<'a, 'c> {
    observers: &'a Observers,
    call: &'c Call<'c>,
    /// Where the call is shown, once it has begun to run.
    place: Option<Place>,
    span: Option<SpanContext>,
    over: bool,
    tool: Option<&'a Tool>,
    session: Option<Arc<Session>>,
}

impl<'a, 'c> Watch<'a, 'c> {
    pub(super) fn begin(observers: &'a Observers, call: &'c Call<'c>) -> Self {
        Self {
            observers,
            call,
            place: None,
            span: observers
                .traces
                .as_ref()
                .and_then(|traces| traces.begin(call)),
            over: false,
            tool: None,
            session: None,
        }
    }

    /// The call's name means this tool.
    pub fn found(&mut self, tool: &'a Tool) {
        tool.numbers.started();
        let feed = &self.observers.feed;
        self.place = Some(feed.call_started(self.call, Some(tool)));
        self.tool = Some(tool);
    }

    /// The call runs in this session.
    pub fn runs_in(&mut self, session: &Arc<Session>) {
        self.session = Some(Arc::clone(session));
    }

    /// The `traceparent` for what happens inside: this call's span, or else the caller's.
    pub fn traceparent(&self) -> Option<&str> {
        let own = self.span.as_ref().map(SpanContext::traceparent);
        own.or(self.call.parent.traceparent)
    }

    /// The tool, when the name meant one.
    pub const fn tool(&self) -> Option<&'a Tool> {
        self.tool
    }

    /// The session, to be taken when all is over.
    pub fn take_session(&mut self) -> Option<Arc<Session>> {
        self.session.take()
    }

    /// The call has ended; says how long it took.
    pub fn ended(&mut self, result: &Result<Answer, Failure>) -> Duration {
        let elapsed = self.call.started.elapsed();
        let end = match result {
            Ok(answer) => End::Answered {
                code: answer.code(),
                message: match answer.code() {
                    0 => Cow::Borrowed(""),
                    _ => answer.message(),
                },
                bytes: answer.data().len(),
            },
            Err(failure) => End::Answered {
                code: failure.code.0,
                message: Cow::Borrowed(&failure.message),
                bytes: 0,
            },
        };
        self.tell(elapsed, end);
        elapsed
    }

    /// The line of a call that has no answer; every other call's is written by who answers it.
    fn log_abandoned(&self, elapsed: Duration) {
        let call = self.call;
        tracing::info!(
            target: "sandbox::call",
            tool = self.tool.map_or_else(|| shown(call.action), |tool| &tool.name),
            worker = call.worker,
            session = self.session.as_deref().map(|session| &*session.id),
            trace_id = call.trace,
            took_ms = elapsed.as_secs_f64() * 1e3,
            "call abandoned: its client went away"
        );
    }

    fn tell(&mut self, elapsed: Duration, end: End<'_>) {
        self.over = true;
        let call = self.call;
        let place = self.place.unwrap_or_else(|| {
            self.observers.unknown.started();
            self.observers.feed.call_started(call, None)
        });
        let record = CallRecord {
            id: place.id(),
            trace: call.trace,
            front: call.front,
            key: call.caller.owner(),
            peer: call.caller.peer,
            worker: call.worker,
            action: call.action,
            tool: self.tool,
            session: self.session.as_deref(),
            params: call.params,
            elapsed,
            ended: OnceCell::new(),
            end,
        };
        self.observers.call_ended(&record);
        if let (Some(traces), Some(span)) = (&self.observers.traces, &self.span) {
            traces.end(span, call.parent.tracestate.unwrap_or_default(), &record);
        }
        // Last, so that who hears of it finds everything else done.
        self.observers.feed.call_ended(&place, &record);
    }
}

impl Drop for Watch<'_, '_> {
    fn drop(&mut self) {
        if !self.over {
            let elapsed = self.call.started.elapsed();
            self.log_abandoned(elapsed);
            self.tell(elapsed, End::Abandoned);
        }
    }
}
