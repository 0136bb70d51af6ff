//! Making a session: once per worker and type, whoever asks, and nothing left behind when it fails.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use sandbox_plugin_api::host::{Answer, Function, Pending, Request, SessionHandle};
use sandbox_protocol::{ErrorKind, SessionName};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::{
    Coming, Place, Session, Sessions, Slot, WorkerKey, close::cleanup, config, session::Parts,
};
use crate::{
    backend::Backend,
    failure::{Failure, internal},
    flight::Flight,
    invoke::{answered, invoke},
    observe::{LifeRecord, Origin, SpanContext, Why},
    plugin::Kind,
};

/// When to ask again for a place that others have: their sessions end at any time.
const LATER: Duration = Duration::from_secs(1);

/// The session that somebody wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What to lay over the resource's own configuration.
    pub config: Map<String, Value>,
    /// A name of the client's own.
    pub custom_name: Option<String>,
    /// How long it lives without a call; the resource's default if absent.
    pub ttl: Option<Duration>,
    /// Whether calls restart that time.
    pub auto_extend: bool,
    /// The trace that asked.
    pub origin: Origin,
}

/// What came of asking for a session.
pub enum Opened {
    /// It was made.
    Created(Arc<Session>),
    /// There was one already.
    Existed(Arc<Session>),
}

/// A session on its way.
type Making = Flight<Result<Arc<Session>, Failure>>;

enum Found {
    Flight(Making, bool),
    Existing(Arc<Session>),
    Poisoned(Arc<Session>),
    Leaving(Flight<()>),
    Full(Failure),
}

impl Sessions {
    /// Makes the worker's session of this backend, or finds the one that is there.
    ///
    /// # Errors
    ///
    /// Code 1003 when `initialize` fails, 2002 when it hangs, 1007 when there are too many.
    pub async fn open(
        self: &Arc<Self>,
        key: &WorkerKey<'_>,
        backend: &Arc<Backend>,
        wanted: &Wanted,
    ) -> Result<Opened, Failure> {
        let key = &key.clone().into_owned();
        loop {
            match self.find_or_start(key, backend, wanted) {
                Found::Existing(session) => return Ok(Opened::Existed(session)),
                Found::Full(failure) => return Err(failure),
                Found::Flight(flight, mine) => {
                    let session = flight.wait().await.unwrap_or_else(|| Err(internal()))?;
                    return Ok(if mine {
                        Opened::Created(session)
                    } else {
                        Opened::Existed(session)
                    });
                }
                // Asking for a session is the way out of a poisoned one.
                Found::Poisoned(session) => {
                    self.close(&session, Duration::ZERO, Why::Poisoned)
                        .wait()
                        .await;
                }
                Found::Leaving(flight) => {
                    flight.wait().await;
                }
            }
        }
    }

    fn find_or_start(
        self: &Arc<Self>,
        key: &WorkerKey<'static>,
        backend: &Arc<Backend>,
        wanted: &Wanted,
    ) -> Found {
        self.map
            .decide(key, &backend.name, |slot, owned, number| match slot {
                Some(Slot::Active(session)) if session.is_poisoned() => {
                    (None, Found::Poisoned(Arc::clone(session)))
                }
                Some(Slot::Active(session)) => (None, Found::Existing(Arc::clone(session))),
                Some(Slot::Creating(_, flight)) => (None, Found::Flight(flight.clone(), false)),
                Some(Slot::Closing(_, flight)) => (None, Found::Leaving(flight.clone())),
                None => match self.begin_open(key, backend, wanted, owned, number) {
                    Err(failure) => (None, Found::Full(failure)),
                    Ok((coming, flight)) => (
                        Some(Slot::Creating(coming, flight.clone())),
                        Found::Flight(flight, true),
                    ),
                },
            })
    }

    fn begin_open(
        self: &Arc<Self>,
        key: &WorkerKey<'static>,
        backend: &Arc<Backend>,
        wanted: &Wanted,
        owned: usize,
        number: u32,
    ) -> Result<(Arc<Coming>, Making), Failure> {
        let place = self.take_place(backend, Some(owned))?;
        let coming = Arc::new(Coming {
            id: new_id(backend, key, wanted, number)?.into(),
            since: self.clock.now_ms(),
        });
        let flight = self.start_open(key, &coming, wanted, place);
        Ok((coming, flight))
    }

