//! The functions that cross: each guards against panics, and hands on to the instance behind its handle.
#![expect(unsafe_code, reason = "these functions are the ABI")]

use std::{ptr, sync::Arc};

use super::{
    guard::{guard, guard_for, panicked},
    host,
    instance::{AnyBackend, OperationKind, TraceContext},
    log,
    operation::{self, Finisher},
    registry, runtime,
};
use crate::{
    abi::{
        ABI_MAJOR, ABI_MINOR, Completion, CreateRequest, Host, Opaque, OperationRequest, Outcome,
        Plugin, Plugin1, Slice,
    },
    context::BackendEnv,
    error::{Error, Result},
    reply::{Reply, outcome_of},
};

static TABLE: Plugin1 = Plugin1 {
    base: BASE,
    probe: Some(probe),
};

const BASE: Plugin = Plugin {
    size: size_of::<Plugin1>(),
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    describe,
    create,
    warmup,
    shutdown,
    initialize,
    cleanup,
    call,
    cancel,
    release_operation,
    release_session,
    release_backend,
};

/// What `sandbox_plugin_entry` does: keeps the host's table, answers with the plugin's.
///
/// # Safety
///
/// `host` must be null or point to a table that begins with its size.
pub unsafe fn entry(host: *const Host) -> *const Plugin {
    guard(|| {
        // SAFETY: the caller vouches for the pointer; `copy_sized` reads no further than the size.
        let Some(table) = (unsafe { copy_sized(host) }) else {
            return ptr::null();
        };
        if table.abi_major != ABI_MAJOR {
            return ptr::null();
        }
        // SAFETY: as above.
        host::attach(table, unsafe { copy_sized(host.cast()) });
        log::install();
        (&raw const TABLE).cast()
    })
    .unwrap_or(ptr::null())
}

/// Copies a struct that begins with its size.
///
/// `None` for a null pointer, and for one that is smaller than the frozen struct.
///
/// # Safety
///
/// `source` must be null or point to a size and as many readable bytes as it says, of which those of `T` are a `T`.
pub(crate) unsafe fn copy_sized<T: Copy>(source: *const T) -> Option<T> {
    if source.is_null() {
        return None;
    }
    // SAFETY: the struct begins with its size.
    let size = unsafe { source.cast::<usize>().read() };
    // SAFETY: it has as many bytes as it says, and those of `T` are one.
    (size >= size_of::<T>()).then(|| unsafe { source.read() })
}

unsafe extern "C" fn describe(class: Slice, outcome: *mut Outcome) {
    let result = guard(|| {
        // SAFETY: the host's slice is readable during the call.
        let class = unsafe { class.text() }?;
        Reply::new((registration(class)?.describe)())
    });
    // SAFETY: the host passes room for an outcome.
    unsafe { answer(outcome, result) }
}

unsafe extern "C" fn create(request: *const CreateRequest, outcome: *mut Outcome) -> *mut Opaque {
    let result = guard(|| {
        // SAFETY: the host passes a request whose slices are readable during the call.
        let (class, config, config_dir) = unsafe {
            let request = &*request;
            (
                request.class.text()?,
                request.config.bytes(),
                request.config_dir.text()?,
            )
        };
        let registration = registration(class)?;
        let _inside = runtime::enter();
        (registration.create)(config, &BackendEnv::new(config_dir))
    });
    let (handle, result) = match result {
        Ok(Ok(backend)) => (
            Box::into_raw(Box::new(backend)).cast(),
            Ok(Ok(Reply::default())),
        ),
        Ok(Err(error)) => (ptr::null_mut(), Ok(Err(error))),
        Err(message) => (ptr::null_mut(), Err(message)),
    };
    // SAFETY: the host passes room for an outcome.
    unsafe { answer(outcome, result) }
    handle
}

fn registration(class: &str) -> Result<registry::Registration> {
    registry::find(class)
        .ok_or_else(|| Error::config(format!("the library has no backend of class {class}")))
}

