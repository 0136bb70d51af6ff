//! Drives a backend through its real vtable, as the host does, in a plugin's own tests.
//!
//! ```
//! use sandbox_plugin_api::{prelude::*, testkit::TestKit};
//!
//! #[derive(Default)]
//! struct Greeter;
//!
//! #[backend(name = "greeter", description = "Says hello.")]
//! impl Greeter {
//!     /// Greet somebody.
//!     #[tool(read_only, example = r#"{"name": "Ada"}"#)]
//!     async fn hello(&self, name: String) -> Result<String> {
//!         Ok(format!("Hello {name}"))
//!     }
//! }
//!
//! let kit = TestKit::<Greeter>::new(json!({})).unwrap();
//! kit.warmup().unwrap();
//! assert_eq!(kit.call("greeter:hello", json!({"name": "Bo"})).unwrap(), "Hello Bo");
//! let wrong = kit.call("greeter:hello", json!({"nam": "Bo"})).unwrap_err();
//! assert_eq!(wrong.code, 1002);
//! kit.run_examples();
//! kit.shutdown().unwrap();
//! ```
#![expect(unsafe_code, reason = "opens the plugin's own table")]
#![expect(
    clippy::needless_pass_by_value,
    reason = "a test writes its JSON in the place of the argument"
)]

use std::{
    collections::HashMap,
    marker::PhantomData,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use serde_json::{Map, Value};

use crate::{
    backend::{Backend, Kind},
    host::{
        Answer, BackendHandle, Events, Function, LogEntry, LogSink, Pending, Request,
        SessionHandle, Status, Table, table,
    },
    plugin,
};

/// No operation of a test takes longer; one that does is reported as hanging.
const PATIENCE: Duration = Duration::from_mins(1);

/// A backend, made and driven through its vtable.
pub struct TestKit<B> {
    backend: Arc<BackendHandle>,
    tools: HashMap<String, u32>,
    description: Value,
    config: Value,
    _backend: PhantomData<B>,
}

/// A session of a [`TestKit`].
pub struct TestSession<'a, B: Backend> {
    kit: &'a TestKit<B>,
    handle: SessionHandle,
    worker: String,
    id: String,
}

/// An answer that is not success.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The protocol's code.
    pub code: i32,
    /// The message for the caller.
    pub message: String,
    /// The data, `null` if there is none.
    pub data: Value,
    /// Whether the code panicked.
    pub panicked: bool,
    /// Whether the operation was cancelled.
    pub cancelled: bool,
}

/// A successful answer with everything in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Success {
    /// The data.
    pub data: Value,
    /// The message, empty for the default.
    pub message: String,
    /// The keys for `meta`.
    pub meta: Value,
    /// The binary parts: key, media type, bytes.
    pub blobs: Vec<(String, String, Vec<u8>)>,
}

/// Everything that a call told while it ran.
#[derive(Debug, Default)]
pub struct Recorder {
    events: Mutex<Vec<Event>>,
}

/// One thing that a running call told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// `done` of `total`, in words.
    Progress(f64, f64, String),
    /// A part of the result.
    Output(String),
}

impl Recorder {
    /// What was told so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events for Recorder {
    fn progress(&self, done: f64, total: f64, message: &str) {
        self.lock()
            .push(Event::Progress(done, total, message.to_owned()));
    }

    fn output(&self, chunk: &str) {
        self.lock().push(Event::Output(chunk.to_owned()));
    }
}

impl<B: Backend> TestKit<B> {
    /// Makes the backend from its configuration, with the current directory as its base.
    ///
    /// # Errors
    ///
    /// What the backend says to its configuration.
    pub fn new(config: Value) -> Result<Self, Failure> {
        Self::at(config, ".")
    }

    /// Makes the backend with this directory as that of the configuration file.
    ///
    /// # Errors
    ///
    /// What the backend says to its configuration.
    ///
    /// # Panics
    ///
    /// When the backend's description is not what a host can read.
    pub fn at(config: Value, config_dir: &str) -> Result<Self, Failure> {
        plugin::runtime::share_tokio();
        // Not its class: a test program may have several backends of one name, of which a plugin exports one.
        let class = std::any::type_name::<B>();
        plugin::register(&[plugin::Registration::under::<B>(class)]);
        let host = table(Box::new(ToStderr), 2);
        // SAFETY: the entry function of this very program.
        let table = unsafe { Table::open(entry, host) }.expect("host and plugin are one program");
        let description = table.describe(class);
        let description = success(&description)?.data;
        let tools = description["tools"]
            .as_array()
            .into_iter()
            .flatten()
            .zip(0..)
            .flat_map(|(tool, index)| names(tool).into_iter().map(move |name| (name, index)))
            .collect();
        let backend = table
            .create(class, config.to_string().as_bytes(), config_dir)
            .map_err(|answer| failure(&answer))?;
        Ok(Self {
            backend,
            tools,
            description,
            config,
            _backend: PhantomData,
        })
    }

