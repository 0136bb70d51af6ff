//! A plugin of bare functions that keeps no rule, and what the host makes of it: an operation ends when the test says so,
//! with what the test says.
#![expect(unsafe_code, reason = "is a plugin without the crate's help")]

use std::{
    cell::RefCell,
    mem,
    ptr::{self, NonNull},
    sync::{Arc, mpsc},
};

use sandbox_plugin_api::{
    abi::{
        ABI_MAJOR, ABI_MINOR, Buffer, Completion, CreateRequest, Host, Host1, Opaque,
        OperationRequest, Outcome, Plugin, Slice,
    },
    host::{Answer, BackendHandle, Function, Pending, Request, Status, Table},
    testkit::wait,
};

use crate::support::{install_host, records};

thread_local! {
    /// Of the operation that this thread started.
    static COMPLETION: RefCell<Option<Completion>> = const { RefCell::new(None) };
}

static PLUGIN: Plugin = Plugin {
    size: size_of::<Plugin>(),
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    describe,
    create,
    warmup: start,
    shutdown: start,
    initialize: start,
    cleanup: start,
    call: start,
    cancel: nothing,
    release_operation: nothing,
    release_session: nothing_of,
    release_backend: nothing,
};

unsafe extern "C" fn entry(_: *const Host) -> *const Plugin {
    &raw const PLUGIN
}

unsafe extern "C" fn describe(_: Slice, _: *mut Outcome) {}

unsafe extern "C" fn create(_: *const CreateRequest, _: *mut Outcome) -> *mut Opaque {
    NonNull::dangling().as_ptr()
}

unsafe extern "C" fn start(
    _: *mut Opaque,
    _: *const OperationRequest,
    completion: Completion,
) -> *mut Opaque {
    COMPLETION.set(Some(completion));
    ptr::null_mut()
}

unsafe extern "C" fn nothing(_: *mut Opaque) {}

unsafe extern "C" fn nothing_of(_: *mut Opaque, _: *mut Opaque) {}

fn backend() -> Arc<BackendHandle> {
    // SAFETY: the table is static and filled in.
    let table = unsafe { Table::open(entry, install_host()) }.unwrap();
    table.create("Bare", b"{}", ".").unwrap()
}

fn begin(backend: &BackendHandle) -> Pending {
    backend.start(Function::Call, &Request::default(), None, None)
}

/// Completes the operation that this thread started last, once more if it has to be.
fn complete(data: Buffer) {
    let mut outcome = mem::ManuallyDrop::new(Outcome {
        data,
        ..Outcome::SUCCESS
    });
    let completion = COMPLETION.with_borrow(|it| *it).unwrap();
    // SAFETY: the tests hold the operation that this is the completion of.
    unsafe { (completion.complete)(completion.user, &raw mut *outcome) }
}

/// The fields of a buffer.
#[repr(C)]
struct Parts {
    ptr: *mut u8,
    len: usize,
    capacity: usize,
    free: Option<unsafe extern "C" fn(*mut u8, usize, usize)>,
}

/// A buffer as a plugin in another language may fill it in.
fn buffer(parts: Parts) -> Buffer {
    // SAFETY: both have the layout that the ABI's header declares, and all fields are of the same types.
    unsafe { mem::transmute::<Parts, Buffer>(parts) }
}

#[test]
fn a_second_completion_is_ignored_and_told() {
    const TOLD: &str = "a plugin completed an operation twice; the second answer is ignored";
    let backend = backend();
    let mut pending = begin(&backend);
    let before = records(TOLD).len();
    complete(b"1".to_vec().into());
    complete(b"2".to_vec().into());
    assert_eq!(pending.try_take().unwrap().data(), b"1");
    complete(b"3".to_vec().into());
    assert!(pending.try_take().is_none());
    assert!(records(TOLD).len() >= before + 2);
}

#[test]
fn lengths_that_no_memory_has_are_refused() {
    let backend = backend();
    let pending = begin(&backend);
    complete(buffer(Parts {
        ptr: NonNull::dangling().as_ptr(),
        len: usize::MAX,
        capacity: 0,
        free: None,
    }));
    let answer = wait(pending);
    assert_eq!((answer.status(), answer.code()), (Status::Completed, 2001));
    assert_eq!(
        answer.message(),
        "the plugin completed with lengths that no memory has"
    );
}

/// Frees nothing; comes back into the host, which must hold no lock then.
unsafe extern "C" fn come_back(_: *mut u8, _: usize, _: usize) {
    complete(Buffer::EMPTY);
}

#[test]
fn an_answer_that_nobody_reads_is_freed_outside_of_locks() {
    let backend = backend();
    let pending = begin(&backend);
    complete(buffer(Parts {
        ptr: NonNull::dangling().as_ptr(),
        len: 0,
        capacity: 0,
        free: Some(come_back),
    }));
    drop(pending);
}

#[test]
fn an_operation_that_is_left_has_an_heir() {
    let backend = backend();
    let (sender, receiver) = mpsc::channel();
    let heir = |sender: mpsc::Sender<Vec<u8>>| {
        move |answer: Answer| sender.send(answer.data().to_vec()).unwrap()
    };
    let running = begin(&backend);
    running.leave(heir(sender.clone()));
    assert!(receiver.try_recv().is_err());
    complete(b"1".to_vec().into());
    assert_eq!(receiver.try_recv().unwrap(), b"1");
    let ended = begin(&backend);
    complete(b"2".to_vec().into());
    ended.leave(heir(sender.clone()));
    assert_eq!(receiver.try_recv().unwrap(), b"2");
    let mut read = begin(&backend);
    complete(b"3".to_vec().into());
    assert!(read.try_take().is_some() && read.is_taken());
    read.leave(heir(sender));
    assert!(receiver.recv().is_err(), "there is nothing to inherit");
}

#[test]
fn records_that_are_null_are_passed_over() {
    let host = install_host();
    let whole = ptr::from_ref(host).cast::<Host1>();
    // SAFETY: the host's own table is of its own minor version; of a null nothing is read.
    unsafe {
        (host.log)(ptr::null());
        ((*whole).span)(ptr::null());
    }
}
