//! A backend that is loaded: its handle, its limits, and whether it is warm.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sandbox_plugin_api::host::{Answer, BackendHandle, Function, Pending, Request, Status};
use sandbox_protocol::ErrorKind;
use serde_json::{Map, Value};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    failure::{Failure, internal},
    flight::Flight,
    invoke::{answered, invoke},
    observe::{LifeRecord, Observers, Origin, SpanContext, numbers::BackendNumbers},
    plugin::{Kind, LoadedPlugin},
};

/// The first pause after a panic in shared state; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause: an operator who mends the cause should not have to wait long.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long a backend's functions may take, and how many sessions it may have.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `warmup`.
    pub warmup: Duration,
    /// `initialize`.
    pub initialize: Duration,
    /// `cleanup`.
    pub cleanup: Duration,
    /// `shutdown`.
    pub shutdown: Duration,
    /// A tool, unless the call or the tool says otherwise.
    pub tool: Duration,
    /// A session without a call.
    pub session_ttl: Duration,
    /// Sessions at the same time.
    pub max_sessions: Option<usize>,
}

/// A loaded backend.
pub struct Backend {
    /// Its name: the resource type.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: Kind,
    /// What it is for.
    pub description: String,
    /// Its configuration, from which each session's starts.
    pub config: Map<String, Value>,
    /// Its limits.
    pub limits: Limits,
    /// Its library and description.
    pub plugin: LoadedPlugin,
    /// Its handle.
    pub handle: Arc<BackendHandle>,
    /// Calls off everything of this backend: the server stops.
    pub called_off: CancellationToken,
    /// How many sessions it has.
    pub sessions: AtomicUsize,
    /// Its counters.
    pub numbers: BackendNumbers,
    observers: Arc<Observers>,
    warm: AtomicBool,
    /// Whether there are panics to forget, so that calls need not look under the lock.
    panicked: AtomicBool,
    warmth: Mutex<Warmth>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Warmth {
    /// The warm-up under way, or the last one.
    flight: Option<Flight<Result<(), Failure>>>,
    /// Whether `warmup` has run without a `shutdown` since.
    started: bool,
    /// Panics in shared state since the backend last behaved.
    panics: u32,
    /// No warm-up before this.
    not_before: Option<Instant>,
    /// What the last failure said.
    last_error: Option<String>,
    /// What the last probe said, if it failed.
    probe_error: Option<String>,
    /// A probe that did not end when it was cancelled.
    stuck: Option<Pending>,
}

/// What a backend is made of.
pub struct Parts {
    /// Its name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: Kind,
    /// What it is for.
    pub description: String,
    /// Its configuration.
    pub config: Map<String, Value>,
    /// Its limits.
    pub limits: Limits,
    /// Its library and description.
    pub plugin: LoadedPlugin,
    /// Its handle.
    pub handle: Arc<BackendHandle>,
}

impl Backend {
    /// A backend that is cold.
    pub fn new(
        parts: Parts,
        called_off: CancellationToken,
        tasks: TaskTracker,
        observers: Arc<Observers>,
    ) -> Self {
        Self {
            name: parts.name,
            kind: parts.kind,
            description: parts.description,
            config: parts.config,
            limits: parts.limits,
            plugin: parts.plugin,
            handle: parts.handle,
            called_off,
            sessions: AtomicUsize::new(0),
            numbers: BackendNumbers::default(),
            observers,
            warm: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            warmth: Mutex::default(),
            tasks,
        }
    }