    fn start_open(
        self: &Arc<Self>,
        key: &WorkerKey<'static>,
        coming: &Coming,
        wanted: &Wanted,
        place: Place,
    ) -> Making {
        let (sessions, key, wanted) = (Arc::clone(self), key.clone(), wanted.clone());
        let id = coming.id.clone();
        Flight::start(&self.tasks, async move {
            let backend = Arc::clone(&place.backend);
            let made = sessions.make(&key, place, &wanted, id, false).await;
            match &made {
                Ok(session) => {
                    let mine = |slot: &Slot| matches!(slot, Slot::Creating(..));
                    sessions.map.replace(
                        &key,
                        &backend.name,
                        mine,
                        Slot::Active(Arc::clone(session)),
                    );
                    sessions.expiry.add(session, sessions.count());
                }
                Err(_) => sessions.map.clear(&key, &backend.name),
            }
            made
        })
    }

    /// Makes a session for one call alone, and begins to use it.
    ///
    /// Dropping what is returned ends it, and so does going away while it is being made.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn open_temporary(
        self: &Arc<Self>,
        key: &WorkerKey<'_>,
        backend: &Arc<Backend>,
        origin: Origin,
    ) -> Result<Temporary, Failure> {
        let place = self.take_place(backend, None)?;
        let wanted = Wanted {
            origin,
            ..Wanted::default()
        };
        let (sessions, key) = (Arc::clone(self), key.clone().into_owned());
        // A task of its own: if the caller goes away, what it made is dropped, and so ended.
        let task = self.tasks.spawn(async move {
            let id = new_id(&place.backend, &key, &wanted, 1)?.into();
            let session = sessions.make(&key, place, &wanted, id, true).await?;
            Ok(Temporary { sessions, session })
        });
        task.await.unwrap_or_else(|_| Err(internal()))
    }

    /// `owned` is how many the worker has; nothing for a session that is made for one call.
    fn take_place(
        self: &Arc<Self>,
        backend: &Arc<Backend>,
        owned: Option<usize>,
    ) -> Result<Place, Failure> {
        let brief = owned.is_none();
        self.count.fetch_add(1, Ordering::Relaxed);
        if brief {
            self.brief.fetch_add(1, Ordering::Relaxed);
        }
        backend.sessions.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            sessions: Arc::clone(self),
            backend: Arc::clone(backend),
            brief,
        };
        let too_many = |what: String| Failure::new(ErrorKind::TooManyRequests, what);
        if self.count() > self.bounds.total {
            let full = format!("the server has its {} sessions", self.bounds.total);
            return Err(too_many(full).retry_after(LATER));
        }
        if let Some(limit) = backend.limits.max_sessions
            && backend.sessions.load(Ordering::Relaxed) > limit
        {
            let full = format!("`{}` has its {limit} sessions", backend.name);
            return Err(too_many(full).retry_after(LATER));
        }
        if let Some(limit) = self.bounds.per_worker
            && owned.is_some_and(|owned| owned >= limit)
        {
            let full = format!("the worker has its {limit} sessions; destroy one first");
            return Err(too_many(full));
        }
        Ok(place)
    }

    /// Makes a session, and tells of it.
    async fn make(
        self: &Arc<Self>,
        key: &WorkerKey<'static>,
        place: Place,
        wanted: &Wanted,
        id: Box<str>,
        temporary: bool,
    ) -> Result<Arc<Session>, Failure> {
        let started = Instant::now();
        let backend = Arc::clone(&place.backend);
        // A shared backend has no `initialize` to be told of.
        let has_life = backend.kind != Kind::Shared;
        let span = has_life.then(|| self.observers.life(&wanted.origin));
        let span = span.flatten();
        let within = (span.as_ref().map(SpanContext::traceparent))
            .or(wanted.origin.traceparent.as_deref())
            .unwrap_or_default();
        let made = self
            .make_unseen(key, place, wanted, within, id, temporary)
            .await;
        let took = started.elapsed();
        match &made {
            Ok(session) => self.observers.session_opened(session, took),
            Err(failure) => self
                .observers
                .session_failed(&backend, key.worker(), failure),
        }
        let record = LifeRecord {
            function: "initialize",
            backend: &backend,
            worker: Some(key.worker()),
            session: made.as_ref().ok().map(|session| &*session.id),
            elapsed: took,
            error: made.as_ref().err().map(|failure| &*failure.message),
        };
        self.observers.lived(span.as_ref(), &record);
        made
    }

    /// Runs `initialize` where there is one.
    async fn make_unseen(
        self: &Arc<Self>,
        key: &WorkerKey<'static>,
        place: Place,
        wanted: &Wanted,
        traceparent: &str,
        id: Box<str>,
        temporary: bool,
    ) -> Result<Arc<Session>, Failure> {
        let (backend, worker) = (&Arc::clone(&place.backend), key.worker());
        backend.warm_up().await?;
        let config = config::of_session(backend, &wanted.config)?;
        let handle = match backend.kind {
            Kind::Shared => None,
            Kind::Session | Kind::Hybrid => {
                let request = Request {
                    params: config.as_bytes(),
                    worker,
                    session_id: &id,
                    trace: &wanted.origin.trace,
                    traceparent,
                    timeout: Some(backend.limits.initialize),
                    ..Request::default()
                };
                Some(initialize(backend, &request).await?)
            }
        };
        let parts = Parts {
            id,
            key: key.clone(),
            backend: Arc::clone(backend),
            config: if handle.is_none() {
                config.into()
            } else {
                Box::default()
            },
            temporary,
            ttl: wanted.ttl.unwrap_or(backend.limits.session_ttl),
            auto_extend: wanted.auto_extend || temporary,
            handle,
            place,
        };
        Ok(Arc::new(Session::new(parts)))
    }
}

