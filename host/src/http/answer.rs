//! Answers as bytes: the only place where the end of a call or a failure becomes HTTP.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::Either;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use sandbox_plugin_api::host::Answer;
use sandbox_protocol::{
    Code, ErrorKind,
    splice::{Attachment, CallMeta, Reply, SpliceError, write_envelope, write_envelope_with},
};
use serde::Serialize;

use crate::{
    dispatch::Outcome,
    failure::{Failure, internal},
};

/// What HTTP has to know of an envelope that is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) status: u16,
    pub(super) succeeded: bool,
    retry_after: Option<Duration>,
    not_begun: bool,
}

/// Marks the answer to a request that came at the wrong time, for which nothing was begun.
#[derive(Clone, Copy)]
pub(super) struct NotBegun;

impl Written {
    /// The answer that consists of this envelope.
    pub(super) fn response(self, envelope: Vec<u8>) -> Response {
        self.text(envelope).map(Body::new)
    }

    /// The same, without the box that a body of any kind is kept in.
    pub(super) fn text(self, envelope: Vec<u8>) -> http::Response<Text> {
        let mut response = text(self.status, envelope.into());
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_seconds() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.not_begun {
            response.extensions_mut().insert(NotBegun);
        }
        response
    }

    /// Whole seconds, rounded up: a client that comes too early comes in vain.
    fn retry_seconds(self) -> Option<u64> {
        let delay = self.retry_after?;
        Some(delay.as_secs() + u64::from(delay.subsec_nanos() > 0))
    }
}

/// How much the envelope of a call's end has to carry.
pub(super) fn size(outcome: &Outcome<'_>) -> usize {
    outcome.result.as_ref().map_or(0, |answer| {
        let blobs = answer.blobs().map(|(_, _, bytes)| bytes.len());
        answer.data().len() + blobs.sum::<usize>()
    })
}

/// Appends the envelope of a call's end.
pub(super) fn write_outcome(
    envelope: &mut Vec<u8>,
    outcome: &Outcome<'_>,
    action: &str,
    trace: &str,
) -> Written {
    /// A longer name is no tool's; it is not worth sending back.
    const LONGEST: usize = 256;
    let asked = (action.len() <= LONGEST).then_some(action);
    let session = outcome.session.as_deref();
    let meta = CallMeta {
        tool: outcome.tool.map(|tool| &*tool.name).or(asked),
        elapsed: outcome.elapsed,
        resource_type: outcome.tool.map(|tool| &*tool.backend.name),
        session_id: session.map(|session| &*session.id),
        trace_id: trace,
        temporary_session: session.is_some_and(|session| session.temporary),
    };
    match &outcome.result {
        Ok(answer) => write_answer(envelope, answer, &meta),
        Err(failure) => write_failure(envelope, failure, &meta),
    }
}

fn write_answer(envelope: &mut Vec<u8>, answer: &Answer, meta: &CallMeta<'_>) -> Written {
    let blobs: Vec<_> = answer.blobs().collect();
    let attachments: Vec<_> = blobs
        .iter()
        .map(|(key, _, bytes)| Attachment { key, bytes })
        .collect();
    let message = answer.message();
    let reply = Reply {
        code: Code(answer.code()),
        message: (!message.is_empty()).then_some(&message),
        data: answer.data(),
        attachments: &attachments,
        meta: answer.meta(),
    };
    match write_envelope(envelope, &reply, meta) {
        Ok(()) => Written {
            status: reply.code.http_status(),
            succeeded: reply.code.is_success(),
            retry_after: None,
            not_begun: false,
        },
        Err(error) => {
            let failure = Failure::new(ErrorKind::BackendFailed, error.to_string());
            write_failure(envelope, &failure, meta)
        }
    }
}

