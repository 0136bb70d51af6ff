//! Takes in the rest of a body that nobody wants, for a while.
//!
//! A client that is still sending when the connection is closed under it sees a broken pipe and not the
//! answer that says why. So what it sends is read and dropped, as long as it is fast and little.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header::EXPECT};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::timeout;

/// How much is taken in: an honest client's mistake, such as a picture too large, is smaller.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// For how long.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Takes in the rest of `body`, in the background.
pub(super) fn discard<B>(mut body: B, headers: &HeaderMap)
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Send,
{
    // Who waits to be told to go on is not told, and reads the answer.
    if body.is_end_stream() || headers.contains_key(EXPECT) {
        return;
    }
    tokio::spawn(timeout(MAX_TIME, async move {
        let mut taken = 0;
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, Bytes::len);
            if taken > MAX_BYTES {
                break;
            }
        }
    }));
}
