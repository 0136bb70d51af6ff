//! What `#[backend]` implements for a struct. Written by the macro, not by hand.

#[doc(hidden)]
pub mod names;

use std::{future::Future, sync::Arc};

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    abi::Outcome,
    context::{BackendEnv, CallContext, SessionInfo},
    error::{Error, Result},
    params,
    plugin::{Work, runtime},
    reply::{Reply, outcome_of},
    sharded::Held,
};

/// Which of its resources a backend has per session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything is shared: no sessions.
    Shared,
    /// A resource per session, and nothing that is shared.
    Session,
    /// Something shared, and a part of it per session.
    Hybrid,
}

impl Kind {
    /// The kind's name in manifests and descriptions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Session => "session",
            Self::Hybrid => "hybrid",
        }
    }
}

/// What a backend is called.
#[derive(Debug)]
pub struct Meta {
    /// The class, by which a configuration can choose among the backends of a library.
    pub class: &'static str,
    /// The name: resource type, key in the configuration, prefix of the tools.
    pub name: &'static str,
    /// One sentence for people.
    pub description: &'static str,
    /// The backend's own version.
    pub version: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The same as JSON, for the manifest.
    pub manifest: &'static str,
}

/// A backend. `#[backend]` writes this from the functions it finds.
pub trait Backend: Send + Sync + Sized + 'static {
    /// What `resources.<name>.config` may hold.
    type Config: DeserializeOwned + JsonSchema;
    /// What a client may say when it creates a session.
    type SessionConfig: DeserializeOwned + JsonSchema;
    /// What a session is.
    type Session: Send + Sync + 'static;

    /// Names and kind.
    const META: Meta;

    /// Makes the backend; does no slow work.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work.
    fn create(config: Self::Config, env: &BackendEnv) -> Result<Self>;

    /// Starts what is shared.
    fn warmup(&self, context: &CallContext) -> impl Future<Output = Result<()>> + Send;

    /// Stops what is shared.
    fn shutdown(&self, context: &CallContext) -> impl Future<Output = Result<()>> + Send;

    /// Says how the backend is: its reply's data is shown to operators.
    fn probe(&self, context: &CallContext) -> impl Future<Output = Result<Reply>> + Send {
        let _ = context;
        async { Ok(Reply::default()) }
    }

    /// Makes a session.
    fn initialize(
        &self,
        info: &SessionInfo,
        context: &CallContext,
        config: Self::SessionConfig,
    ) -> impl Future<Output = Result<Self::Session>> + Send;

    /// Ends a session.
    fn cleanup(
        &self,
        session: &Self::Session,
        info: &SessionInfo,
        context: &CallContext,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The tools, in the order of the source.
    fn tools() -> Vec<Tool<Self>>;
}

/// The configuration of a backend that takes none.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// A configuration of which nothing is known.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
pub struct AnyConfig {}

/// What the macro knows of a tool before any call.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the tool, independent of the others"
)]
pub struct ToolSpec {
    /// The full name, `resource:action`.
    pub name: &'static str,
    /// Further full names.
    pub aliases: &'static [&'static str],
    /// The resource type it belongs to.
    pub resource_type: &'static str,
    /// A human-readable title.
    pub title: &'static str,
    /// When and how to use it: the doc comment.
    pub description: &'static str,
    /// Not shown in lists unless asked for.
    pub hidden: bool,
    /// The default time limit in seconds.
    pub timeout: Option<f64>,
    /// Changes nothing.
    pub read_only: bool,
    /// May destroy something.
    pub destructive: bool,
    /// Calling it twice is the same as calling it once.
    pub idempotent: bool,
    /// Whether its function takes the session.
    pub needs_session: bool,
    /// Parameters of calls that work, as JSON objects.
    pub examples: &'static [&'static str],
}

/// A tool: what is said about it, and how to call it.
pub struct Tool<B: Backend> {
    /// What is said about it.
    pub spec: ToolSpec,
    /// The schema of its parameters.
    pub input: fn() -> Schema,
    /// The schema of its result's data, where the function's return type has one.
    pub output: fn() -> Option<Schema>,
    /// Begins a call with these parameters.
    pub begin: fn(Call<B>, &[u8]) -> Begun,
}

