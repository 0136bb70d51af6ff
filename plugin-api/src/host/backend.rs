//! Handles of a backend and of its sessions, and how their operations are started.
#![expect(unsafe_code, reason = "calls a plugin's C functions")]

use std::{
    mem::{ManuallyDrop, offset_of},
    ptr,
    sync::Arc,
    time::Duration,
};

use super::{
    Answer, Events, Pending,
    answer::Status,
    pending::{Keep, Slot, answer_of},
    services,
};
use crate::{
    abi::{
        ABI_MAJOR, Completion, CreateRequest, Host, NO_TIMEOUT, Opaque, OperationRequest,
        OperationRequest1, Outcome, Plugin, Plugin1, PluginEntry, Slice,
    },
    sharded::Spread,
};

/// Why a library's table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The entry function returned null: the plugin refuses this host.
    Refused,
    /// The plugin's table has this major version.
    Major(u32),
    /// The table has fewer bytes than the frozen struct.
    TooSmall(usize),
    /// These functions are null.
    Missing(Vec<&'static str>),
}

/// Starts an operation.
type Start = unsafe extern "C" fn(*mut Opaque, *const OperationRequest, Completion) -> *mut Opaque;

/// A plugin's table. Plugins are never unloaded, so it is good for the life of the process.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    plugin: &'static Plugin,
    /// Since minor 1.
    probe: Option<Start>,
}

impl Table {
    /// Calls a plugin's entry function.
    ///
    /// # Safety
    ///
    /// `entry` must keep the contract of [`PluginEntry`], and its library must stay loaded.
    ///
    /// # Errors
    ///
    /// When the plugin refuses the host, or its table is not one of this major version, or not filled in.
    pub unsafe fn open(entry: PluginEntry, host: &'static Host) -> Result<Self, TableError> {
        // SAFETY: the caller vouches for the function, and the host's table is static.
        let table = unsafe { entry(services::whole(host)) };
        if table.is_null() {
            return Err(TableError::Refused);
        }
        // SAFETY: a table begins with its size and the two version numbers, whatever follows.
        let (size, major) = unsafe { ((*table).size, (*table).abi_major) };
        if size < size_of::<Plugin>() {
            return Err(TableError::TooSmall(size));
        }
        if major != ABI_MAJOR {
            return Err(TableError::Major(major));
        }
        // SAFETY: it is large enough.
        let missing = unsafe { missing(table) };
        if !missing.is_empty() {
            return Err(TableError::Missing(missing));
        }
        // SAFETY: not null, large enough, of our major version, without a null where there must be a function, and good
        // for the life of the process.
        let plugin = unsafe { &*table };
        let probe = if size < size_of::<Plugin1>() {
            None
        } else {
            // SAFETY: it is as large as this, and begins with the frozen struct.
            unsafe { (*table.cast::<Plugin1>()).probe }
        };
        Ok(Self { plugin, probe })
    }

    /// The plugin's minor version.
    #[must_use]
    pub const fn minor(self) -> u32 {
        self.plugin.abi_minor
    }

    /// The description of a class, as JSON in the answer's data.
    #[must_use]
    pub fn describe(self, class: &str) -> Answer {
        let mut outcome = ManuallyDrop::new(Outcome::SUCCESS);
        // SAFETY: the slice is readable and the outcome writable during the call.
        unsafe { (self.plugin.describe)(Slice::new(class.as_bytes()), &raw mut *outcome) }
        // SAFETY: the plugin wrote it.
        unsafe { answer_of(&raw mut *outcome, None) }
    }

    /// Makes a backend of this class.
    ///
    /// # Errors
    ///
    /// The plugin's answer, when it made none.
    #[expect(
        clippy::result_large_err,
        reason = "once per backend; the answer is what every operation gives, as it is"
    )]
    pub fn create(
        self,
        class: &str,
        config: &[u8],
        config_dir: &str,
    ) -> Result<Arc<BackendHandle>, Answer> {
        let request = CreateRequest {
            size: size_of::<CreateRequest>(),
            class: Slice::new(class.as_bytes()),
            config: Slice::new(config),
            config_dir: Slice::new(config_dir.as_bytes()),
        };
        let mut outcome = ManuallyDrop::new(Outcome::SUCCESS);
        // SAFETY: request and outcome are good during the call.
        let backend = unsafe { (self.plugin.create)(&raw const request, &raw mut *outcome) };
        // SAFETY: the plugin wrote it.
        let answer = unsafe { answer_of(&raw mut *outcome, None) };
        if backend.is_null() {
            return Err(answer);
        }
        let raw = RawBackend {
            table: self,
            backend,
        };
        Ok(Arc::new(BackendHandle(Spread::new(raw))))
    }
}

