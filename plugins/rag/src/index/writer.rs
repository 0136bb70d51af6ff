//! The one thread that writes. Changes that wait for it together are committed together, so that
//! many callers cost one sync of the disk and not one each.

use std::{
    collections::HashMap,
    io,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    thread::{self, JoinHandle},
};

use tantivy::{IndexWriter, Searcher, TantivyDocument};
use tokio::sync::{mpsc, oneshot};

use super::{
    IndexError,
    fields::Origin,
    store::{Contents, LEAST_BYTES, Store},
};

/// How many changes may wait; further callers wait for a place, so that memory stays bounded.
const QUEUE: usize = 64;
/// A document cut into passages.
pub(crate) struct Prepared {
    pub(crate) id: String,
    pub(crate) passages: Vec<TantivyDocument>,
}

/// What is to be changed.
pub(crate) enum Change {
    /// Write these documents, in the place of those with their ids.
    Put(Vec<Prepared>),
    /// Remove the documents with these ids.
    Delete(Vec<String>),
}

/// What was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Changed {
    /// Documents written.
    pub(crate) written: usize,
    /// Documents that were there before and are not any more, replaced ones included.
    pub(crate) removed: usize,
    /// Documents in the index now.
    pub(crate) total: u64,
}

struct Request {
    change: Change,
    reply: oneshot::Sender<Result<Changed, IndexError>>,
}

/// The thread, and the way to it.
pub(crate) struct Writer {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `embeds` says whether documents come with vectors.
    pub(crate) fn start(store: Arc<Store>, embeds: bool) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new().name("rag-writer".to_owned());
        let state = Loop {
            store,
            embeds,
            writer: None,
        };
        let thread = thread.spawn(move || state.run(receiver))?;
        Ok(Self {
            requests: Some(sender),
            thread: Some(thread),
        })
    }

    /// Hands a change over and waits until it is committed.
    ///
    /// Whoever stops waiting before the change's turn takes it back; afterwards it is carried out.
    pub(crate) async fn change(&self, change: Change) -> Result<Changed, IndexError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.as_ref().ok_or(IndexError::Closed)?;
        let request = Request { change, reply };
        requests
            .send(request)
            .await
            .map_err(|_| IndexError::Closed)?;
        answer.await.map_err(|_| IndexError::Closed)?
    }
}

impl Drop for Writer {
    /// Ends the thread after the changes that it has; the lock on the index waits for that.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic was logged where it happened.
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Loop {
    store: Arc<Store>,
    embeds: bool,
    /// Made for the first change: it has threads and memory of its own, and most servers only read.
    writer: Option<IndexWriter>,
}

impl Loop {
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut group = vec![first];
            while group.len() < QUEUE
                && let Ok(next) = requests.try_recv()
            {
                group.push(next);
            }
            self.serve(group);
        }
    }

    fn serve(&mut self, group: Vec<Request>) {
        let (changes, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .filter(|request| !request.reply.is_closed())
            .map(|request| (request.change, request.reply))
            .unzip();
        let carried_out = panic::catch_unwind(AssertUnwindSafe(|| self.carry_out(changes)));
        match carried_out {
            Ok(Ok(results)) => {
                for (reply, result) in replies.into_iter().zip(results) {
                    // Whoever does not wait any more does not need the answer.
                    let _ = reply.send(Ok(result));
                }
            }
            Ok(Err(error)) => self.give_up(replies, &error.to_string(), error),
            Err(_) => self.give_up(replies, "a panic", IndexError::Damaged),
        }
    }

    /// The engine's writer takes nothing more after an error, and what it holds belongs to changes
    /// that are now answered with an error: both go.
    fn give_up(
        &mut self,
        replies: Vec<oneshot::Sender<Result<Changed, IndexError>>>,
        reason: &str,
        error: IndexError,
    ) {
        tracing::error!(
            reason,
            ?error,
            changes = replies.len(),
            "changes were not written"
        );
        self.writer = None;
        let mut error = Some(error);
        for reply in replies {
            let _ = reply.send(Err(error.take().unwrap_or(IndexError::Failed)));
        }
    }

    fn carry_out(&mut self, changes: Vec<Change>) -> Result<Vec<Changed>, IndexError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.store.writer(1, LEAST_BYTES)?,
        };
        let writer = self.writer.insert(writer);
        let mut group = Group {
            store: &self.store,
            searcher: self.store.view().searcher.clone(),
            writer,
            contents: self.store.contents(),
            touched: HashMap::new(),
        };
        let results = changes
            .into_iter()
            .map(|change| group.apply(change))
            .collect::<Result<Vec<_>, _>>()?;
        if !group.touched.is_empty() {
            let mut contents = group.contents;
            contents.unembedded |= !self.embeds && contents.model.is_some();
            self.store.commit(writer, contents)?;
        }
        Ok(results)
    }
}

/// Changes that will be committed together.
struct Group<'a> {
    store: &'a Store,
    /// What is there without the group's own changes …
    searcher: Searcher,
    writer: &'a IndexWriter,
    contents: Contents,
    /// … and what those make of each id.
    touched: HashMap<String, Option<Origin>>,
}

impl Group<'_> {
    fn apply(&mut self, change: Change) -> Result<Changed, IndexError> {
        let mut changed = Changed::default();
        match change {
            Change::Put(documents) => {
                for document in documents {
                    changed.removed += usize::from(self.remove(&document.id)?);
                    for passage in document.passages {
                        self.writer.add_document(passage)?;
                    }
                    *self.contents.from(Origin::Caller) += 1;
                    self.touched.insert(document.id, Some(Origin::Caller));
                    changed.written += 1;
                }
            }
            Change::Delete(ids) => {
                for id in ids {
                    changed.removed += usize::from(self.remove(&id)?);
                }
            }
        }
        changed.total = self.contents.documents();
        Ok(changed)
    }

    /// Removes a document; false if there was none.
    fn remove(&mut self, id: &str) -> Result<bool, IndexError> {
        let origin = match self.touched.get(id) {
            Some(origin) => *origin,
            None => self.store.origin_of(&self.searcher, id)?,
        };
        let Some(origin) = origin else {
            return Ok(false);
        };
        self.writer.delete_term(self.store.fields.id_term(id));
        let count = self.contents.from(origin);
        *count = count.saturating_sub(1);
        self.touched.insert(id.to_owned(), None);
        Ok(true)
    }
}