/// Appends the envelope of a failure.
pub(super) fn write_failure(
    envelope: &mut Vec<u8>,
    failure: &Failure,
    meta: &CallMeta<'_>,
) -> Written {
    let message = Some(shortened(&failure.message));
    let written = write_envelope_with(envelope, failure.code, message, b"", meta, |envelope| {
        Ok(serde_json::to_writer(envelope, &failure.data)?)
    });
    // Text, numbers and a `Value` can always be written.
    debug_assert!(written.is_ok(), "{written:?}");
    Written {
        status: failure.status,
        succeeded: false,
        retry_after: failure.retry_after,
        not_begun: !failure.begun && [429, 503].contains(&failure.status),
    }
}

/// A message without what no person reads: a client's own text that comes back, say.
fn shortened(message: &str) -> &str {
    const LONGEST: usize = 4096;
    &message[..message.floor_char_boundary(LONGEST)]
}

/// The answer to a request that failed.
pub(super) fn refusal(failure: &Failure, meta: &CallMeta<'_>) -> Response {
    let mut envelope = Vec::new();
    write_failure(&mut envelope, failure, meta).response(envelope)
}

/// The answer of an operation of the host's own.
pub(super) fn done<T: Serialize>(code: Code, data: &T, meta: &CallMeta<'_>) -> Response {
    done_with(code, meta, |envelope| {
        Ok(serde_json::to_writer(envelope, data)?)
    })
}

/// The same, with data that `write_data` writes.
pub(super) fn done_with(
    code: Code,
    meta: &CallMeta<'_>,
    write_data: impl FnOnce(&mut Vec<u8>) -> Result<(), SpliceError>,
) -> Response {
    let mut envelope = Vec::new();
    let written = match write_envelope_with(&mut envelope, code, None, b"", meta, write_data) {
        Ok(()) => Written {
            status: code.http_status(),
            succeeded: code.is_success(),
            retry_after: None,
            not_begun: false,
        },
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            write_failure(&mut envelope, &internal(), meta)
        }
    };
    written.response(envelope)
}

/// An answer without an envelope.
pub(super) fn bare<T: Serialize>(status: StatusCode, data: &T) -> Response {
    match serde_json::to_vec(data) {
        Ok(bytes) => json(status.as_u16(), bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            refusal(&internal(), &CallMeta::default())
        }
    }
}

/// An answer of JSON text that is there already.
pub(super) fn json(status: u16, json: impl Into<Bytes>) -> Response {
    text(status, json.into()).map(Body::new)
}

fn text(status: u16, json: Bytes) -> http::Response<Text> {
    let mut response = http::Response::new(Text(json));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The body of an answer: nearly always a text, which needs no box.
pub(super) type Carried = Either<Text, Body>;

/// A text that leaves in parts, so that the connection sees whether its client takes it in.
pub(super) struct Text(Bytes);

/// The size of a part: enough to fill a socket's buffer.
const PART: usize = 256 * 1024;

impl HttpBody for Text {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let size = PART.min(self.0.len());
        Poll::Ready(Some(Ok(Frame::data(self.0.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// The text of a header, when it is text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(failure: &Failure) -> Option<String> {
        let response = refusal(failure, &CallMeta::default());
        let value = response.headers().get(RETRY_AFTER)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn time_to_wait_is_rounded_up_and_told_where_time_helps() {
        let too_many = Failure::new(ErrorKind::TooManyRequests, "");
        assert_eq!(retry_after(&too_many), None);
        for (millis, seconds) in [(1, "1"), (1000, "1"), (1001, "2")] {
            let later = too_many.clone().retry_after(Duration::from_millis(millis));
            assert_eq!(retry_after(&later).as_deref(), Some(seconds));
        }
    }

    #[tokio::test]
    async fn a_large_text_leaves_in_parts_and_whole() {
        let text = "x".repeat(3 * PART + 1);
        let response = json(200, text.clone());
        assert_eq!(response.body().size_hint().exact(), Some(text.len() as u64));
        let sent = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        assert_eq!(sent, text);
    }
}