/// The functions that a table has not. Every one of them may be called, so none may be null: a plugin without sessions
/// has functions for them that answer so.
///
/// # Safety
///
/// `table` must point to the readable bytes of a [`Plugin`], whatever they are.
unsafe fn missing(table: *const Plugin) -> Vec<&'static str> {
    macro_rules! functions {
        ($($name:ident)*) => { [$((stringify!($name), offset_of!(Plugin, $name)),)*] };
    }
    const BEFORE: usize = offset_of!(Plugin, describe);
    let functions: [_; (size_of::<Plugin>() - BEFORE) / size_of::<*const ()>()] = functions! {
        describe create warmup shutdown initialize cleanup call cancel release_operation
        release_session release_backend
    };
    // A null is no function pointer, not even for the moment of a look: these are read as addresses.
    let is_null = |at: usize| {
        // SAFETY: the offset is that of a pointer inside the table, which the caller vouches for.
        unsafe { table.byte_add(at).cast::<*const ()>().read() }.is_null()
    };
    let missing = functions.into_iter().filter(|(_, at)| is_null(*at));
    missing.map(|(name, _)| name).collect()
}

/// Which asynchronous function of a backend to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Starts what is shared.
    Warmup,
    /// Stops what is shared.
    Shutdown,
    /// Makes a session.
    Initialize,
    /// Ends a session.
    Cleanup,
    /// Calls a tool.
    Call,
    /// Asks how a backend is; an older plugin answers nothing.
    Probe,
}

/// What an operation needs; each takes of it what concerns it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The tool's index in the description.
    pub tool: u32,
    /// The parameters, or the configuration of the session to make: a JSON object.
    pub params: &'a [u8],
    /// The worker.
    pub worker: &'a str,
    /// The session's id.
    pub session_id: &'a str,
    /// The configuration of a session without a handle: a JSON object.
    pub session_config: &'a [u8],
    /// The trace id.
    pub trace: &'a str,
    /// The W3C `traceparent` for what happens inside, or empty.
    pub traceparent: &'a str,
    /// The `tracestate` that goes with it, or empty.
    pub tracestate: &'a str,
    /// When the host will give up.
    pub timeout: Option<Duration>,
    /// The session.
    pub session: Option<&'a SessionHandle>,
}

/// A backend. Dropped with its last session and operation, it is given back to the plugin.
#[derive(Debug)]
pub struct BackendHandle(Spread<RawBackend>);

/// What the plugin gave.
#[derive(Debug)]
pub(super) struct RawBackend {
    table: Table,
    backend: *mut Opaque,
}

// SAFETY: the ABI allows every function of the table to be called from any thread.
unsafe impl Send for RawBackend {}
// SAFETY: as above, at the same time too.
unsafe impl Sync for RawBackend {}

