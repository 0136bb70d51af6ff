//! Exactly once: a request with an `Idempotency-Key` runs once, and whoever sends it again gets its answer.
//!
//! The key belongs to the caller's key and worker. While the first request runs, others wait for it. Its connection
//! may be lost: it goes on, for a client that sends the key means to come back; when nobody has for
//! `idempotency.return_within`, or when the client says that it will not, it is cancelled like any call whose client
//! went away. What was refused because it came at the wrong time (429, 503) is not kept, so that trying again makes
//! sense; what a tool answers is, whatever it is. A request that says that it was sent before is never run: nobody but
//! its sender can tell whether it did.
//!
//! Requests without the header never come here.

mod sent;
mod store;

use std::{borrow::Cow, panic::AssertUnwindSafe, sync::Arc};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sandbox_protocol::ErrorKind;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::{sync::watch, time::sleep};

use super::{
    answer::{NotBegun, json},
    asked::Asked,
    front::Served,
};
use crate::failure::{Failure, internal};
use sent::{INSTANCE, Sent};
pub(super) use store::Store;
use store::{Found, Place};

/// The header with the key.
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whether the answer was there before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key: as much as a few identifiers need.
pub(super) const LONGEST_KEY: usize = 255;

/// An answer, to be given as often as it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Kept {
    async fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        // An envelope is in memory already, so reading it cannot fail.
        let body = axum::body::to_bytes(body, usize::MAX).await;
        Self {
            status: head.status,
            headers: head.headers,
            body: body.unwrap_or_default(),
        }
    }

    fn response(self) -> Response {
        let mut response = json(self.status.as_u16(), self.body);
        *response.headers_mut() = self.headers;
        response
    }

    fn size(&self) -> usize {
        self.body.len()
    }
}

/// The key of a request, if it has one.
pub(super) fn key_of(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(&IDEMPOTENCY_KEY)
}

/// Answers a request that has a key by running `work`, once.
pub(super) async fn once<F>(
    served: Arc<Served>,
    asked: Asked,
    route: &str,
    work: impl FnOnce(Arc<Served>, Arc<Asked>) -> F,
) -> Response
where
    F: Future<Output = Response> + Send + 'static,
{
    let found = look_up(served, asked, route, work);
    let marks = found.marks();
    let mut response = found.answer().await;
    response.headers_mut().extend(marks);
    response
}

/// What becomes of a request with a key.
pub(super) struct LookedUp {
    served: Arc<Served>,
    asked: Arc<Asked>,
    way: Way,
}

enum Way {
    /// It does not run.
    Refused(Failure),
    /// It has run.
    Answered(Kept),
    /// It runs: since this request, or since one before it.
    Running(watch::Receiver<Option<Kept>>, Since),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Since {
    Now,
    Before,
}

/// Looks for the first request with the key; begins `work` when it is this one.
pub(super) fn look_up<F>(
    served: Arc<Served>,
    asked: Asked,
    route: &str,
    work: impl FnOnce(Arc<Served>, Arc<Asked>) -> F,
) -> LookedUp
where
    F: Future<Output = Response> + Send + 'static,
{
    let asked = Arc::new(asked);
    let way = match find(&served, &asked, route) {
        Err(failure) => Way::Refused(failure),
        Ok(Found::Another) => Way::Refused(another()),
        Ok(Found::Unknown) => Way::Refused(elsewhere()),
        Ok(Found::Answered(kept)) => Way::Answered(kept),
        Ok(Found::Running(running)) => Way::Running(running, Since::Before),
        Ok(Found::New(place, running)) => {
            let work = work(Arc::clone(&served), Arc::clone(&asked));
            let run = run(Arc::clone(&served), Arc::clone(&asked), place, work);
            tokio::spawn(run);
            Way::Running(running, Since::Now)
        }
    };
    LookedUp { served, asked, way }
}

fn find(served: &Served, asked: &Asked, route: &str) -> Result<Found, Failure> {
    let sent = Sent::of(&asked.headers, &served.once.instance);
    if sent == Sent::Elsewhere {
        return Err(elsewhere());
    }
    let (name, digest) = identity(asked, route)?;
    if sent == Sent::Abandoned {
        // A refusal is in memory already, so it is read at once.
        let gone = Kept::of(asked.refused(&abandoned())).now_or_never();
        return Ok(served.once.abandon(&name, gone.ok_or_else(internal)?));
    }
    Ok(served.once.find(&name, digest, sent))
}

impl LookedUp {
    /// The headers of the answer, which are known before it.
    pub(super) fn marks(&self) -> HeaderMap {
        let mut marks = HeaderMap::new();
        marks.insert(INSTANCE, self.served.once.instance.clone());
        let replayed = match self.way {
            Way::Refused(_) => return marks,
            Way::Running(_, Since::Now) => "false",
            Way::Running(_, Since::Before) | Way::Answered(_) => "true",
        };
        marks.insert(REPLAYED, HeaderValue::from_static(replayed));
        marks
    }

