//! The raw table: every operation completes exactly once, whatever is asked of it and when.
#![expect(unsafe_code, reason = "calls the table without the safe handles")]

use std::{
    ffi::c_void,
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use sandbox_plugin_api::{
    abi::{
        Completion, CreateRequest, NO_TIMEOUT, Opaque, OperationRequest, Outcome, Plugin, Slice,
    },
    plugin,
    prelude::*,
};

use crate::support::{install_host, until};

#[derive(Default)]
struct Raced;

#[backend(name = "raced", description = "Ends in every way.")]
impl Raced {
    #[tool]
    async fn task(&self) -> Result<u8> {
        tokio::task::yield_now().await;
        Ok(1)
    }

    #[tool(inline)]
    async fn inline(&self) -> Result<u8> {
        tokio::task::yield_now().await;
        Ok(1)
    }

    #[tool(blocking)]
    fn blocking(&self) -> Result<u8> {
        Ok(1)
    }

    #[tool(inline)]
    fn plain(&self) -> Result<u8> {
        Ok(1)
    }

    #[tool]
    async fn panics(&self) -> Result<u8> {
        panic!("as it must")
    }
}

const TOOLS: u32 = 5;
/// One more than there is.
const MISSING: u32 = TOOLS;

struct Raw {
    table: &'static Plugin,
    backend: *mut Opaque,
}

impl Raw {
    fn new() -> Self {
        plugin::register(&[plugin::Registration::of::<Raced>()]);
        // SAFETY: the host's table is static, and so is the plugin's.
        let table = unsafe { &*plugin::entry(install_host()) };
        let request = CreateRequest {
            size: size_of::<CreateRequest>(),
            class: Slice::new(b"Raced"),
            config: Slice::EMPTY,
            config_dir: Slice::EMPTY,
        };
        let mut outcome = Outcome::SUCCESS;
        // SAFETY: both are good during the call.
        let backend = unsafe { (table.create)(&raw const request, &raw mut outcome) };
        assert!(!backend.is_null());
        Self { table, backend }
    }

    /// Starts a call that counts its completions.
    fn call(&self, tool: u32, completions: &'static AtomicU32) -> *mut Opaque {
        let request = OperationRequest {
            size: size_of::<OperationRequest>(),
            tool,
            reserved: 0,
            params: Slice::new(b"{}"),
            worker: Slice::EMPTY,
            session_id: Slice::EMPTY,
            session_config: Slice::EMPTY,
            trace: Slice::EMPTY,
            timeout_ns: NO_TIMEOUT,
            session: ptr::null_mut(),
            token: ptr::null_mut(),
        };
        let completion = Completion {
            user: ptr::from_ref(completions)
                .cast::<c_void>()
                .cast_mut()
                .cast(),
            complete: count,
        };
        // SAFETY: the backend lives, the request is good during the call, the counter for ever.
        unsafe { (self.table.call)(self.backend, &raw const request, completion) }
    }
}

unsafe extern "C" fn count(user: *mut Opaque, outcome: *mut Outcome) {
    // SAFETY: `call` passed a counter, and the outcome's parts are this side's to take.
    unsafe {
        drop(outcome.read());
        (*user.cast_const().cast::<AtomicU32>()).fetch_add(1, Ordering::SeqCst);
    }
}

fn counter() -> &'static AtomicU32 {
    Box::leak(Box::default())
}

#[test]
fn every_operation_completes_once_under_cancels_from_two_threads() {
    const ROUNDS: u32 = 300;
    let raw = Raw::new();
    let completions = counter();
    for round in 0..ROUNDS {
        let operation = raw.call(round % TOOLS, completions) as usize;
        let cancel = raw.table.cancel;
        thread::scope(|scope| {
            for _ in 0..2 {
                // SAFETY: the handle is not released before both have ended.
                scope.spawn(move || unsafe { cancel(operation as *mut Opaque) });
            }
        });
        // SAFETY: once.
        unsafe { (raw.table.release_operation)(operation as *mut Opaque) };
    }
    until(|| completions.load(Ordering::SeqCst) >= ROUNDS);
    // SAFETY: every operation has completed, and there are no sessions.
    unsafe { (raw.table.release_backend)(raw.backend) };
    assert_eq!(completions.load(Ordering::SeqCst), ROUNDS);
}

#[test]
fn operations_go_on_without_their_handle() {
    let raw = Raw::new();
    let completions = counter();
    for tool in 0..TOOLS {
        let operation = raw.call(tool, completions);
        // SAFETY: once.
        unsafe { (raw.table.release_operation)(operation) };
    }
    until(|| completions.load(Ordering::SeqCst) >= TOOLS);
}

#[test]
fn what_ends_at_once_has_no_handle() {
    let raw = Raw::new();
    let completions = counter();
    assert!(raw.call(3, completions).is_null());
    assert!(raw.call(MISSING, completions).is_null());
    assert_eq!(completions.load(Ordering::SeqCst), 2);
    // SAFETY: null is no handle, and is ignored.
    unsafe {
        (raw.table.cancel)(ptr::null_mut());
        (raw.table.release_operation)(ptr::null_mut());
        (raw.table.release_session)(raw.backend, ptr::null_mut());
    }
}