impl BackendHandle {
    /// Starts an operation. `keep` is dropped when the operation has completed, which may be long
    /// after the returned future was dropped: what the operation needs belongs there. The session stays by itself.
    ///
    /// # Panics
    ///
    /// When the session is one of another backend.
    pub fn start(
        &self,
        function: Function,
        request: &Request<'_>,
        events: Option<Arc<dyn Events>>,
        keep: Keep,
    ) -> Pending {
        let backend = self.0.hold();
        let session = request.session.map(|session| &session.0);
        assert!(
            session.is_none_or(|session| Arc::ptr_eq(&session.backend, &backend)),
            "the session is another backend's"
        );
        let slot = Slot::new(backend, session.cloned(), events, keep);
        let base = OperationRequest {
            size: size_of::<OperationRequest1>(),
            tool: request.tool,
            reserved: 0,
            params: Slice::new(request.params),
            worker: Slice::new(request.worker.as_bytes()),
            session_id: Slice::new(request.session_id.as_bytes()),
            session_config: Slice::new(request.session_config),
            trace: Slice::new(request.trace.as_bytes()),
            timeout_ns: request.timeout.map_or(NO_TIMEOUT, nanoseconds),
            session: session.map_or(ptr::null_mut(), |session| session.session),
            token: match slot.events() {
                Some(_) => slot.token(),
                None => ptr::null_mut(),
            },
        };
        let raw = OperationRequest1 {
            base,
            traceparent: Slice::new(request.traceparent.as_bytes()),
            tracestate: Slice::new(request.tracestate.as_bytes()),
        };
        let RawBackend { table, backend } = *slot.backend();
        let plugin = table.plugin;
        let start = match function {
            Function::Warmup => plugin.warmup,
            Function::Shutdown => plugin.shutdown,
            Function::Initialize => plugin.initialize,
            Function::Cleanup => plugin.cleanup,
            Function::Call => plugin.call,
            // An older plugin has nothing to say.
            Function::Probe => table.probe.unwrap_or(nothing_to_say),
        };
        // SAFETY: the backend is alive as long as the slot, which holds it, and so is the session, which is one of this
        // backend; the plugin's completion lets go of the slot. The request's slices are good during the call.
        let operation = unsafe { start(backend, (&raw const raw).cast(), slot.completion()) };
        Pending::new(slot, operation)
    }
}

impl RawBackend {
    pub(super) fn cancel(&self, operation: *mut Opaque) {
        if !operation.is_null() {
            // SAFETY: the only caller, `Pending`, holds the handle unreleased.
            unsafe { (self.table.plugin.cancel)(operation) }
        }
    }

    pub(super) fn release(&self, operation: *mut Opaque) {
        if !operation.is_null() {
            // SAFETY: `Pending` releases its handle once, when it is dropped.
            unsafe { (self.table.plugin.release_operation)(operation) }
        }
    }
}

impl Drop for RawBackend {
    fn drop(&mut self) {
        // SAFETY: sessions and operations hold the handle, so none is left.
        unsafe { (self.table.plugin.release_backend)(self.backend) }
    }
}

/// A session of a backend; given back to the plugin when this is dropped and its operations have ended.
#[derive(Debug)]
pub struct SessionHandle(Arc<RawSession>);

/// What the plugin gave. Each operation in it holds it: one that outlives its caller must not see it go.
#[derive(Debug)]
pub(super) struct RawSession {
    backend: Arc<RawBackend>,
    session: *mut Opaque,
}

// SAFETY: as for `RawBackend`.
unsafe impl Send for RawSession {}
// SAFETY: as for `RawBackend`.
unsafe impl Sync for RawSession {}

impl SessionHandle {
    pub(super) fn new(backend: &Arc<RawBackend>, session: *mut Opaque) -> Option<Self> {
        let raw = || RawSession {
            backend: Arc::clone(backend),
            session,
        };
        (!session.is_null()).then(|| Self(Arc::new(raw())))
    }
}

impl Drop for RawSession {
    fn drop(&mut self) {
        // SAFETY: the handle came from this backend's `initialize`, and this is its only release. No operation of the
        // session is under way, for each holds it.
        unsafe { (self.backend.table.plugin.release_session)(self.backend.backend, self.session) }
    }
}

/// The probe of a plugin that is older than the question.
unsafe extern "C" fn nothing_to_say(
    _: *mut Opaque,
    _: *const OperationRequest,
    completion: Completion,
) -> *mut Opaque {
    let mut outcome = ManuallyDrop::new(Outcome::SUCCESS);
    // SAFETY: this is the operation's one completion, and the outcome is good during the call.
    unsafe { (completion.complete)(completion.user, &raw mut *outcome) }
    ptr::null_mut()
}

fn nanoseconds(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos()).unwrap_or(NO_TIMEOUT)
}

impl Answer {
    /// An answer of the host's own, for an operation that no plugin answered.
    #[must_use]
    pub fn failure(status: Status, code: i32, message: String) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            data: crate::abi::Buffer::EMPTY,
            meta: crate::abi::Buffer::EMPTY,
            blobs: crate::abi::BlobList::EMPTY,
            session: None,
        }
    }
}
