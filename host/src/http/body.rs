//! Reads the body of a request: once, within its limits of size and time.

use std::{pin::pin, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::poll;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Body;
use sandbox_protocol::ErrorKind;
use tokio::time::{Instant, timeout_at};

use super::discard::discard;
use crate::{config::Limits, failure::Failure};

/// The slowest sender that is waited for, in bytes a second, after the time of a head: below
/// the slowest mobile network.
const SLOWEST: u64 = 4 * 1024;

/// The most that is set aside on a client's word that it will send so much.
const MAX_TRUST: u64 = 1024 * 1024;

/// Reads all of `body`, whose time begins when it has to be waited for.
pub(super) async fn read<B>(
    mut body: B,
    headers: &HeaderMap,
    limits: &Limits,
) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Send,
{
    let announced = body.size_hint();
    if announced.lower() > limits.max_body_bytes {
        discard(body, headers);
        return Err(too_large(limits));
    }
    let mut reader = Reader::new(limits);
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    while !body.is_end_stream()
        && let Some(part) = reader.part(&mut body).await?
    {
        if reader.taken > limits.max_body_bytes {
            discard(body, headers);
            return Err(too_large(limits));
        }
        if first.is_empty() {
            first = part;
            continue;
        }
        if whole.is_empty() {
            let room = announced.lower().min(MAX_TRUST);
            whole.reserve(usize::try_from(room).unwrap_or_default());
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&part);
    }
    // Usually there is one part, which is not copied.
    Ok(if whole.is_empty() {
        first
    } else {
        whole.into()
    })
}

struct Reader<'a> {
    limits: &'a Limits,
    /// When it was first waited.
    start: Option<Instant>,
    taken: u64,
}

impl<'a> Reader<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            start: None,
            taken: 0,
        }
    }

    /// The next part of the body.
    async fn part<B>(&mut self, body: &mut B) -> Result<Option<Bytes>, Failure>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let allowed = self.limits.header_timeout + Duration::from_secs(self.taken / SLOWEST);
        loop {
            let deadline = || *self.start.get_or_insert_with(Instant::now) + allowed;
            let Some(frame) = until(deadline, body.frame()).await else {
                return Err(wrong("the body did not arrive in time"));
            };
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|_| wrong("the body broke off"))?;
            // What is not data is a trailer, which nothing here has a use for.
            if let Ok(part) = frame.into_data() {
                self.taken += part.len() as u64;
                return Ok(Some(part));
            }
        }
    }
}

/// What `future` ends with, if it ends in time.
///
/// Timers are kept under a lock that all connections share, and nearly every body is there already.
async fn until<T>(
    deadline: impl FnOnce() -> Instant,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    match poll!(future.as_mut()) {
        Poll::Ready(result) => Some(result),
        // A box, since a timer is large and hardly ever needed.
        Poll::Pending => Box::pin(timeout_at(deadline(), future)).await.ok(),
    }
}

fn wrong(what: &str) -> Failure {
    Failure::new(ErrorKind::Parameter, what)
}

fn too_large(limits: &Limits) -> Failure {
    Failure::new(
        ErrorKind::BodyTooLarge,
        format!("the body is larger than {} bytes", limits.max_body_bytes),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use futures_util::stream;

    fn limits() -> Limits {
        Limits {
            max_body_bytes: 5,
            ..Limits::default()
        }
    }

    async fn read_parts(parts: &'static [&'static str]) -> Result<Bytes, Failure> {
        let parts = parts
            .iter()
            .map(|part| Ok::<_, std::io::Error>(Bytes::from(*part)));
        read(
            Body::from_stream(stream::iter(parts)),
            &HeaderMap::new(),
            &limits(),
        )
        .await
    }

    #[tokio::test]
    async fn parts_are_joined_up_to_the_limit() {
        assert_eq!(read_parts(&[]).await.unwrap(), "");
        assert_eq!(read_parts(&["12345"]).await.unwrap(), "12345");
        assert_eq!(read_parts(&["12", "34", "5"]).await.unwrap(), "12345");
        for parts in [&["123456"][..], &["123", "456"]] {
            assert_eq!(read_parts(parts).await.unwrap_err().status, 413);
        }
        let whole = read(Body::from("123456"), &HeaderMap::new(), &limits()).await;
        assert_eq!(whole.unwrap_err().status, 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let failure = read(body, &HeaderMap::new(), &limits()).await.unwrap_err();
        assert_eq!(failure.status, 400);
    }
}
