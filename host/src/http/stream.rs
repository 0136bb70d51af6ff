//! An answer as a stream of events: how far a call is, what it has so far, and at last its envelope.
//!
//! ```text
//! event: progress
//! data: {"done":1.0,"total":3.0,"message":"stepping"}
//!
//! event: output
//! data: {"chunk":"step 1\n"}
//!
//! event: result
//! data: {"code":0, … the envelope … }
//! ```
//!
//! The call runs in a task that ends with the body: a client that goes away cancels it, as everywhere.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE},
};
use hyper::body::{Body as HttpBody, Frame};
use sandbox_plugin_api::host::Events;
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{answer::header, once::body_of};

/// The media type of events.
const EVENT_STREAM: &str = "text/event-stream";

/// How much may wait for a client that does not read. Beyond it parts are left out, and the client is told.
const WAITING: usize = 8 << 20;

/// How often a silent stream shows that it is alive, at the most: proxies cut what is silent for a minute.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Whether the client wants events.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    header(headers, &ACCEPT).is_some_and(|accept| accept.split(',').any(is_event_stream))
}

/// Whether a range of an `Accept` header is that of events, and not to say that they are not wanted.
fn is_event_stream(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let named = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM));
    let is_zero = |part: &str| {
        let quality = part
            .split_once('=')
            .filter(|(key, _)| key.eq_ignore_ascii_case("q"));
        quality.is_some_and(|(_, value)| value.parse() == Ok(0.0))
    };
    named && !parts.any(is_zero)
}

/// Runs `call` with somewhere to tell its events, and streams them and its answer.
pub(super) fn stream<F>(idle_timeout: Duration, call: impl FnOnce(Arc<dyn Events>) -> F) -> Response
where
    F: Future<Output = Response> + Send + 'static,
{
    let (sender, receiver) = mpsc::unbounded_channel();
    let queue = Arc::new(Queue {
        sender,
        waiting: AtomicUsize::new(0),
        left_out: AtomicUsize::new(0),
    });
    let answer = call(Arc::clone(&queue) as Arc<dyn Events>);
    let task = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move {
            let envelope = body_of(answer.await).await;
            queue.end(&envelope);
        }
    });
    let mut signs = interval(SIGN_OF_LIFE.min(idle_timeout / 3));
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    signs.reset();
    let mut response = Response::new(Body::new(Stream {
        receiver,
        queue,
        signs,
        call: task.abort_handle(),
        over: false,
    }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // A common proxy would otherwise gather events until it has enough of them.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Events on their way to the client.
struct Queue {
    sender: mpsc::UnboundedSender<Part>,
    /// How many bytes wait.
    waiting: AtomicUsize,
    /// How many events were left out since the last one that was not.
    left_out: AtomicUsize,
}

enum Part {
    Event(Bytes),
    Last(Bytes),
}

impl Queue {
    fn put(&self, event: &str, data: &serde_json::Value) {
        let frame = frame(event, data.to_string().as_bytes());
        if self.waiting.load(Ordering::Relaxed) + frame.len() > WAITING {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.tell_left_out();
        self.send(frame);
    }

    fn tell_left_out(&self) {
        let count = self.left_out.swap(0, Ordering::Relaxed);
        if count > 0 {
            let data = json!({ "count": count }).to_string();
            self.send(frame("missed", data.as_bytes()));
        }
    }

    fn send(&self, frame: Bytes) {
        self.waiting.fetch_add(frame.len(), Ordering::Relaxed);
        // The client went away: the call is being cancelled.
        let _ = self.sender.send(Part::Event(frame));
    }

    fn end(&self, envelope: &[u8]) {
        self.tell_left_out();
        let _ = self.sender.send(Part::Last(frame("result", envelope)));
    }
}

impl Events for Queue {
    fn progress(&self, done: f64, total: f64, message: &str) {
        self.put(
            "progress",
            &json!({ "done": done, "total": total, "message": message }),
        );
    }

    fn output(&self, chunk: &str) {
        self.put("output", &json!({ "chunk": chunk }));
    }
}

/// One event. JSON text has no line breaks of its own unless a client's value came through as it was written.
fn frame(event: &str, data: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(data.len() + event.len() + 24);
    frame.extend_from_slice(b"event: ");
    frame.extend_from_slice(event.as_bytes());
    for line in data.split(|byte| *byte == b'\n') {
        frame.extend_from_slice(b"\ndata: ");
        frame.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
    }
    frame.extend_from_slice(b"\n\n");
    frame.into()
}

/// The body.
struct Stream {
    receiver: mpsc::UnboundedReceiver<Part>,
    queue: Arc<Queue>,
    signs: Interval,
    call: AbortHandle,
    over: bool,
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let bytes = match self.receiver.poll_recv(context) {
            Poll::Ready(Some(Part::Event(bytes))) => {
                self.queue.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
                bytes
            }
            Poll::Ready(Some(Part::Last(bytes))) => {
                self.over = true;
                bytes
            }
            // The queue is held here, so this does not happen.
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                ready!(self.signs.poll_tick(context));
                Bytes::from_static(b": alive\n\n")
            }
        };
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.call.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_wanted_by_who_says_so() {
        let wants = |accept: &'static str| {
            is_wanted(&HeaderMap::from_iter([(
                ACCEPT,
                HeaderValue::from_static(accept),
            )]))
        };
        assert!(wants("text/event-stream") && wants("application/json, Text/Event-Stream;q=0.9"));
        assert!(
            !wants("application/json, text/event-stream;q=0")
                && !wants("text/event-stream; q=0.000")
        );
        assert!(wants(
            "text/event-stream ; charset=utf-8; Q=0.001, application/json"
        ));
        assert!(!wants("*/*") && !wants("application/json") && !is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn line_breaks_in_an_envelope_do_not_end_its_event() {
        let written = frame("result", b"{\"data\":\n{}\r\n}");
        assert_eq!(
            &written[..],
            b"event: result\ndata: {\"data\":\ndata: {}\ndata: }\n\n"
        );
    }

    #[test]
    fn a_client_that_does_not_read_is_told_what_it_missed() {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let queue = Queue {
            sender,
            waiting: AtomicUsize::new(WAITING),
            left_out: AtomicUsize::new(0),
        };
        queue.output("lost");
        queue.progress(1.0, 2.0, "lost too");
        queue.end(b"{}");
        let mut texts = Vec::new();
        while let Ok(Part::Event(bytes) | Part::Last(bytes)) = receiver.try_recv() {
            texts.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        assert_eq!(
            texts,
            [
                "event: missed\ndata: {\"count\":2}\n\n",
                "event: result\ndata: {}\n\n"
            ]
        );
    }
}
