//! The route that runs several tools: one after the other, or several at a time.

use std::{pin::pin, sync::Arc, time::Instant};

use axum::{extract::State, response::Response};
use futures_util::{StreamExt, stream::FuturesUnordered};
use sandbox_protocol::{
    Code, ErrorKind, Operation, Seconds,
    request::{Action, BatchRequest},
    routes,
    splice::CallMeta,
};

use super::{
    answer::{Written, done_with, refusal, write_outcome},
    aside::aside,
    asked::{Asked, bad},
    front::Served,
    once::{key_of, once},
};
use crate::{
    config::Limits,
    dispatch::{Call, dispatch_part},
    failure::Failure,
    gate::Pass,
    observe::Front,
};

/// `POST /api/v1/execute/batch`.
pub(super) async fn batch(State(served): State<Arc<Served>>, asked: Asked) -> Response {
    let length = asked.body.len();
    if key_of(&asked.headers).is_none() {
        return aside(length, pin!(run(&served, &asked))).await;
    }
    let work = async move |served: Arc<Served>, asked: Arc<Asked>| {
        aside(length, pin!(run(&served, &asked))).await
    };
    once(served, asked, routes::EXECUTE_BATCH, work).await
}

async fn run(served: &Served, asked: &Asked) -> Response {
    let parsed = BatchRequest::parse(&asked.body);
    let trace = asked.trace_of(&parsed, |batch| batch.trace_id.as_deref());
    let results = match &parsed {
        Err(error) => Err(bad(error)),
        Ok(batch) => execute(served, asked, batch, trace.as_str()).await,
    };
    let meta = CallMeta {
        tool: Some(Operation::BatchExecute.as_str()),
        elapsed: asked.started.elapsed(),
        resource_type: Operation::BatchExecute.resource_type(),
        trace_id: trace.as_str(),
        ..CallMeta::default()
    };
    match results {
        Err(failure) => refusal(&failure, &meta),
        Ok(results) => done_with(results.code(), &meta, |envelope| {
            results.write(envelope);
            Ok(())
        }),
    }
}

async fn execute(
    served: &Served,
    asked: &Asked,
    batch: &BatchRequest<'_>,
    trace: &str,
) -> Result<Results, Failure> {
    let limits = &served.sandbox.config.server.limits;
    let asked_for = batch.actions.len();
    check_count("actions", asked_for, limits)?;
    let worker = asked.worker(batch.worker_id.as_deref())?;
    // For all of it: what has begun when the server drains is let end, whole.
    let pass = served.sandbox.admit()?;
    let one = Runner {
        served,
        asked,
        worker,
        trace,
        pass,
    };
    let mut results = Results::new(asked_for);
    if batch.parallel {
        one.all(
            &batch.actions,
            limits.batch_concurrency,
            batch.stop_on_error,
            &mut results,
        )
        .await;
    } else {
        one.after_another(&batch.actions, batch.stop_on_error, &mut results)
            .await;
    }
    Ok(results)
}

/// An action's place among all, and how it ended.
type End = (usize, Written, Vec<u8>);

struct Runner<'a> {
    served: &'a Served,
    asked: &'a Asked,
    worker: &'a str,
    trace: &'a str,
    pass: Pass,
}

impl Runner<'_> {
    /// Runs all, some at a time. A failure keeps others from beginning: those that have begun could not be taken back.
    async fn all(
        &self,
        actions: &[Action<'_>],
        at_once: usize,
        stop_on_error: bool,
        results: &mut Results,
    ) {
        let mut waiting = actions.iter().enumerate();
        let begin = |(place, action)| self.run(place, action);
        let mut running: FuturesUnordered<_> = waiting.by_ref().take(at_once).map(begin).collect();
        let mut stopped = false;
        while let Some(end) = running.next().await {
            stopped |= stop_on_error && !end.1.succeeded;
            results.put(end);
            if !stopped {
                running.extend(waiting.next().map(begin));
            }
            give_way().await;
        }
    }

    async fn after_another(
        &self,
        actions: &[Action<'_>],
        stop_on_error: bool,
        results: &mut Results,
    ) {
        for (place, action) in actions.iter().enumerate() {
            let end = self.run(place, action).await;
            let failed = !end.1.succeeded;
            results.put(end);
            if failed && stop_on_error {
                break;
            }
            give_way().await;
        }
    }

    async fn run(&self, place: usize, action: &Action<'_>) -> End {
        let call = Call {
            caller: &self.asked.visitor.caller,
            worker: self.worker,
            action: &action.action,
            params: action.params,
            timeout: action.timeout.map(Seconds::duration),
            trace: self.trace,
            front: Front::Batch,
            parent: self.asked.parent(),
            started: Instant::now(),
            events: None,
        };
        let outcome = dispatch_part(&self.served.sandbox, &call, Some(&self.pass)).await;
        let mut envelope = Vec::new();
        let written = write_outcome(&mut envelope, &outcome, &action.action, self.trace);
        (place, written, envelope)
    }
}

/// Tools that never wait would keep this thread from all others.
async fn give_way() {
    tokio::task::consume_budget().await;
}

/// The envelopes of those that ran, each in the place of its action.
struct Results {
    envelopes: Vec<Vec<u8>>,
    executed: usize,
    succeeded: usize,
}

impl Results {
    fn new(total: usize) -> Self {
        Self {
            envelopes: vec![Vec::new(); total],
            executed: 0,
            succeeded: 0,
        }
    }

    fn put(&mut self, (place, written, envelope): End) {
        self.executed += 1;
        self.succeeded += usize::from(written.succeeded);
        self.envelopes[place] = envelope;
    }

    fn code(&self) -> Code {
        let failed = self.executed - self.succeeded;
        code_of(self.succeeded, failed, self.envelopes.len())
    }

    /// The data of the answer: the envelopes as they are, and the counts.
    fn write(&self, envelope: &mut Vec<u8>) {
        envelope.reserve(
            self.envelopes
                .iter()
                .map(|one| one.len() + 1)
                .sum::<usize>()
                + 100,
        );
        envelope.extend_from_slice(br#"{"results":["#);
        let ran = self.envelopes.iter().filter(|one| !one.is_empty());
        for (place, one) in ran.enumerate() {
            if place > 0 {
                envelope.push(b',');
            }
            envelope.extend_from_slice(one);
        }
        let counts = format!(
            r#"],"total":{},"executed":{},"success_count":{}}}"#,
            self.envelopes.len(),
            self.executed,
            self.succeeded
        );
        envelope.extend_from_slice(counts.as_bytes());
    }
}

/// Refuses lists that are longer than a batch may be.
pub(super) fn check_count(field: &str, count: usize, limits: &Limits) -> Result<(), Failure> {
    let most = limits.max_batch_actions;
    if count <= most {
        return Ok(());
    }
    let message = format!("`{field}` has {count} entries; at most {most} are allowed");
    Err(Failure::new(ErrorKind::Parameter, message))
}

/// The code of several things of which some succeeded and some failed; others were left out.
pub(super) fn code_of(succeeded: usize, failed: usize, total: usize) -> Code {
    if succeeded == total {
        Code::SUCCESS
    } else if failed == total {
        Code::ALL_FAILED
    } else {
        Code::PARTIAL_FAILURE
    }
}
