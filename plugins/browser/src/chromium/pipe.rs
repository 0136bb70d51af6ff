//! The `DevTools` protocol over a pair of pipes: calls out, answers and events in.
//!
//! A pipe and not a port: a debugging port is open to every local program and, where loopback is allowed, to pages.
//! Events are handed to their listener before the next message is read, so when a call's answer arrives, everything
//! that the browser told before it is already known. When the browser goes away, every waiting call ends at once.
//! What the messages mean is not known here.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use chromiumoxide_types::Command;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

/// What a call can come to, besides its answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The browser is gone.
    #[error("the browser died")]
    Died,
    /// The browser says no.
    #[error("{message}")]
    Refused {
        /// In its words.
        message: String,
    },
    /// The browser's answer is not what the protocol says.
    #[error("the browser's answer to {method} cannot be read: {reason}")]
    Unreadable {
        /// What was called.
        method: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

/// Hears the events of one session of the protocol. Called on the reading task: it must not wait.
pub(crate) trait Listener: Send + Sync {
    /// One event.
    fn event(&self, method: &str, params: &RawValue);
}

/// The browser's end of the conversation. Clones are the same pipe.
#[derive(Clone)]
pub(crate) struct Pipe(Arc<Shared>);

/// A pipe that is not kept open.
pub(crate) struct WeakPipe(Weak<Shared>);

impl WeakPipe {
    /// The pipe, if somebody else keeps it.
    pub(crate) fn upgrade(&self) -> Option<Pipe> {
        self.0.upgrade().map(Pipe)
    }
}

struct Shared {
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    next: AtomicU64,
    /// `None` when the browser is gone: nothing may begin to wait any more.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
    listeners: Mutex<HashMap<String, Arc<dyn Listener>>>,
    gone: CancellationToken,
}

type Answer = Result<Box<RawValue>, CallError>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outgoing<'a, C> {
    id: u64,
    method: &'a str,
    params: C,
    #[serde(skip_serializing_if = "str::is_empty")]
    session_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Refusal>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    session_id: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Pipe {
    /// Begins to talk over these pipes. `root` hears the events that belong to no session.
    pub(crate) fn open(
        reader: impl AsyncRead + Unpin + Send + 'static,
        writer: impl AsyncWrite + Unpin + Send + 'static,
        root: Arc<dyn Listener>,
    ) -> Self {
        let (outgoing, messages) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            outgoing,
            next: AtomicU64::new(1),
            waiting: Mutex::new(Some(HashMap::new())),
            listeners: Mutex::new(HashMap::from([(String::new(), root)])),
            gone: CancellationToken::new(),
        });
        tokio::spawn(write(writer, messages, Arc::downgrade(&shared)));
        tokio::spawn(read(reader, Arc::clone(&shared)));
        Self(shared)
    }

    /// Calls, and waits for the answer. `session` is empty for the browser itself.
    pub(crate) async fn call<C: Command>(
        &self,
        session: &str,
        command: &C,
    ) -> Result<C::Response, CallError> {
        self.call_as(session, command).await
    }

    /// Calls, and reads the answer as a type of our own: some of the protocol's types refuse values that are newer
    /// than they are.
    pub(crate) async fn call_as<C: Command, R: DeserializeOwned>(
        &self,
        session: &str,
        command: &C,
    ) -> Result<R, CallError> {
        let (sender, answer) = oneshot::channel();
        let method = command.identifier();
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        match lock(&self.0.waiting).as_mut() {
            Some(waiting) => waiting.insert(id, sender),
            None => return Err(CallError::Died),
        };
        // A caller that is dropped while it waits must not leave its place behind.
        let _place = Place {
            shared: &self.0,
            id,
        };
        self.send(id, session, command)?;
        let answer = answer.await.map_err(|_| CallError::Died)??;
        serde_json::from_str(answer.get()).map_err(|error| CallError::Unreadable {
            method: method.into_owned(),
            reason: error.to_string(),
        })
    }

    /// Calls without waiting for the answer, which nobody will see.
    pub(crate) fn tell<C: Command>(&self, session: &str, command: &C) {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let _ = self.send(id, session, command);
    }

    /// From now on, `listener` hears the events of this session.
    pub(crate) fn listen(&self, session: &str, listener: Arc<dyn Listener>) {
        lock(&self.0.listeners).insert(session.to_owned(), listener);
    }

    /// Nobody hears this session's events any more.
    pub(crate) fn unlisten(&self, session: &str) {
        lock(&self.0.listeners).remove(session);
    }

    /// Done when the browser is gone.
    pub(crate) fn gone(&self) -> &CancellationToken {
        &self.0.gone
    }

    /// The same pipe, without keeping it.
    pub(crate) fn downgrade(&self) -> WeakPipe {
        WeakPipe(Arc::downgrade(&self.0))
    }

    /// The browser is gone: whoever waits is told.
    pub(crate) fn close(&self) {
        self.0.end();
    }

    fn send<C: Command>(&self, id: u64, session: &str, command: &C) -> Result<(), CallError> {
        let method = command.identifier();
        let outgoing = Outgoing {
            id,
            method: &method,
            params: command,
            session_id: session,
        };
        let mut message = serde_json::to_vec(&outgoing).map_err(|error| CallError::Refused {
            message: format!("{method}: {error}"),
        })?;
        message.push(0);
        self.0.outgoing.send(message).map_err(|_| CallError::Died)
    }
}

