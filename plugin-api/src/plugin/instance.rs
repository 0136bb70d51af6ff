//! One backend behind the table: turns requests of the ABI into calls of the author's functions.
#![expect(
    unsafe_code,
    reason = "session handles are counted references behind raw pointers"
)]

use std::{collections::HashMap, sync::Arc};

use serde_json::value::RawValue;

use super::operation::Work;
use crate::{
    abi::{Opaque, OperationRequest, OperationRequest1, Outcome},
    backend::{Backend, Call, Kind, SessionCell, Tool},
    context::{BackendEnv, CallContext, Ids, OperationState, SessionInfo},
    error::{Code, Error, Result},
    params,
    reply::{Reply, error_outcome, outcome_of},
    sharded::Spread,
};

/// What the host can do with a backend, whatever its type is.
pub(crate) trait AnyBackend: Send + Sync {
    /// What the log, the context and the handle of an operation share.
    ///
    /// # Safety
    ///
    /// The request's slices must be readable.
    unsafe fn state(
        &self,
        kind: OperationKind,
        request: &OperationRequest,
        within: TraceContext<'_>,
    ) -> Arc<OperationState>;

    /// Prepares an operation: reads what is borrowed, leaves the rest to the returned work.
    ///
    /// # Safety
    ///
    /// The request's slices must be readable, and its session null or a live handle of this backend.
    unsafe fn prepare(
        &self,
        kind: OperationKind,
        request: &OperationRequest,
        state: Arc<OperationState>,
    ) -> Work;

    /// Gives a session's handle back.
    ///
    /// # Safety
    ///
    /// `session` must be a handle of this backend that was not released before.
    unsafe fn release_session(&self, session: *mut Opaque);
}

/// Which function of the table was called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OperationKind {
    Warmup,
    Shutdown,
    Initialize,
    Cleanup,
    Call,
    Probe,
}

impl OperationKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Warmup => "warmup",
            Self::Shutdown => "shutdown",
            Self::Initialize => "initialize",
            Self::Cleanup => "cleanup",
            Self::Call => "call",
            Self::Probe => "probe",
        }
    }
}

/// A backend and its tools.
pub(crate) struct Instance<B: Backend> {
    backend: Spread<B>,
    tools: Vec<Tool<B>>,
    /// The keys of its configuration: the host hands them to every session, too.
    configured: Arc<[String]>,
}

impl<B: Backend> Instance<B> {
    /// Makes the backend from its configuration.
    pub(crate) fn create(config: &[u8], env: &BackendEnv) -> Result<Box<dyn AnyBackend>> {
        let configured: HashMap<String, &RawValue> =
            serde_json::from_slice(config).unwrap_or_default();
        let config = params::parse_config(config)
            .map_err(|error| Error::config(error.message().replace("parameter /", "config /")))?;
        Ok(Box::new(Self {
            configured: configured.into_keys().collect(),
            backend: Spread::new(B::create(config, env)?),
            tools: B::tools(),
        }))
    }

    fn call(
        &self,
        request: &OperationRequest,
        context: CallContext,
        session: Option<Arc<SessionCell<B>>>,
        info: Option<SessionInfo>,
        params: &[u8],
    ) -> Work {
        let Some(tool) = self.tools.get(request.tool as usize) else {
            let error = Error::new(
                Code::Internal,
                format!("no tool has the index {}", request.tool),
            );
            return Work::Ready(error_outcome(&error));
        };
        let call = Call {
            backend: self.backend.hold(),
            context,
            session,
            info,
        };
        (tool.begin)(call, params).0
    }

    fn initialize(&self, context: CallContext, info: SessionInfo) -> Work {
        let (backend, configured) = (self.backend.hold(), Arc::clone(&self.configured));
        Work::Task(Box::pin(async move {
            let config = info.config().get().as_bytes();
            let config = match params::parse_session::<_, B::Config>(config, &configured) {
                Ok(config) => config,
                Err(error) => return error_outcome(&error),
            };
            match B::initialize(&backend, &info, &context, config).await {
                Ok(session) => Outcome {
                    session: handle_of(SessionCell::<B> { session, info }),
                    ..Outcome::SUCCESS
                },
                Err(error) => error_outcome(&error),
            }
        }))
    }

    fn cleanup(&self, context: CallContext, session: Option<Arc<SessionCell<B>>>) -> Work {
        let backend = self.backend.hold();
        Work::Task(Box::pin(async move {
            let Some(cell) = session else {
                return Outcome::SUCCESS;
            };
            done(B::cleanup(&backend, &cell.session, &cell.info, &context).await)
        }))
    }

    fn warmup(&self, context: CallContext) -> Work {
        let backend = self.backend.hold();
        Work::Task(Box::pin(async move {
            done(B::warmup(&backend, &context).await)
        }))
    }

