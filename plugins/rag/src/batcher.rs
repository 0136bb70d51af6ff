//! Questions get their vectors: those that come together share one run of the model.
//!
//! One thread runs the model, on all cores. A question that finds it idle is run at once, alone; those
//! that come meanwhile are run together next. The thread only ever waits for questions of which it is
//! known that they are on their way, such as the others of one `rag:batch_search`.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use sandbox_embedding::{Kind, Model, Tokens};
use tokio::sync::oneshot;

use crate::{
    index::{IndexError, Meaning},
    queries::Queries,
};

/// How many questions are run together, and how long they wait for each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batching {
    /// With so many it runs, also if more are on their way.
    pub(crate) trigger: usize,
    /// The most in one run.
    pub(crate) most: usize,
    /// The longest wait for those on their way.
    pub(crate) wait: Duration,
}

enum Message {
    Asked(Asked),
    /// A question that was on its way will not come.
    Gone,
}

struct Asked {
    tokens: Tokens,
    reply: oneshot::Sender<Result<Vec<f32>, IndexError>>,
}

/// The thread, and the way to it. It ends when nobody can ask any more.
#[derive(Clone)]
pub(crate) struct Batcher {
    model: Arc<Model>,
    messages: mpsc::Sender<Message>,
    coming: Arc<AtomicUsize>,
}

/// A question on its way: whoever has it will ask, or drop it soon.
pub(crate) struct Ticket {
    batcher: Batcher,
    asked: bool,
}

impl Batcher {
    pub(crate) fn start(
        model: Arc<Model>,
        batching: Batching,
        queries: Arc<Queries>,
    ) -> io::Result<Self> {
        let (messages, receiver) = mpsc::channel();
        let coming = Arc::new(AtomicUsize::new(0));
        let thread = Loop {
            model: Arc::clone(&model),
            batching,
            queries,
            coming: Arc::clone(&coming),
        };
        thread::Builder::new()
            .name("rag-batcher".to_owned())
            .spawn(move || thread.run(&receiver))?;
        Ok(Self {
            model,
            messages,
            coming,
        })
    }

    /// The model.
    pub(crate) const fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Says that a question will be asked.
    pub(crate) fn announce(&self) -> Ticket {
        self.coming.fetch_add(1, Relaxed);
        Ticket {
            batcher: self.clone(),
            asked: false,
        }
    }
}

impl Ticket {
    /// Hands the question over. What it means comes later: several may be handed over before the
    /// first is waited for.
    pub(crate) fn ask(mut self, text: &str) -> Meant {
        let tokens = self.batcher.model.tokens(Kind::Query, text);
        let (known, (reply, answer)) = (tokens.known(), oneshot::channel());
        self.asked = true;
        self.batcher.coming.fetch_sub(1, Relaxed);
        // The thread lives as long as this.
        let _ = self
            .batcher
            .messages
            .send(Message::Asked(Asked { tokens, reply }));
        Meant { answer, known }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.asked {
            self.batcher.coming.fetch_sub(1, Relaxed);
            let _ = self.batcher.messages.send(Message::Gone);
        }
    }
}

/// A question that was handed over.
pub(crate) struct Meant {
    answer: oneshot::Receiver<Result<Vec<f32>, IndexError>>,
    known: f32,
}

impl Meant {
    /// Waits for its turn. Dropping the future takes the question back.
    pub(crate) async fn meaning(self) -> Result<Meaning, IndexError> {
        // The thread answers all that it takes, unless the model panicked.
        let vector = self.answer.await.map_err(|_| IndexError::Closed)??;
        Ok(Meaning::new(vector, self.known))
    }
}

/// What the thread has.
struct Loop {
    model: Arc<Model>,
    batching: Batching,
    queries: Arc<Queries>,
    coming: Arc<AtomicUsize>,
}

impl Loop {
    fn run(self, messages: &mpsc::Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            if let Message::Asked(first) = message {
                let mut batch = vec![first];
                self.gather(messages, &mut batch);
                batch.retain(|asked| !asked.reply.is_closed());
                self.answer(batch);
            }
        }
    }

    fn gather(&self, messages: &mpsc::Receiver<Message>, batch: &mut Vec<Asked>) {
        let latest = Instant::now() + self.batching.wait;
        while batch.len() < self.batching.most {
            let message = match messages.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    let enough = batch.len() >= self.batching.trigger;
                    if enough || self.coming.load(Relaxed) == 0 {
                        return;
                    }
                    let left = latest.saturating_duration_since(Instant::now());
                    match messages.recv_timeout(left) {
                        Ok(message) => message,
                        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
                    }
                }
            };
            if let Message::Asked(asked) = message {
                batch.push(asked);
            }
        }
    }

    fn answer(&self, batch: Vec<Asked>) {
        if batch.is_empty() {
            return;
        }
        self.queries.ran();
        let (tokens, replies): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|asked| (asked.tokens, asked.reply))
            .unzip();
        // A panic fails these questions, and not all that come after them.
        let run = panic::catch_unwind(AssertUnwindSafe(|| self.model.embed(&tokens)));
        match run.unwrap_or_else(|_| Err(io::Error::other("the model panicked"))) {
            Ok(vectors) => {
                for (reply, vector) in replies.into_iter().zip(vectors) {
                    // Whoever does not wait any more does not need the answer.
                    let _ = reply.send(Ok(vector));
                }
            }
            Err(error) => {
                for reply in replies {
                    let error = io::Error::new(error.kind(), error.to_string());
                    let _ = reply.send(Err(IndexError::Weights(error)));
                }
            }
        }
    }
}