    /// What the backend says about itself: names, tools and schemas, as the host reads it.
    #[must_use]
    pub fn description(&self) -> &Value {
        &self.description
    }

    /// Runs `warmup`.
    ///
    /// # Errors
    ///
    /// What `warmup` answers.
    pub fn warmup(&self) -> Result<(), Failure> {
        self.operate(Function::Warmup, &Request::default())
            .map(|_| ())
    }

    /// Runs `probe`; null when the backend has none.
    ///
    /// # Errors
    ///
    /// What `probe` answers.
    pub fn probe(&self) -> Result<Value, Failure> {
        self.operate(Function::Probe, &Request::default())
            .map(|success| success.data)
    }

    /// Runs `shutdown`.
    ///
    /// # Errors
    ///
    /// What `shutdown` answers.
    pub fn shutdown(&self) -> Result<(), Failure> {
        self.operate(Function::Shutdown, &Request::default())
            .map(|_| ())
    }

    /// Makes a session; its configuration is the backend's, overlaid by this.
    ///
    /// # Errors
    ///
    /// What `initialize` answers.
    ///
    /// # Panics
    ///
    /// When `initialize` succeeded without a session.
    pub fn session(&self, worker: &str, config: Value) -> Result<TestSession<'_, B>, Failure> {
        let objects = [&self.config, &config]
            .into_iter()
            .filter_map(Value::as_object);
        let merged: Map<String, Value> = objects.flatten().map(owned).collect();
        let params = Value::Object(merged).to_string();
        let id = format!("{}_{worker}_001_00000000", B::META.name);
        let request = Request {
            params: params.as_bytes(),
            worker,
            session_id: &id,
            ..Request::default()
        };
        let mut answer = wait(self.start(Function::Initialize, &request, None));
        if !answer.is_success() {
            return Err(failure(&answer));
        }
        Ok(TestSession {
            kit: self,
            handle: answer.take_session().expect("initialize made a session"),
            worker: worker.to_owned(),
            id,
        })
    }

    /// Calls a tool without a session.
    ///
    /// # Errors
    ///
    /// Every answer that is not success.
    pub fn call(&self, tool: &str, params: Value) -> Result<Value, Failure> {
        self.call_with(tool, &params, Request::default())
            .map(|success| success.data)
    }

    /// Calls a tool of a shared backend for a worker whose session has this configuration.
    ///
    /// # Errors
    ///
    /// Every answer that is not success.
    pub fn call_as(&self, config: Value, tool: &str, params: Value) -> Result<Value, Failure> {
        let config = config.to_string();
        let request = Request {
            worker: "worker",
            session_id: "session",
            session_config: config.as_bytes(),
            ..Request::default()
        };
        self.call_with(tool, &params, request)
            .map(|success| success.data)
    }

    /// Starts a call and returns the operation: to be cancelled, or waited for with [`wait`].
    ///
    /// # Panics
    ///
    /// When the backend has no tool of this name.
    #[must_use]
    pub fn begin(
        &self,
        tool: &str,
        params: &Value,
        request: Request<'_>,
        events: Option<Arc<dyn Events>>,
    ) -> Pending {
        let params = params.to_string();
        let tool = *self
            .tools
            .get(tool)
            .unwrap_or_else(|| panic!("no tool {tool}; there are {:?}", self.tools.keys()));
        let request = Request {
            tool,
            params: params.as_bytes(),
            ..request
        };
        self.start(Function::Call, &request, events)
    }

    /// Runs every example that the tools declare, each in a session of its own where one is needed.
    ///
    /// # Panics
    ///
    /// When an example fails or is not JSON, or a tool has none.
    pub fn run_examples(&self) {
        for tool in B::tools() {
            // The description leaves out what is not JSON: it would publish it as a text.
            for example in tool.spec.examples {
                if let Err(error) = serde_json::from_str::<Value>(example) {
                    panic!(
                        "the example of {} is not JSON: {error}: {example}",
                        tool.spec.name
                    );
                }
            }
        }
        let tools = self.description["tools"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for tool in tools {
            let name = tool["name"].as_str().unwrap_or_default();
            let examples = tool["input_schema"]["examples"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            assert!(!examples.is_empty(), "{name} has no example");
            for example in examples {
                let result = if B::META.kind == Kind::Shared {
                    self.call(name, example.clone())
                } else {
                    let session = self.session("example", Value::Null).expect("a session");
                    let result = session.call(name, example.clone());
                    session.close().expect("the session ends");
                    result
                };
                if let Err(failure) = result {
                    panic!("the example of {name} fails: {example} gives {failure:?}");
                }
            }
        }
    }

    fn call_with(
        &self,
        tool: &str,
        params: &Value,
        request: Request<'_>,
    ) -> Result<Success, Failure> {
        success(&wait(self.begin(tool, params, request, None)))
    }

    fn operate(&self, function: Function, request: &Request<'_>) -> Result<Success, Failure> {
        success(&wait(self.start(function, request, None)))
    }

    fn start(
        &self,
        function: Function,
        request: &Request<'_>,
        events: Option<Arc<dyn Events>>,
    ) -> Pending {
        self.backend.start(function, request, events, None)
    }
}

impl<B: Backend> TestSession<'_, B> {
    /// Calls a tool in this session.
    ///
    /// # Errors
    ///
    /// Every answer that is not success.
    pub fn call(&self, tool: &str, params: Value) -> Result<Value, Failure> {
        self.call_whole(tool, params).map(|success| success.data)
    }

    /// Calls a tool and gives the whole answer: binary parts, message and meta too.
    ///
    /// # Errors
    ///
    /// Every answer that is not success.
    pub fn call_whole(&self, tool: &str, params: Value) -> Result<Success, Failure> {
        self.kit.call_with(tool, &params, self.request())
    }

    /// Starts a call and returns the operation.
    #[must_use]
    pub fn begin(&self, tool: &str, params: &Value, events: Option<Arc<dyn Events>>) -> Pending {
        self.kit.begin(tool, params, self.request(), events)
    }

    /// Starts a call that the host will give up on after `timeout`.
    #[must_use]
    pub fn begin_for(&self, tool: &str, params: &Value, timeout: Duration) -> Pending {
        let request = Request {
            timeout: Some(timeout),
            ..self.request()
        };
        self.kit.begin(tool, params, request, None)
    }

    /// Runs `cleanup` and gives the session back.
    ///
    /// # Errors
    ///
    /// What `cleanup` answers.
    pub fn close(self) -> Result<(), Failure> {
        self.kit
            .operate(Function::Cleanup, &self.request())
            .map(|_| ())
    }

    fn request(&self) -> Request<'_> {
        Request {
            worker: &self.worker,
            session_id: &self.id,
            session: Some(&self.handle),
            ..Request::default()
        }
    }
}