    /// Whether the backend is warm.
    pub fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Acquire)
    }

    /// Whether a warm-up is under way.
    pub fn is_warming(&self) -> bool {
        let flight = &self.lock().flight;
        flight
            .as_ref()
            .is_some_and(|flight| flight.result().is_none())
    }

    /// What the last failure of the backend said.
    pub fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    /// Warms the backend up, once, however many ask at the same time.
    ///
    /// # Errors
    ///
    /// Code 2003 for all that waited, 2002 when it took too long; the next to ask tries again.
    pub async fn warm_up(self: &Arc<Self>) -> Result<(), Failure> {
        if self.is_warm() {
            return Ok(());
        }
        // Boxed, so that calls that find everything ready stay small; likewise wherever a call has to wait.
        Box::pin(self.get_warm()).await
    }

    async fn get_warm(self: &Arc<Self>) -> Result<(), Failure> {
        let flight = {
            let mut warmth = self.lock();
            match &warmth.flight {
                Some(flight)
                    if flight
                        .result()
                        .is_none_or(|result| result.is_ok() && self.is_warm()) =>
                {
                    flight.clone()
                }
                _ => {
                    warmth.check_pause(&self.name)?;
                    let backend = Arc::clone(self);
                    let flight =
                        Flight::start(&self.tasks, async move { backend.run_warmup().await });
                    warmth.flight = Some(flight.clone());
                    flight
                }
            }
        };
        flight.wait().await.unwrap_or_else(|| Err(internal()))
    }

    async fn run_warmup(self: &Arc<Self>) -> Result<(), Failure> {
        let leave = |doing: &str, pending| self.leave(doing, pending);
        let again = std::mem::replace(&mut self.lock().started, true);
        if again {
            // What the last warm-up made is given back first, or it would be made twice.
            self.operate(Function::Shutdown, self.limits.shutdown, "", leave)
                .await
                .ok();
        }
        // Whoever asks first begins it, and all others wait for it: it belongs to no caller's trace.
        let span = self.observers.life(&Origin::default());
        let within = span.as_ref().map_or("", SpanContext::traceparent);
        let started = Instant::now();
        let result = self
            .operate(Function::Warmup, self.limits.warmup, within, leave)
            .await;
        let took = started.elapsed();
        let result = match result {
            Ok(()) => {
                let took_ms = took.as_secs_f64() * 1e3;
                tracing::info!(backend = &*self.name, took_ms, "backend is warm");
                self.warm.store(true, Ordering::Release);
                Ok(())
            }
            Err(failure) => {
                tracing::warn!(backend = &*self.name, error = %failure, "warm-up failed");
                let failure = failure.for_callers();
                self.lock().last_error = Some(failure.message.clone());
                Err(failure)
            }
        };
        self.observers.warmed_up(self, took, &result);
        let record = LifeRecord {
            function: "warmup",
            backend: self,
            worker: None,
            session: None,
            elapsed: took,
            error: result.as_ref().err().map(|failure| &*failure.message),
        };
        self.observers.lived(span.as_ref(), &record);
        result
    }

    /// Asks the backend how it is: what its `probe` found, or what is wrong. Nothing when it is cold, or cannot say.
    pub async fn probe(self: &Arc<Self>, limit: Duration) -> Option<Result<Value, Failure>> {
        if !self.is_warm() {
            return None;
        }
        let doing = format!("the probe of `{}`", self.name);
        if self.is_stuck(&doing) {
            let message = format!("{doing} does not end, though it was cancelled");
            return Some(Err(Failure::new(ErrorKind::TimedOut, message)));
        }
        let request = Request {
            timeout: Some(limit),
            ..Request::default()
        };
        let pending = self.handle.start(Function::Probe, &request, None, None);
        let leave = |pending| {
            let before = self.lock().stuck.replace(pending);
            if let Some(before) = before {
                self.leave(&doing, before);
            }
        };
        let end = invoke(pending, limit, self.called_off.cancelled(), leave);
        let answer = match answered(end.await, &doing, limit) {
            Ok(answer) => answer,
            Err(failure) => return Some(Err(failure)),
        };
        if answer.is_success() {
            self.hears_of_probe(None);
            let found = answer.data();
            return (!found.is_empty())
                .then(|| Ok(serde_json::from_slice(found).unwrap_or_default()));
        }
        self.panicked(&doing, &answer);
        let kind = ErrorKind::BackendFailed;
        let failure = Failure::of_answer(&answer, kind, &doing);
        self.hears_of_probe(Some(&failure.message));
        Some(Err(failure.for_callers()))
    }

    /// What a probe said, for the log: once, not each time that somebody asks.
    fn hears_of_probe(&self, error: Option<&str>) {
        let before = std::mem::replace(&mut self.lock().probe_error, error.map(str::to_owned));
        match error {
            same if same == before.as_deref() => {}
            Some(error) => tracing::warn!(backend = &*self.name, error, "the probe failed"),
            None => tracing::info!(backend = &*self.name, "the probe succeeds again"),
        }
    }

    /// Whether the last probe has outlived its cancellation and still runs. Those who watch ask again and again: each
    /// question would keep another thread of the plugin.
    fn is_stuck(&self, doing: &str) -> bool {
        let (ended, stuck) = {
            let stuck = &mut self.lock().stuck;
            let answer = stuck.as_mut().and_then(Pending::try_take);
            let ended = answer.map(|answer| (answer, stuck.take()));
            (ended, stuck.is_some())
        };
        if let Some((answer, _)) = ended {
            self.panicked(doing, &answer);
        }
        stuck
    }

    /// Runs `warmup` or `shutdown`.
    async fn operate(
        &self,
        function: Function,
        limit: Duration,
        traceparent: &str,
        leave: impl FnOnce(&str, Pending),
    ) -> Result<(), Failure> {
        let doing = match function {
            Function::Warmup => format!("warming up `{}`", self.name),
            _ => format!("shutting down `{}`", self.name),
        };
        let request = Request {
            timeout: Some(limit),
            traceparent,
            ..Request::default()
        };
        let pending = self.handle.start(function, &request, None, None);
        let called_off = async {
            match function {
                Function::Warmup => self.called_off.cancelled().await,
                _ => std::future::pending().await,
            }
        };
        // An operation that ignores its cancellation is left to itself: it cannot be made to stop.
        let end = invoke(pending, limit, called_off, |pending| leave(&doing, pending));
        let answer = answered(end.await, &doing, limit)?;
        if answer.is_success() {
            return Ok(());
        }
        self.panicked(&doing, &answer);
        let mut failure = Failure::of_answer(&answer, ErrorKind::WarmupFailed, &doing);
        // What is missing stays 2004; anything else that stops a warm-up is 2003.
        if failure.code != ErrorKind::Unavailable.code() {
            (failure.code, failure.status) = (
                ErrorKind::WarmupFailed.code(),
                ErrorKind::WarmupFailed.status(),
            );
        }
        Err(failure)
    }

    /// Tells of a panic, if the answer to `doing` is one. Its message and place are for the operator;
    /// the caller learns only that it happened.
    pub fn panicked(&self, doing: &str, answer: &Answer) {
        if answer.status() == Status::Panicked {
            let panic = answer.message();
            tracing::error!(backend = &*self.name, doing, %panic, "the plugin panicked");
            self.observers.panicked(self, doing);
        }
    }

    /// Leaves an operation to itself that has nobody to answer to: that it panicked is told even so.
    pub fn leave(self: &Arc<Self>, doing: &str, pending: Pending) {
        let (backend, doing) = (Arc::clone(self), doing.to_owned());
        pending.leave(move |answer| backend.panicked(&doing, &answer));
    }

    /// After a panic in shared state: cold again, to be warmed up anew after a pause.
    pub fn poison(&self) {
        self.warm.store(false, Ordering::Release);
        let mut warmth = self.lock();
        let pause = FIRST_PAUSE
            .saturating_mul(1 << warmth.panics.min(16))
            .min(LONGEST_PAUSE);
        warmth.panics += 1;
        self.panicked.store(true, Ordering::Relaxed);
        warmth.not_before = Some(Instant::now() + pause);
        // Message and place are in the log; whoever may ask how backends are must not read them.
        warmth.last_error = Some("it panicked; the server's log says more".to_owned());
    }

    /// After a call that ended well: the backend behaves.
    pub fn behaved(&self) {
        // Only a backend that was poisoned before has anything to forget, and only one needs to.
        if self.panicked.load(Ordering::Relaxed) && self.is_warm() {
            let mut warmth = self.lock();
            warmth.panics = 0;
            self.panicked.store(false, Ordering::Relaxed);
        }
    }

    /// Runs `shutdown`, if the backend was ever warm. The last thing that happens to it.
    pub async fn shut_down(&self) {
        self.warm.store(false, Ordering::Release);
        if !std::mem::take(&mut self.lock().started) {
            return;
        }
        // Nothing comes after it that could wait for what it leaves.
        let leave = |_: &str, pending| drop(pending);
        let limit = self.limits.shutdown;
        let ended = self.operate(Function::Shutdown, limit, "", leave).await;
        if let Err(failure) = ended {
            tracing::warn!(backend = &*self.name, error = %failure, "shutdown failed");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Warmth> {
        self.warmth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Warmth {
    fn check_pause(&self, name: &str) -> Result<(), Failure> {
        let now = Instant::now();
        match self.not_before.filter(|instant| *instant > now) {
            None => Ok(()),
            Some(instant) => Err(Failure::new(
                ErrorKind::WarmupFailed,
                format!("`{name}` panicked and rests before it is warmed up anew"),
            )
            .retry_after(instant - now)),
        }
    }
}