    /// The answer, once it is there.
    pub(super) async fn answer(self) -> Response {
        let kept = match self.way {
            Way::Refused(failure) => return self.asked.refused(&failure),
            Way::Answered(kept) => Some((kept, Since::Before)),
            Way::Running(mut running, since) => {
                waited(&mut running).await.map(|kept| (kept, since))
            }
        };
        let Some((kept, since)) = kept else {
            return self.asked.refused(&internal());
        };
        if since == Since::Before {
            self.served.sandbox.observers.kept.replayed();
        }
        kept.response()
    }
}

/// In a task of its own: the connection that asked may go.
async fn run(
    served: Arc<Served>,
    asked: Arc<Asked>,
    place: Place,
    work: impl Future<Output = Response> + Send,
) {
    let patience = served.sandbox.config.server.idempotency.return_within;
    // Whatever the tool did before a panic of the host, it is not to do again.
    let work = AssertUnwindSafe(work).catch_unwind();
    let response = tokio::select! {
        biased;
        response = work => response.unwrap_or_else(|_| asked.refused(&internal())),
        () = deserted(place.waiting(), patience) => asked.refused(&cancelled()),
        () = place.abandoned() => asked.refused(&abandoned()),
    };
    let not_begun = response.extensions().get::<NotBegun>().is_some();
    let kept = Kept::of(response).await;
    if not_begun {
        place.answer_for_now(kept);
    } else {
        let limit = served.sandbox.config.server.idempotency.max_bytes / 4;
        let size = kept.size();
        let later = if size > limit {
            Kept::of(asked.refused(&lost(size))).await
        } else {
            kept.clone()
        };
        place.answer(kept, later);
    }
}

/// Waits until nobody has waited for so long.
async fn deserted(waiting: &watch::Sender<Option<Kept>>, patience: std::time::Duration) {
    loop {
        waiting.closed().await;
        sleep(patience).await;
        if waiting.receiver_count() == 0 {
            return;
        }
    }
}

async fn waited(running: &mut watch::Receiver<Option<Kept>>) -> Option<Kept> {
    running.wait_for(Option::is_some).await.ok()?.clone()
}

/// Whose key it is, and what it stands for.
fn identity(asked: &Asked, route: &str) -> Result<(Box<str>, [u8; 32]), Failure> {
    /// The only part of the body that matters here; whatever is wrong with the rest is found by who runs it.
    #[derive(Default, Deserialize)]
    struct Whose<'a> {
        #[serde(borrow, default)]
        worker_id: Option<Cow<'a, str>>,
    }
    let key = key_of(&asked.headers)
        .and_then(|key| key.to_str().ok())
        .map(str::trim);
    let key = key
        .filter(|key| (1..=LONGEST_KEY).contains(&key.len()))
        .ok_or_else(|| {
            let message =
                format!("`Idempotency-Key` must be 1 to {LONGEST_KEY} visible characters");
            Failure::new(ErrorKind::Parameter, message)
        })?;
    let whose = asked.has_fields.then_some(&asked.body);
    let whose = whose.and_then(|body| serde_json::from_slice::<Whose<'_>>(body).ok());
    let whose = whose.unwrap_or_default();
    let worker = asked.worker(whose.worker_id.as_deref()).unwrap_or_default();
    let owner = asked.visitor.caller.owner().unwrap_or_default();
    let mut digest = Sha256::new();
    digest.update(route.as_bytes());
    digest.update([0]);
    digest.update(&asked.body);
    // None of the parts has a zero in it, so they cannot run into each other.
    let name = format!("{owner}\0{worker}\0{key}");
    Ok((name.into(), digest.finalize().into()))
}

fn another() -> Failure {
    let message = "this `Idempotency-Key` was sent with another request; use a new one for each";
    let mut failure = Failure::new(ErrorKind::Parameter, message);
    failure.status = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
    failure
}

fn elsewhere() -> Failure {
    let message = "the request was sent before, to another server, or to this one before it was started anew or forgot \
                   the answer; whether it ran is not known here";
    let mut failure = Failure::new(ErrorKind::Parameter, message);
    failure.status = StatusCode::CONFLICT.as_u16();
    failure
}

fn cancelled() -> Failure {
    let message = "cancelled: the client went away and did not come back for the answer";
    Failure::new(ErrorKind::TimedOut, message)
}

fn abandoned() -> Failure {
    let message = "cancelled: the client said that it does not wait for the answer any more";
    Failure::new(ErrorKind::TimedOut, message)
}

fn lost(size: usize) -> Failure {
    let message = format!("it ran, but its answer of {size} bytes was too large to be kept");
    Failure::new(ErrorKind::Internal, message)
}

/// What streams make of an answer.
pub(super) async fn body_of(response: Response) -> Bytes {
    let body: Body = response.into_body();
    axum::body::to_bytes(body, usize::MAX)
        .await
        .unwrap_or_default()
}