/// The tools of a further impl block. `#[tools]` writes it, `#[backend]` reads it.
pub struct ToolBlock<B: Backend> {
    /// The full names of its tools, and their aliases.
    pub names: &'static [&'static str],
    /// Its tools.
    pub tools: fn() -> Vec<Tool<B>>,
}

/// What a call has besides its parameters.
pub struct Call<B: Backend> {
    /// The backend.
    pub backend: Held<B>,
    /// The context.
    pub context: CallContext,
    pub(crate) session: Option<Arc<SessionCell<B>>>,
    pub(crate) info: Option<SessionInfo>,
}

/// A session, and what is known about it.
pub(crate) struct SessionCell<B: Backend> {
    pub(crate) session: B::Session,
    pub(crate) info: SessionInfo,
}

impl<B: Backend> Call<B> {
    /// The session.
    ///
    /// # Errors
    ///
    /// Code 1003 when the call has none.
    pub fn session(&self) -> Result<&B::Session> {
        self.session_or_none().ok_or_else(no_session)
    }

    /// The session, if there is one.
    #[must_use]
    pub fn session_or_none(&self) -> Option<&B::Session> {
        self.session.as_deref().map(|cell| &cell.session)
    }

    /// The session's facts.
    ///
    /// # Errors
    ///
    /// Code 1003 when there is no session.
    pub fn info(&self) -> Result<&SessionInfo> {
        self.info_or_none().ok_or_else(no_session)
    }

    /// The session's facts, if there is a session.
    #[must_use]
    pub fn info_or_none(&self) -> Option<&SessionInfo> {
        let own = self.session.as_deref().map(|cell| &cell.info);
        own.or(self.info.as_ref())
    }
}

fn no_session() -> Error {
    Error::session("this tool works in a session, and the call has none")
}

/// A call under way, as the macro hands it to the runtime.
pub struct Begun(pub(crate) Work);

impl Begun {
    /// To be polled on the plugin's runtime.
    pub fn task(call: impl Future<Output = Result<Reply>> + Send + 'static) -> Self {
        Self(Work::Task(Box::pin(outcome(call))))
    }

    /// To be polled first on the caller's thread.
    pub fn inline(call: impl Future<Output = Result<Reply>> + Send + 'static) -> Self {
        Self(Work::Inline(Box::pin(outcome(call))))
    }

    /// To be run where blocking is allowed.
    pub fn blocking(call: impl FnOnce() -> Result<Reply> + Send + 'static) -> Self {
        Self(Work::Blocking(Box::new(|| outcome_of(call()))))
    }

    /// Run at once, on the caller's thread.
    pub fn ready(call: impl FnOnce() -> Result<Reply>) -> Self {
        let _inside = runtime::enter();
        Self(Work::Ready(outcome_of(call())))
    }
}

async fn outcome(call: impl Future<Output = Result<Reply>>) -> Outcome {
    outcome_of(call.await)
}

/// Parameters on their way from JSON to the tool's own type.
///
/// Small ones are read at once, from the caller's memory. Large ones are copied and read where the
/// tool runs, so that nobody else's call waits for them.
pub enum Reading<T> {
    /// Read, or found wrong.
    Done(Result<T>),
    /// To be read by the tool's own thread.
    Later(Vec<u8>),
}

/// Up to this size reading (some 50 µs) costs less than what a move to another thread is worth.
const READ_AT_ONCE: usize = 16 * 1024;

impl<T: DeserializeOwned + JsonSchema> Reading<T> {
    /// Begins to read.
    #[must_use]
    pub fn begin(params: &[u8]) -> Self {
        if params.len() <= READ_AT_ONCE {
            Self::Done(params::parse(params))
        } else {
            Self::Later(params.to_vec())
        }
    }

    /// The parameters.
    ///
    /// # Errors
    ///
    /// Code 1002 when they do not fit the type.
    pub fn end(self) -> Result<T> {
        match self {
            Self::Done(result) => result,
            Self::Later(bytes) => params::parse(&bytes),
        }
    }
}
