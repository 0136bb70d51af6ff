//! A connection on which commands and answers are lines of JSON: QEMU's monitor (QMP) and the guest agent.
//!
//! Commands carry a number and answers bring it back, so calls run side by side. Two tasks own the two directions: a
//! caller that gives up in the middle can neither cut a command in half nor take an answer that is not its own.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// How many events a slow listener may be behind before it misses some.
const EVENTS: usize = 256;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QmpError {
    /// The other side is gone.
    #[error("the connection is closed")]
    Gone,
    /// No answer in time.
    #[error("no answer to {0}")]
    Timeout(&'static str),
    /// The other side says no.
    #[error("{command}: {reason}")]
    Refused {
        /// The command.
        command: &'static str,
        /// What the other side says.
        reason: String,
    },
}

/// Something that happened.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    /// Its name, in capitals.
    pub(crate) event: String,
    /// What there is to know about it.
    #[serde(default)]
    pub(crate) data: Value,
}

/// A connection. The tasks end with it.
#[derive(Debug)]
pub(crate) struct Qmp {
    requests: mpsc::UnboundedSender<String>,
    shared: Arc<Shared>,
    last: AtomicU64,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    /// Who waits for which answer; `None` when no answer will come any more.
    pending: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
    events: broadcast::Sender<Event>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    id: Option<u64>,
    #[serde(rename = "return", default)]
    value: Value,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    desc: String,
}

impl Qmp {
    /// A connection over a socket that is connected.
    pub(crate) fn over(stream: UnixStream) -> Self {
        let (incoming, outgoing) = stream.into_split();
        let (requests, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            pending: Mutex::new(Some(HashMap::new())),
            events: broadcast::channel(EVENTS).0,
        });
        let tasks = [
            tokio::spawn(read(incoming, Arc::clone(&shared))),
            tokio::spawn(write(outgoing, queue)),
        ];
        Self {
            requests,
            shared,
            last: AtomicU64::new(0),
            tasks,
        }
    }

    /// Gives a command and reads its answer as `T`.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        command: &'static str,
        arguments: Value,
        limit: Duration,
    ) -> Result<T, QmpError> {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        match &mut *self.shared.waiting() {
            Some(pending) => pending.insert(id, sender),
            None => return Err(QmpError::Gone),
        };
        let mut line = json!({ "execute": command, "arguments": arguments, "id": id }).to_string();
        line.push('\n');
        self.requests.send(line).map_err(|_| QmpError::Gone)?;
        let answer = timeout(limit, answer).await.map_err(|_| {
            self.shared
                .waiting()
                .as_mut()
                .map(|pending| pending.remove(&id));
            QmpError::Timeout(command)
        })?;
        let answer = answer.map_err(|_| QmpError::Gone)?;
        let refused = |reason| QmpError::Refused { command, reason };
        match answer.error {
            Some(refusal) => Err(refused(refusal.desc)),
            None => {
                serde_json::from_value(answer.value).map_err(|error| refused(error.to_string()))
            }
        }
    }

    /// What happens from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }
}

impl Drop for Qmp {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Answer>>>> {
        self.pending
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn take(&self, line: &str) {
        if let Ok(event) = serde_json::from_str::<Event>(line) {
            // Nobody may be listening.
            let _ = self.events.send(event);
        } else if let Ok(answer) = serde_json::from_str::<Answer>(line)
            // The greeting has no number.
            && let Some(id) = answer.id
            && let Some(waiting) = self.waiting().as_mut().and_then(|all| all.remove(&id))
        {
            // Whoever asked may have given up.
            let _ = waiting.send(answer);
        }
    }
}

async fn read(incoming: OwnedReadHalf, shared: Arc<Shared>) {
    let mut lines = BufReader::new(incoming).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        shared.take(&line);
    }
    // Dropping the senders tells everybody who waits.
    shared.waiting().take();
}

async fn write(mut outgoing: OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<String>) {
    while let Some(line) = queue.recv().await {
        if outgoing.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// The other side of a connection, by hand.
    struct Peer {
        lines: tokio::io::Lines<BufReader<OwnedReadHalf>>,
        outgoing: OwnedWriteHalf,
    }

    impl Peer {
        fn pair() -> (Qmp, Self) {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (incoming, outgoing) = theirs.into_split();
            let lines = BufReader::new(incoming).lines();
            (Qmp::over(ours), Self { lines, outgoing })
        }

        async fn command(&mut self) -> Value {
            let line = self.lines.next_line().await.unwrap().unwrap();
            serde_json::from_str(&line).unwrap()
        }

        async fn say(&mut self, line: Value) {
            let line = format!("{line}\r\n");
            self.outgoing.write_all(line.as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn answers_find_their_commands_in_any_order() {
        let (qmp, mut peer) = Peer::pair();
        peer.say(json!({ "QMP": { "version": {} } })).await;
        let both = async {
            tokio::join!(
                qmp.ask::<u32>("one", json!({}), LONG),
                qmp.ask::<u32>("two", json!({}), LONG),
            )
        };
        let serve = async {
            let (first, second) = (peer.command().await, peer.command().await);
            for command in [second, first] {
                let value = if command["execute"] == "one" { 1 } else { 2 };
                peer.say(json!({ "return": value, "id": command["id"] }))
                    .await;
            }
        };
        let ((one, two), ()) = tokio::join!(both, serve);
        assert_eq!((one.unwrap(), two.unwrap()), (1, 2));
    }

    #[tokio::test]
    async fn a_late_answer_is_nobody_elses() {
        let (qmp, mut peer) = Peer::pair();
        let late = qmp.ask::<u32>("slow", json!({}), Duration::ZERO).await;
        assert!(matches!(late, Err(QmpError::Timeout("slow"))));
        let serve = async {
            let (slow, next) = (peer.command().await, peer.command().await);
            peer.say(json!({ "return": 1, "id": slow["id"] })).await;
            peer.say(json!({ "return": 2, "id": next["id"] })).await;
        };
        let (next, ()) = tokio::join!(qmp.ask::<u32>("next", json!({}), LONG), serve);
        assert_eq!(next.unwrap(), 2);
    }

    #[tokio::test]
    async fn everybody_learns_that_the_other_side_is_gone() {
        let (qmp, mut peer) = Peer::pair();
        let leave = async {
            peer.command().await;
            drop(peer);
        };
        let (waiting, ()) = tokio::join!(qmp.ask::<u32>("any", json!({}), LONG), leave);
        assert!(matches!(waiting, Err(QmpError::Gone)));
        let later = qmp.ask::<u32>("any", json!({}), LONG).await;
        assert!(matches!(later, Err(QmpError::Gone)));
    }

    #[tokio::test]
    async fn events_and_refusals_are_told_apart() {
        let (qmp, mut peer) = Peer::pair();
        let mut events = qmp.events();
        let serve = async {
            let command = peer.command().await;
            peer.say(json!({ "event": "STOP", "timestamp": {} })).await;
            peer.say(
                json!({ "error": { "class": "GenericError", "desc": "no" }, "id": command["id"] }),
            )
            .await;
        };
        let (refused, ()) = tokio::join!(qmp.ask::<u32>("any", json!({}), LONG), serve);
        assert_eq!(refused.unwrap_err().to_string(), "any: no");
        assert_eq!(events.recv().await.unwrap().event, "STOP");
    }
}