/// The place of a call that waits.
struct Place<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = lock(&self.shared.waiting).as_mut() {
            waiting.remove(&self.id);
        }
    }
}

impl Shared {
    fn received(&self, message: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Incoming<'_>>(message) else {
            tracing::debug!("the browser sent something that is no message");
            return;
        };
        if let Some(id) = message.id {
            self.answered(id, message);
        } else if let (Some(method), Some(params)) = (message.method, message.params) {
            let session = message.session_id.unwrap_or_default();
            let listener = lock(&self.listeners).get(&session).cloned();
            if let Some(listener) = listener {
                listener.event(&method, params);
            }
        }
    }

    fn answered(&self, id: u64, message: Incoming<'_>) {
        let Some(caller) = lock(&self.waiting)
            .as_mut()
            .and_then(|waiting| waiting.remove(&id))
        else {
            if let Some(error) = message.error {
                tracing::debug!(error = error.message, "a call that nobody waits for failed");
            }
            return;
        };
        let answer = match (message.result, message.error) {
            (_, Some(Refusal { message })) => Err(CallError::Refused { message }),
            (Some(result), None) => Ok(result.to_owned()),
            (None, None) => Err(CallError::Refused {
                message: "an answer without a result".to_owned(),
            }),
        };
        let _ = caller.send(answer);
    }

    fn end(&self) {
        // Dropping the senders is what the waiting calls notice.
        lock(&self.waiting).take();
        self.gone.cancel();
        lock(&self.listeners).clear();
    }
}

async fn write(
    mut writer: impl AsyncWrite + Unpin,
    mut messages: mpsc::UnboundedReceiver<Vec<u8>>,
    shared: Weak<Shared>,
) {
    while let Some(message) = messages.recv().await {
        if writer.write_all(&message).await.is_err() {
            if let Some(shared) = shared.upgrade() {
                shared.end();
            }
            break;
        }
    }
}

async fn read(mut reader: impl AsyncRead + Unpin, shared: Arc<Shared>) {
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        let seen = buffer.len();
        match reader.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        // What was there before holds no end of a message: a picture of megabytes is looked at once.
        let mut start = 0;
        let mut from = seen;
        while let Some(end) = buffer[from..].iter().position(|byte| *byte == 0) {
            shared.received(&buffer[start..from + end]);
            start = from + end + 1;
            from = start;
        }
        buffer.drain(..start);
    }
    shared.end();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
