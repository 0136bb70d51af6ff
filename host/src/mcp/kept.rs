//! Results that are too large for an answer: kept for a while, linked from it, read as resources.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use rmcp::model::{Resource, ResourceContents, ResourceTemplate};

/// What all links begin with.
const PREFIX: &str = "sandbox://results/";

/// The kept results: never more bytes than allowed, the oldest go first.
pub(super) struct Kept {
    limit: usize,
    time: Duration,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    bytes: usize,
    items: HashMap<u128, Item>,
    order: VecDeque<(Instant, u128)>,
}

/// A kept result.
#[derive(Clone)]
struct Item {
    owner: Option<Box<str>>,
    media_type: Box<str>,
    content: Bytes,
}

impl Kept {
    pub(super) fn new(limit: usize, time: Duration) -> Self {
        Self {
            limit,
            time,
            shelf: Mutex::default(),
        }
    }

    /// Keeps a result for the holder of this key and links it; `None` when it is larger than all that may
    /// be kept.
    pub(super) fn put(
        self: &Arc<Self>,
        owner: Option<&str>,
        name: &str,
        media_type: &str,
        content: Bytes,
    ) -> Option<Resource> {
        let size = content.len();
        if size > self.limit {
            return None;
        }
        let mut number = [0; 16];
        getrandom::fill(&mut number).ok()?;
        let number = u128::from_ne_bytes(number);
        let item = Item {
            owner: owner.map(Into::into),
            media_type: media_type.into(),
            content,
        };
        self.lock().put(number, item, self.limit);
        self.forget_in_time();
        let uri = format!("{PREFIX}{number:032x}");
        let link = Resource::new(uri, name).with_mime_type(media_type);
        Some(link.with_size(size as u64))
    }

    /// The result behind a link, for the holder of the key that it was kept for.
    pub(super) fn read(&self, uri: &str, owner: Option<&str>) -> Option<ResourceContents> {
        let number = uri.strip_prefix(PREFIX)?;
        let number = u128::from_str_radix(number, 16).ok()?;
        let item = self.lock().items.get(&number)?.clone();
        (item.owner.as_deref() == owner).then(|| item.contents(uri))
    }

    /// What the links look like.
    pub(super) fn template() -> ResourceTemplate {
        ResourceTemplate::new(format!("{PREFIX}{{id}}"), "result")
            .with_description("A result that was too large for its answer, which links it")
    }

    fn forget_in_time(self: &Arc<Self>) {
        let (kept, time) = (Arc::downgrade(self), self.time);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            if let Some(kept) = kept.upgrade() {
                kept.lock().forget_older(time);
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn put(&mut self, number: u128, item: Item, limit: usize) {
        self.bytes += item.content.len();
        self.items.insert(number, item);
        self.order.push_back((Instant::now(), number));
        while self.bytes > limit {
            self.forget_oldest();
        }
    }

    fn forget_older(&mut self, time: Duration) {
        while self
            .order
            .front()
            .is_some_and(|(at, _)| at.elapsed() >= time)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.order.pop_front();
        let item = oldest.and_then(|(_, number)| self.items.remove(&number));
        self.bytes -= item.map_or(0, |item| item.content.len());
    }
}

impl Item {
    fn contents(&self, uri: &str) -> ResourceContents {
        let contents = match std::str::from_utf8(&self.content) {
            Ok(text) if is_text(&self.media_type) => ResourceContents::text(text, uri),
            _ => ResourceContents::blob(STANDARD.encode(&self.content), uri),
        };
        contents.with_mime_type(&*self.media_type)
    }
}

/// Whether a model can read it.
pub(super) fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || media_type == "application/json"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Arc<Kept> {
        Arc::new(Kept::new(10, Duration::from_mins(1)))
    }

    fn put(kept: &Arc<Kept>, owner: Option<&str>, text: &'static str) -> Option<String> {
        let link = kept.put(owner, "r", "text/plain", text.into())?;
        Some(link.uri)
    }

    #[tokio::test]
    async fn a_result_is_read_by_its_owner_alone() {
        let kept = kept();
        let uri = put(&kept, Some("ann"), "hello").unwrap();
        let read = kept.read(&uri, Some("ann")).unwrap();
        assert_eq!(
            read,
            ResourceContents::text("hello", &uri).with_mime_type("text/plain")
        );
        for other in [Some("bob"), None] {
            assert_eq!(kept.read(&uri, other), None);
        }
        assert_eq!(kept.read("sandbox://results/0", None), None);
        assert_eq!(kept.read("file:///etc/passwd", None), None);
    }

    #[tokio::test]
    async fn the_oldest_make_room_and_what_has_none_is_not_kept() {
        let kept = kept();
        let first = put(&kept, None, "12345").unwrap();
        let second = put(&kept, None, "12345").unwrap();
        assert!(kept.read(&first, None).is_some());
        let third = put(&kept, None, "123").unwrap();
        assert!(kept.read(&first, None).is_none());
        assert!(kept.read(&second, None).is_some() && kept.read(&third, None).is_some());
        assert_eq!(put(&kept, None, "12345678901"), None);
        assert_eq!(kept.lock().bytes, 8);
        kept.lock().forget_older(Duration::ZERO);
        let shelf = kept.lock();
        assert_eq!((shelf.bytes, shelf.items.len()), (0, 0));
    }
}