async fn initialize(
    backend: &Arc<Backend>,
    request: &Request<'_>,
) -> Result<SessionHandle, Failure> {
    let limit = backend.limits.initialize;
    let doing = format!("creating the session of `{}`", backend.name);
    let pending = backend
        .handle
        .start(Function::Initialize, request, None, None);
    let leave = |pending| clean_late(backend, &doing, pending);
    let end = invoke(pending, limit, backend.called_off.cancelled(), leave);
    let mut answer = answered(end.await, &doing, limit)?;
    if !answer.is_success() {
        backend.panicked(&doing, &answer);
        let failure = Failure::of_answer(&answer, ErrorKind::SessionCreationFailed, &doing);
        tracing::info!(backend = &*backend.name, worker = request.worker, error = %failure, "no session was made");
        return Err(failure.for_callers());
    }
    answer.take_session().ok_or_else(|| {
        let message = format!("{doing} failed: the backend returned no session");
        Failure::new(ErrorKind::BackendFailed, message)
    })
}

/// An `initialize` that ignored its cancellation and made a session after all: it is cleaned up.
fn clean_late(backend: &Arc<Backend>, doing: &str, pending: Pending) {
    let (backend, doing) = (Arc::clone(backend), doing.to_owned());
    // Where there is no runtime any more, the process ends.
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        let mut answer: Answer = pending.await;
        backend.panicked(&doing, &answer);
        if let Some(handle) = answer.take_session() {
            cleanup(&backend, "", "", &handle).await;
        }
    });
}

fn new_id(
    backend: &Backend,
    key: &WorkerKey<'_>,
    wanted: &Wanted,
    number: u32,
) -> Result<String, Failure> {
    let custom = wanted.custom_name.as_deref();
    let name = SessionName::new(&backend.name, key.worker(), number, custom);
    Ok(name.id(random()?))
}

fn random() -> Result<u32, Failure> {
    getrandom::u32().map_err(|error| {
        tracing::error!(%error, "the operating system gives no random numbers");
        internal()
    })
}

/// Why a session is of no use any more.
pub(super) fn poisoned(session: &Session) -> Failure {
    Failure::new(
        ErrorKind::SessionClosing,
        format!(
            "the session {} is unusable since a tool of `{}` panicked in it; create it again",
            session.id, session.backend.name
        ),
    )
}

/// A session for one call: ended, in the background, when it is dropped.
pub struct Temporary {
    sessions: Arc<Sessions>,
    session: Arc<Session>,
}

impl Temporary {
    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.sessions.close_temporary(&self.session);
    }
}
