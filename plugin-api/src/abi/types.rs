//! The structs and functions that cross, in the order in which a plugin meets them.

use std::ptr;

use abi_stable::StableAbi;

use super::{BlobList, Buffer, Slice};

/// What a handle points to: known only to the side that made it.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Opaque {
    _private: [u8; 0],
}

/// The operation ended by itself; `code` says how.
pub const STATUS_COMPLETED: u32 = 0;
/// The plugin's code panicked; `message` holds the panic's message and place.
pub const STATUS_PANICKED: u32 = 1;
/// The operation was cancelled, and nothing of it runs any more.
pub const STATUS_CANCELLED: u32 = 2;

/// No limit, in a field that holds a timeout.
pub const NO_TIMEOUT: u64 = u64::MAX;

/// The function that every plugin exports as `sandbox_plugin_entry`.
///
/// It is called once, before anything else. It returns a table that stays valid as long as the
/// process, or null when the plugin cannot work with this host.
pub type PluginEntry = unsafe extern "C" fn(host: *const Host) -> *const Plugin;

/// What the host lends to a plugin. Valid as long as the process.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Host {
    /// The size of this struct in bytes, as the host knows it.
    pub size: usize,
    /// The host's [`ABI_MAJOR`](super::ABI_MAJOR).
    pub abi_major: u32,
    /// The host's [`ABI_MINOR`](super::ABI_MINOR).
    pub abi_minor: u32,
    /// Writes one record to the host's log. Any thread, any time.
    pub log: unsafe extern "C" fn(record: *const LogRecord),
    /// The most verbose level that the host's log takes: 0 off, 1 error … 5 trace. May change.
    pub log_level: unsafe extern "C" fn() -> u32,
    /// Tells how far the operation with this token is: `done` of `total` (0: unknown), in words.
    pub progress: unsafe extern "C" fn(token: *mut Opaque, done: f64, total: f64, message: Slice),
    /// Hands over a part of the result of the operation with this token before it ends.
    pub output: unsafe extern "C" fn(token: *mut Opaque, chunk: Slice),
    /// How many threads the plugin's own runtime should have.
    pub worker_threads: u32,
    /// Not used; keeps the size the same on every platform.
    pub reserved: u32,
}

/// One line for the log.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct LogRecord {
    /// The size of this struct in bytes.
    pub size: usize,
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u32,
    /// Not used.
    pub reserved: u32,
    /// The part of the program that speaks, for example a module path.
    pub target: Slice,
    /// What happened.
    pub message: Slice,
    /// A JSON object with the record's fields, or empty.
    pub fields: Slice,
    /// The worker on whose behalf the plugin works, or empty.
    pub worker: Slice,
    /// The session's id, or empty.
    pub session: Slice,
    /// The trace id of the call, or empty.
    pub trace: Slice,
    /// The tool that is running, or empty.
    pub tool: Slice,
}

/// What a plugin offers. Valid as long as the process; every function may be called from any thread.
///
/// None of these functions is null: a host refuses a table in which one is. One that has nothing to do completes at
/// once, or does nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Plugin {
    /// The size of this struct in bytes, as the plugin knows it.
    pub size: usize,
    /// The plugin's [`ABI_MAJOR`](super::ABI_MAJOR).
    pub abi_major: u32,
    /// The plugin's [`ABI_MINOR`](super::ABI_MINOR).
    pub abi_minor: u32,
    /// Describes the backend of this class as JSON in `outcome.data`; docs/plugin-abi.md says what is in it.
    pub describe: unsafe extern "C" fn(class_name: Slice, outcome: *mut Outcome),
    /// Makes a backend from its configuration. Null when `outcome.code` is not 0. Does no slow work.
    pub create:
        unsafe extern "C" fn(request: *const CreateRequest, outcome: *mut Outcome) -> *mut Opaque,
    /// Starts what all sessions share. Like the next four, an operation: it returns the handle for
    /// `cancel` and `release_operation`, or null when it has completed already. Comes again after it failed, and after a
    /// panic in what is shared; `shutdown` comes between.
    pub warmup: unsafe extern "C" fn(
        backend: *mut Opaque,
        request: *const OperationRequest,
        completion: Completion,
    ) -> *mut Opaque,
    /// Stops what all sessions share: when the host stops, as the last operation on the backend, and before each
    /// further `warmup`, when there may be sessions and calls. The handle stays valid until `release_backend`.
    pub shutdown: unsafe extern "C" fn(
        backend: *mut Opaque,
        request: *const OperationRequest,
        completion: Completion,
    ) -> *mut Opaque,
    /// Makes a session; its handle comes in `outcome.session`.
    pub initialize: unsafe extern "C" fn(
        backend: *mut Opaque,
        request: *const OperationRequest,
        completion: Completion,
    ) -> *mut Opaque,
    /// Ends a session, once. The handle stays valid until `release_session`: calls that ignore their
    /// cancellation may still run in it.
    pub cleanup: unsafe extern "C" fn(
        backend: *mut Opaque,
        request: *const OperationRequest,
        completion: Completion,
    ) -> *mut Opaque,
    /// Calls a tool.
    pub call: unsafe extern "C" fn(
        backend: *mut Opaque,
        request: *const OperationRequest,
        completion: Completion,
    ) -> *mut Opaque,
    /// Asks an operation to stop. It still completes; asking again, or too late, does nothing.
    pub cancel: unsafe extern "C" fn(operation: *mut Opaque),
    /// Gives an operation's handle back, once, whether it has completed or not.
    pub release_operation: unsafe extern "C" fn(operation: *mut Opaque),
    /// Gives a session's handle back, once.
    pub release_session: unsafe extern "C" fn(backend: *mut Opaque, session: *mut Opaque),
    /// Gives a backend's handle back, once, after its last session.
    pub release_backend: unsafe extern "C" fn(backend: *mut Opaque),
}

