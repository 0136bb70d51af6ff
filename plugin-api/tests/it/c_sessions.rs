//! Sessions of a plugin in C: they are the plugin's memory, and the host says when it may be freed.
#![expect(unsafe_code, reason = "loads a library")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use sandbox_plugin_api::{
    abi::{ENTRY_SYMBOL, PluginEntry},
    host::{BackendHandle, Function, Pending, Request, SessionHandle, Table},
    testkit::wait,
};

use crate::{
    c_plugin::compile,
    support::{install_host, until},
};

const STAY: u32 = 0;
const LET_GO: u32 = 1;

static LIBRARY: LazyLock<libloading::Library> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("libcsession.so");
    compile("c-session/session.c", &library);
    // SAFETY: the library's constructors do nothing.
    unsafe { libloading::Library::new(library).unwrap() }
});

/// A backend that writes its journal into this directory.
fn backend(directory: &Path) -> Arc<BackendHandle> {
    let host = install_host();
    // SAFETY: the symbol is of this type, and the library is never unloaded.
    let table = unsafe {
        let entry = *LIBRARY.get::<PluginEntry>(ENTRY_SYMBOL.as_bytes()).unwrap();
        Table::open(entry, host).unwrap()
    };
    table
        .create("CSession", b"{}", directory.to_str().unwrap())
        .unwrap()
}

fn session(backend: &BackendHandle, config: &str) -> SessionHandle {
    let request = Request {
        params: config.as_bytes(),
        ..Request::default()
    };
    let mut answer = wait(backend.start(Function::Initialize, &request, None, None));
    answer.take_session().unwrap()
}

fn begin(backend: &BackendHandle, function: Function, tool: u32, of: &SessionHandle) -> Pending {
    let request = Request {
        tool,
        params: b"{}",
        session: Some(of),
        ..Request::default()
    };
    backend.start(function, &request, None, None)
}

/// The lines of the journal so far.
fn journal(directory: &Path) -> Vec<String> {
    let file: PathBuf = directory.join("journal");
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_session_stays_until_its_operations_have_ended() {
    for (function, ends) in [
        (Function::Cleanup, "cleanup ends 1"),
        (Function::Call, "stay ends 1"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let backend = backend(directory.path());
        let first = session(&backend, r#"{"stubborn":true}"#);
        // Nobody waits for it any more, and nobody else holds the session.
        drop(begin(&backend, function, STAY, &first));
        drop(first);
        let so_far = journal(directory.path());
        assert!(!so_far.contains(&"release 1".to_owned()), "{so_far:?}");
        let second = session(&backend, "{}");
        assert!(wait(begin(&backend, Function::Call, LET_GO, &second)).is_success());
        until(|| journal(directory.path()).contains(&"release 1".to_owned()));
        let lines = journal(directory.path());
        let place = |what: &str| lines.iter().position(|line| line == what);
        assert!(place(ends) < place("release 1"), "{lines:?}");
    }
}

#[test]
#[should_panic(expected = "the session is another backend's")]
fn a_session_is_of_no_use_to_another_backend() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (backend(directory.path()), backend(directory.path()));
    let session = session(&one, "{}");
    drop(begin(&other, Function::Call, LET_GO, &session));
}
