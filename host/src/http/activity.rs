//! What a connection is doing, and until when it may go on so: silent, sending the head of a request,
//! answering, or taking an answer in.
//!
//! hyper has a single time limit for both silence and heads; a server needs a short one against
//! clients that send a head byte by byte, and a long one for those that keep a connection for later.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep_until},
};

use super::{answer::Carried, connection::Link};

/// Stands for "no head has begun".
const NONE: u64 = u64::MAX;

/// The times of one connection, in milliseconds since it was accepted.
pub(super) struct Activity {
    accepted: Instant,
    /// Requests whose answers have not been made.
    running: AtomicUsize,
    /// When something useful last happened.
    useful: AtomicU64,
    /// When the head of the next request began, in HTTP/1.1.
    head: AtomicU64,
    /// HTTP/2 has signs of life of its own between requests, which begin no head.
    multiplexed: AtomicBool,
}

/// How long a connection may be in each state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) head: Duration,
    pub(super) idle: Duration,
}

impl Patience {
    /// The same for all states.
    pub(super) const fn equal(time: Duration) -> Self {
        Self {
            head: time,
            idle: time,
        }
    }
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            accepted: Instant::now(),
            running: AtomicUsize::new(0),
            useful: AtomicU64::new(0),
            // Whoever connects wants to send a head.
            head: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(NONE - 1)
    }

    /// A request is there; it runs until the guard is dropped.
    pub(super) fn begin(&self, multiplexed: bool) -> Running<'_> {
        self.running.fetch_add(1, Ordering::AcqRel);
        self.head.store(NONE, Ordering::Release);
        self.multiplexed.store(multiplexed, Ordering::Relaxed);
        Running(self)
    }

    /// Something useful happened.
    pub(super) fn useful(&self) {
        self.useful.store(self.now(), Ordering::Release);
    }

    /// Bytes came in.
    fn received(&self) {
        let between = self.running.load(Ordering::Acquire) == 0;
        if between && !self.multiplexed.load(Ordering::Relaxed) {
            let now = self.now();
            let _ = self
                .head
                .compare_exchange(NONE, now, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Waits until the connection has used up its patience.
    pub(super) async fn expired(&self, patience: Patience) {
        loop {
            let now = Instant::now();
            let deadline = self.deadline(patience);
            if deadline.is_some_and(|deadline| deadline <= now) {
                return;
            }
            // A head may begin meanwhile, whose time is shorter: look at least twice in it.
            let look = now + patience.head / 2;
            sleep_until(deadline.map_or(look, |deadline| deadline.min(look))).await;
        }
    }

    fn deadline(&self, patience: Patience) -> Option<Instant> {
        if self.running.load(Ordering::Acquire) > 0 {
            return None;
        }
        let (since, limit) = match self.head.load(Ordering::Acquire) {
            NONE => (self.useful.load(Ordering::Acquire), patience.idle),
            head => (head, patience.head),
        };
        Some(self.accepted + Duration::from_millis(since) + limit)
    }
}

/// A request that runs.
pub(super) struct Running<'a>(&'a Activity);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // In this order, or a look between the two would see an old time.
        self.0.useful();
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A socket that notices when bytes come in.
pub(super) struct Watched {
    pub(super) stream: TcpStream,
    pub(super) link: Arc<Link>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.link.activity.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        /// As large as most answers are. Their copy is cheaper than what the system does for a list of parts.
        const SMALL: usize = 1024;
        let mut whole = [0; SMALL];
        match joined(slices, &mut whole) {
            Some(whole) => Pin::new(&mut self.stream).poll_write(context, whole),
            None => Pin::new(&mut self.stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// All parts together, if there is room for them.
fn joined<'a>(parts: &[io::IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    for part in parts {
        let end = length + part.len();
        room.get_mut(length..end)?.copy_from_slice(part);
        length = end;
    }
    Some(&room[..length])
}

/// The body of an answer on its way: every part that the client takes is something useful.
pub(super) struct Sent {
    pub(super) body: Carried,
    pub(super) link: Arc<Link>,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = <Carried as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        // The last part needs no note: what follows is silence, which began when the answer was made.
        if !self.body.is_end_stream() {
            self.link.activity.useful();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
    };

    /// How many seconds from now on the connection is given.
    async fn given(activity: &Activity) -> u64 {
        let start = Instant::now();
        activity.expired(PATIENCE).await;
        start.elapsed().as_secs()
    }

    #[test]
    fn small_parts_are_joined_and_large_ones_are_not() {
        let parts = [&b"ab"[..], b"", b"cd"].map(io::IoSlice::new);
        assert_eq!(joined(&parts, &mut [0; 4]), Some(&b"abcd"[..]));
        assert_eq!(joined(&parts, &mut [0; 3]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_the_time_of_a_head() {
        assert_eq!(given(&Activity::new()).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_answer_silence_may_be_long_and_a_head_may_not() {
        let activity = Activity::new();
        drop(activity.begin(false));
        assert_eq!(given(&activity).await, 75);
        drop(activity.begin(false));
        activity.received();
        tokio::time::advance(Duration::from_secs(4)).await;
        activity.received();
        assert_eq!(
            given(&activity).await,
            6,
            "each byte does not restart the time"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pings_begin_no_head() {
        let activity = Activity::new();
        drop(activity.begin(true));
        activity.received();
        assert_eq!(given(&activity).await, 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_run_for_any_time() {
        let activity = Activity::new();
        let running = activity.begin(false);
        let hour = Duration::from_hours(1);
        tokio::time::timeout(hour, activity.expired(PATIENCE))
            .await
            .unwrap_err();
        drop(running);
        assert_eq!(given(&activity).await, 75);
    }
}