    fn probe(&self, context: CallContext) -> Work {
        let backend = self.backend.hold();
        Work::Task(Box::pin(async move {
            outcome_of(B::probe(&backend, &context).await)
        }))
    }

    fn shutdown(&self, context: CallContext) -> Work {
        let backend = self.backend.hold();
        Work::Task(Box::pin(async move {
            done(B::shutdown(&backend, &context).await)
        }))
    }
}

impl<B: Backend> AnyBackend for Instance<B> {
    unsafe fn state(
        &self,
        kind: OperationKind,
        request: &OperationRequest,
        within: TraceContext<'_>,
    ) -> Arc<OperationState> {
        let name = match kind {
            OperationKind::Call => self
                .tools
                .get(request.tool as usize)
                .map_or("call", |tool| tool.spec.name),
            other => other.name(),
        };
        // SAFETY: the caller vouches for the slices.
        let ids = unsafe { ids_of(request, within, name) };
        Arc::new(OperationState::new(ids))
    }

    unsafe fn prepare(
        &self,
        kind: OperationKind,
        request: &OperationRequest,
        state: Arc<OperationState>,
    ) -> Work {
        let context = CallContext::new(request, state);
        // SAFETY: the caller vouches for the session and the slices.
        let (session, params, config) = unsafe {
            (
                session_of::<B>(request.session),
                request.params.bytes(),
                request.session_config.bytes(),
            )
        };
        let info = |json: &[u8]| {
            // SAFETY: the caller vouches for the slices.
            let ids = unsafe { ids_of(request, TraceContext::default(), kind.name()) };
            SessionInfo::new(ids, B::META.name, raw_object(json))
        };
        match kind {
            OperationKind::Warmup => self.warmup(context),
            OperationKind::Shutdown => self.shutdown(context),
            OperationKind::Probe => self.probe(context),
            OperationKind::Initialize => self.initialize(context, info(params)),
            OperationKind::Cleanup => self.cleanup(context, session),
            OperationKind::Call => {
                let without_handle = B::META.kind == Kind::Shared && !config.is_empty();
                let info = without_handle.then(|| info(config));
                self.call(request, context, session, info, params)
            }
        }
    }

    unsafe fn release_session(&self, session: *mut Opaque) {
        if !session.is_null() {
            // SAFETY: the handle is the reference that `handle_of` leaked, and this its only release.
            drop(unsafe { Arc::from_raw(session.cast_const().cast::<SessionCell<B>>()) });
        }
    }
}

/// Who calls.
///
/// # Safety
///
/// The request's slices must be readable.
unsafe fn ids_of(request: &OperationRequest, within: TraceContext<'_>, name: &'static str) -> Ids {
    // SAFETY: the caller vouches for it.
    let (worker, session, trace) = unsafe {
        (
            request.worker.bytes(),
            request.session_id.bytes(),
            request.trace.bytes(),
        )
    };
    Ids::new([worker, session, trace, within.parent, within.state], name)
}

/// The W3C trace context of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TraceContext<'a> {
    parent: &'a [u8],
    state: &'a [u8],
}

impl TraceContext<'_> {
    /// What a request says; nothing from hosts that know of none.
    ///
    /// # Safety
    ///
    /// `request` must point to a request that is as large as it says, with slices that are readable for `'a`.
    pub(crate) unsafe fn of(request: *const OperationRequest) -> Self {
        // SAFETY: a request begins with its size.
        if unsafe { request.cast::<usize>().read() } < size_of::<OperationRequest1>() {
            return Self::default();
        }
        // SAFETY: it is as large as this, and begins with the frozen struct.
        let request = unsafe { &*request.cast::<OperationRequest1>() };
        // SAFETY: the caller vouches for the slices.
        let (parent, state) = unsafe { (request.traceparent.bytes(), request.tracestate.bytes()) };
        Self { parent, state }
    }
}

fn handle_of<B: Backend>(cell: SessionCell<B>) -> *mut Opaque {
    Arc::into_raw(Arc::new(cell)).cast_mut().cast()
}

/// A counted reference to the session behind a handle: it outlives the handle while a call runs.
///
/// # Safety
///
/// `handle` must be null or a live handle that [`handle_of`] made for the same backend type.
unsafe fn session_of<B: Backend>(handle: *mut Opaque) -> Option<Arc<SessionCell<B>>> {
    if handle.is_null() {
        return None;
    }
    let cell = handle.cast_const().cast::<SessionCell<B>>();
    // SAFETY: the handle holds one reference, so the cell lives; this takes a second one.
    unsafe {
        Arc::increment_strong_count(cell);
        Some(Arc::from_raw(cell))
    }
}

fn raw_object(json: &[u8]) -> Box<RawValue> {
    serde_json::from_slice(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn done(result: Result<()>) -> Outcome {
    outcome_of(result.map(|()| Reply::default()))
}