/// What `create` needs.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct CreateRequest {
    /// The size of this struct in bytes.
    pub size: usize,
    /// The class, as the manifest names it.
    pub class: Slice,
    /// The backend's configuration: a JSON object.
    pub config: Slice,
    /// The directory that relative paths in the configuration are relative to.
    pub config_dir: Slice,
}

/// What an asynchronous operation needs; each takes of it what concerns it.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct OperationRequest {
    /// The size of this struct in bytes.
    pub size: usize,
    /// `call`: the tool's index in the description.
    pub tool: u32,
    /// Not used.
    pub reserved: u32,
    /// `call`: the parameters, a JSON object. `initialize`: the session's configuration.
    pub params: Slice,
    /// The worker on whose behalf this happens, or empty.
    pub worker: Slice,
    /// The session's id, or empty.
    pub session_id: Slice,
    /// The configuration of a session without a handle (of a shared backend), a JSON object, or empty.
    pub session_config: Slice,
    /// The trace that this belongs to, as whoever asked for it named it (32 hex digits where nobody did), or empty.
    pub trace: Slice,
    /// Nanoseconds from now until the host gives up; [`NO_TIMEOUT`] for none.
    pub timeout_ns: u64,
    /// The session's handle; null for tools that need none.
    pub session: *mut Opaque,
    /// Names this operation to [`Host::progress`] and [`Host::output`], until it completes; null when nobody
    /// listens to them.
    pub token: *mut Opaque,
}

/// Whom to tell that an operation is over.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Completion {
    /// The host's own; handed back untouched.
    pub user: *mut Opaque,
    /// Called exactly once per operation. Takes what `outcome` owns, leaves the struct itself.
    pub complete: unsafe extern "C" fn(user: *mut Opaque, outcome: *mut Outcome),
}

/// Bytes in a result that are not JSON, an image for example.
#[repr(C)]
#[derive(Debug, Default, StableAbi)]
pub struct Blob {
    /// The key in the result's data under which a client finds the bytes, as base64.
    pub key: Buffer,
    /// The media type, `image/png` for example.
    pub media_type: Buffer,
    /// The bytes.
    pub bytes: Buffer,
}

/// How an operation ended.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Outcome {
    /// The size of this struct in bytes.
    pub size: usize,
    /// [`STATUS_COMPLETED`], [`STATUS_PANICKED`] or [`STATUS_CANCELLED`].
    pub status: u32,
    /// The code of the protocol: 0 for success.
    pub code: i32,
    /// What a client may read about it; empty for the host's default.
    pub message: Buffer,
    /// The result: JSON, or empty for `null`.
    pub data: Buffer,
    /// A JSON object with keys to add to the answer's `meta`, or empty.
    pub meta: Buffer,
    /// Binary parts of the result.
    pub blobs: BlobList,
    /// `initialize`: the session's handle.
    pub session: *mut Opaque,
}

impl Outcome {
    /// Success, with nothing to say.
    pub const SUCCESS: Self = Self {
        size: size_of::<Self>(),
        status: STATUS_COMPLETED,
        code: 0,
        message: Buffer::EMPTY,
        data: Buffer::EMPTY,
        meta: Buffer::EMPTY,
        blobs: BlobList::EMPTY,
        session: ptr::null_mut(),
    };
}