/// Waits for an operation.
///
/// # Panics
///
/// When it has not ended after a minute.
#[must_use]
pub fn wait(pending: Pending) -> Answer {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let deadline = Instant::now() + PATIENCE;
    let mut pending = pin!(pending);
    loop {
        if let Poll::Ready(answer) = pending.as_mut().poll(&mut context) {
            return answer;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "the operation hangs");
        thread::park_timeout(left);
    }
}

/// Turns an answer into data or a failure.
///
/// # Errors
///
/// Every answer that is not success.
pub fn success(answer: &Answer) -> Result<Success, Failure> {
    if !answer.is_success() {
        return Err(failure(answer));
    }
    let blobs = answer.blobs();
    Ok(Success {
        data: json(answer.data()),
        message: answer.message().into_owned(),
        meta: json(answer.meta()),
        blobs: blobs
            .map(|(key, kind, bytes)| (key.into_owned(), kind.into_owned(), bytes.to_vec()))
            .collect(),
    })
}

fn failure(answer: &Answer) -> Failure {
    Failure {
        code: answer.code(),
        message: answer.message().into_owned(),
        data: json(answer.data()),
        panicked: answer.status() == Status::Panicked,
        cancelled: answer.status() == Status::Cancelled,
    }
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn json(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(bytes).expect("a plugin answers with JSON")
}

fn names(tool: &Value) -> Vec<String> {
    let aliases = tool["aliases"].as_array().into_iter().flatten();
    std::iter::once(&tool["name"])
        .chain(aliases)
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

unsafe extern "C" fn entry(host: *const crate::abi::Host) -> *const crate::abi::Plugin {
    // SAFETY: the test kit passes the host's table.
    unsafe { plugin::entry(host) }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Shows warnings and errors; a test that fails wants to know them.
struct ToStderr;

impl LogSink for ToStderr {
    fn level(&self) -> u32 {
        2
    }

    fn write(&self, entry: &LogEntry<'_>) {
        eprintln!("{} {} {}", entry.target, entry.message, entry.fields);
    }
}