/// Writes the outcome of a function that answers at once.
unsafe fn answer(outcome: *mut Outcome, result: std::result::Result<Result<Reply>, String>) {
    let answer = result.map_or_else(panicked, outcome_of);
    // SAFETY: the caller vouches that there is room; what was there owns nothing.
    unsafe { outcome.write(answer) }
}

macro_rules! operations {
    ($($name:ident: $kind:ident,)*) => {$(
        unsafe extern "C" fn $name(
            backend: *mut Opaque,
            request: *const OperationRequest,
            completion: Completion,
        ) -> *mut Opaque {
            // SAFETY: the host vouches for what it passes.
            unsafe { run(OperationKind::$kind, backend, request, completion) }
        }
    )*};
}

operations! {
    warmup: Warmup,
    shutdown: Shutdown,
    initialize: Initialize,
    cleanup: Cleanup,
    call: Call,
    probe: Probe,
}

/// Prepares and starts an operation; a panic on the way completes it.
unsafe fn run(
    kind: OperationKind,
    backend: *mut Opaque,
    request: *const OperationRequest,
    completion: Completion,
) -> *mut Opaque {
    let mut finisher = Finisher::new(completion);
    // SAFETY: `backend` is a live handle that `create` made, the request readable during the call.
    let (backend, within) = unsafe { (backend_of(backend), TraceContext::of(request)) };
    // SAFETY: as above.
    let request = unsafe { &*request };
    // SAFETY: so are its slices.
    let state = unsafe { backend.state(kind, request, within) };
    if !request.token.is_null() {
        finisher.end_events_of(&state);
    }
    let mut current = Some(Arc::clone(&state));
    let prepared = guard_for(&mut current, || {
        // SAFETY: as above, and the session is null or a live handle of this backend.
        unsafe { backend.prepare(kind, request, state) }
    });
    let started = match (prepared, current) {
        (Ok(work), Some(state)) => guard(|| operation::start(work, state, finisher)),
        (Ok(_), None) => Ok(ptr::null_mut()),
        (Err(message), _) => {
            finisher.finish(panicked(message));
            Ok(ptr::null_mut())
        }
    };
    // A panic while starting has dropped the work, and that completed the operation.
    started.unwrap_or(ptr::null_mut())
}

unsafe fn backend_of<'a>(backend: *mut Opaque) -> &'a dyn AnyBackend {
    // SAFETY: the caller vouches that the handle is the box that `create` leaked.
    unsafe { &**backend.cast::<Box<dyn AnyBackend>>() }
}

unsafe extern "C" fn cancel(operation: *mut Opaque) {
    // SAFETY: the host passes a handle that it has not released.
    let _ = guard(|| unsafe { operation::cancel(operation) });
}

unsafe extern "C" fn release_operation(operation: *mut Opaque) {
    // SAFETY: the host releases each handle once.
    let _ = guard(|| unsafe { operation::release(operation) });
}

unsafe extern "C" fn release_session(backend: *mut Opaque, session: *mut Opaque) {
    let released = guard(|| {
        let _inside = runtime::enter();
        // SAFETY: the host releases each session once, before its backend.
        unsafe { backend_of(backend).release_session(session) }
    });
    warn_of(released);
}

unsafe extern "C" fn release_backend(backend: *mut Opaque) {
    let released = guard(|| {
        if !backend.is_null() {
            let _inside = runtime::enter();
            // SAFETY: the handle is the box that `create` leaked, and the host releases it once.
            drop(unsafe { Box::from_raw(backend.cast::<Box<dyn AnyBackend>>()) });
        }
    });
    warn_of(released);
}

/// A destructor's panic has no caller to tell.
fn warn_of(released: std::result::Result<(), String>) {
    if let Err(panic) = released {
        tracing::error!(panic, "a destructor panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn an_unknown_class_is_an_error() {
        let error = registration("Nobody").err().map(|error| error.code());
        assert_eq!(error, Some(Code::Config));
    }

    #[test]
    fn a_struct_that_is_too_small_is_refused() {
        let mut host = [0usize; 32];
        host[0] = 8;
        // SAFETY: the size says 8, and 256 bytes are there.
        assert!(unsafe { copy_sized(host.as_ptr().cast::<Host>()) }.is_none());
    }
}
