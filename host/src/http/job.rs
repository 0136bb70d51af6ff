//! What the routes about sessions, workers and initialisation have in common: a worker, a trace, an
//! envelope. Each of them is a function from a [`Job`] to a [`Done`].

use std::{pin::pin, sync::Arc};

use axum::{
    extract::State,
    response::Response,
    routing::{MethodRouter, post},
};
use sandbox_protocol::{
    Code, Operation, TraceId,
    request::{
        BadRequest, CreateSession, InitBatch, InitFromConfig, InitResource, RefreshSession,
        WorkerRequest, WorkerResource, parse, parse_or_default,
    },
    splice::CallMeta,
};
use serde::Serialize;

use super::{
    answer,
    aside::aside,
    asked::{Asked, bad},
    front::Served,
};
use crate::{
    failure::Failure,
    observe::Origin,
    sandbox::{Caller, Sandbox},
    sessions::WorkerKey,
};

/// Something to do for a worker.
pub(super) struct Job<T> {
    pub(super) served: Arc<Served>,
    pub(super) caller: Caller,
    pub(super) worker: String,
    pub(super) origin: Origin,
    pub(super) request: T,
}

impl<T> Job<T> {
    pub(super) fn sandbox(&self) -> &Sandbox {
        &self.served.sandbox
    }

    /// The worker, as the caller's.
    pub(super) fn key(&self) -> WorkerKey<'_> {
        WorkerKey::new(self.caller.owner(), &self.worker)
    }
}

/// What was done.
pub(super) struct Done<D> {
    data: D,
    code: Code,
    session_id: Option<Box<str>>,
}

impl<D> Done<D> {
    pub(super) fn new(data: D) -> Self {
        Self {
            data,
            code: Code::SUCCESS,
            session_id: None,
        }
    }

    /// Says which session it was about.
    pub(super) fn in_session(mut self, id: &str) -> Self {
        self.session_id = Some(id.into());
        self
    }

    /// Says that it did not succeed altogether.
    pub(super) fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }
}

/// A request on behalf of a worker.
pub(super) trait OfWorker: Sized {
    fn read(body: &[u8]) -> Result<Self, BadRequest>;
    fn worker_id(&self) -> Option<&str>;
    fn trace_id(&self) -> Option<&str>;
}

macro_rules! of_worker {
    ($($request:ty: $read:path),+) => {$(
        impl OfWorker for $request {
            fn read(body: &[u8]) -> Result<Self, BadRequest> {
                $read(body)
            }

            fn worker_id(&self) -> Option<&str> {
                self.worker_id.as_deref()
            }

            fn trace_id(&self) -> Option<&str> {
                self.trace_id.as_deref()
            }
        }
    )+};
}

// Where nothing but the worker is needed, a header may say it and the body be left out.
of_worker!(
    CreateSession: parse,
    InitBatch: parse,
    InitFromConfig: parse,
    InitResource: parse,
    RefreshSession: parse_or_default,
    WorkerRequest: parse_or_default,
    WorkerResource: parse
);

/// The route of an operation.
pub(super) fn operation<T, D, F, W>(operation: Operation, work: W) -> MethodRouter<Arc<Served>>
where
    T: OfWorker + Send + 'static,
    D: Serialize + Send + 'static,
    F: Future<Output = Result<Done<D>, Failure>> + Send + 'static,
    W: Fn(Job<T>) -> F + Clone + Send + Sync + 'static,
{
    post(
        async move |State(served): State<Arc<Served>>, asked: Asked| {
            aside(
                asked.body.len(),
                pin!(run(operation, &work, served, &asked)),
            )
            .await
        },
    )
}

async fn run<T, D, F>(
    operation: Operation,
    work: &(impl Fn(Job<T>) -> F + Sync),
    served: Arc<Served>,
    asked: &Asked,
) -> Response
where
    T: OfWorker,
    D: Serialize,
    F: Future<Output = Result<Done<D>, Failure>>,
{
    let request = T::read(&asked.body);
    let trace = asked.trace_of(&request, T::trace_id).into_owned();
    let result = match request {
        Err(error) => Err(bad(&error)),
        Ok(request) => begin(served, asked, request, &trace, work).await,
    };
    let meta = CallMeta {
        tool: Some(operation.as_str()),
        elapsed: asked.started.elapsed(),
        resource_type: operation.resource_type(),
        trace_id: trace.as_str(),
        ..CallMeta::default()
    };
    match result {
        Err(failure) => answer::refusal(&failure, &meta),
        Ok(done) => {
            let session_id = done.session_id.as_deref();
            answer::done(done.code, &done.data, &CallMeta { session_id, ..meta })
        }
    }
}

async fn begin<T, D, F>(
    served: Arc<Served>,
    asked: &Asked,
    request: T,
    trace: &TraceId<'_>,
    work: &impl Fn(Job<T>) -> F,
) -> Result<Done<D>, Failure>
where
    T: OfWorker,
    F: Future<Output = Result<Done<D>, Failure>>,
{
    let worker = asked.worker(request.worker_id())?.to_owned();
    let _pass = served.sandbox.admit()?;
    let job = Job {
        caller: asked.visitor.caller.clone(),
        served: Arc::clone(&served),
        worker,
        origin: Origin::new(trace.as_str(), asked.parent().traceparent),
        request,
    };
    work(job).await
}
