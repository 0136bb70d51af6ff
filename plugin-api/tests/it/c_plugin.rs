//! The plugin in C, compiled by the machine's compiler and driven through the same safe handles.
#![expect(unsafe_code, reason = "loads a library")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, LazyLock},
    time::Instant,
};

use sandbox_plugin_api::{
    abi::{
        ABI_MAJOR, ENTRY_SYMBOL, FINGERPRINT, MANIFEST_MAGIC, MANIFEST_SYMBOL, ManifestHeader,
        PluginEntry,
    },
    host::{BackendHandle, Function, Pending, Request, Status, Table},
    prelude::*,
    testkit::{success, wait},
};

use crate::support::{PATIENCE, install_host, records};

const ECHO: u32 = 0;
const UPPER: u32 = 1;
const LATER: u32 = 2;

static LIBRARY: LazyLock<libloading::Library> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let library = directory.path().join("libcecho.so");
    compile("c-echo/echo.c", &library);
    // SAFETY: the library's constructors do nothing.
    unsafe { libloading::Library::new(library).unwrap() }
});

/// Compiles a source of `fixtures/` to a library.
pub(crate) fn compile(source: &str, library: &Path) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-fPIC",
            "-shared",
            "-I",
        ])
        .arg(root.join("include"))
        .arg("-o")
        .arg(library)
        .arg(root.join("../fixtures").join(source))
        .arg("-pthread")
        .output()
        .expect("a C compiler");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn cecho() -> Table {
    let host = install_host();
    // SAFETY: the symbol is of this type, and the library is never unloaded.
    unsafe {
        let entry = *LIBRARY.get::<PluginEntry>(ENTRY_SYMBOL.as_bytes()).unwrap();
        Table::open(entry, host).unwrap()
    }
}

fn backend() -> Arc<BackendHandle> {
    cecho().create("CEcho", b"{}", ".").unwrap()
}

fn begin(backend: &Arc<BackendHandle>, tool: u32, params: &str) -> Pending {
    let request = Request {
        tool,
        params: params.as_bytes(),
        ..Request::default()
    };
    backend.start(Function::Call, &request, None, None)
}

#[test]
fn the_manifest_is_data_of_the_library() {
    // SAFETY: the symbol is a manifest: a header, and as many bytes as it says.
    let (header, json) = unsafe {
        let header = *LIBRARY
            .get::<*const ManifestHeader>(MANIFEST_SYMBOL.as_bytes())
            .unwrap();
        let json = header.cast::<u8>().add((*header).header_size as usize);
        (
            *header,
            std::slice::from_raw_parts(json, (*header).json_len as usize),
        )
    };
    assert_eq!(
        (header.magic, header.abi_major),
        (MANIFEST_MAGIC, ABI_MAJOR)
    );
    assert_eq!(header.fingerprint, FINGERPRINT);
    let manifest: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(manifest["language"], "c");
    assert_eq!(manifest["backends"][0]["class"], "CEcho");
}

#[test]
fn it_describes_itself() {
    let description = success(&cecho().describe("CEcho")).unwrap().data;
    assert_eq!(
        (&description["name"], &description["kind"]),
        (&json!("cecho"), &json!("shared"))
    );
    assert_eq!(description["checks_params"], false);
    let names: Vec<&Value> = description["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["cecho:echo", "cecho:upper", "cecho:later"]);
    assert_eq!(success(&cecho().describe("Other")).unwrap_err().code, 5001);
    assert_eq!(
        cecho().create("Other", b"{}", ".").unwrap_err().code(),
        5001
    );
}

#[test]
fn its_tools_answer() {
    let backend = backend();
    for function in [Function::Warmup, Function::Shutdown] {
        let pending = backend.start(function, &Request::default(), None, None);
        assert!(wait(pending).is_success());
    }
    assert!(!records("warmed up").is_empty());
    let answer = |tool, params: Value| {
        success(&wait(begin(&backend, tool, &params.to_string())))
            .unwrap()
            .data
    };
    assert_eq!(
        answer(ECHO, json!({ "a": [1, "é"] })),
        json!({ "a": [1, "é"] })
    );
    let params =
        json!({ "other": { "text": "not this" }, "x": "text", "text": "a \"q\"\n é \u{1}" });
    assert_eq!(
        answer(UPPER, params),
        json!({ "text": "A \"Q\"\n é \u{1}" })
    );
    assert_eq!(answer(LATER, json!({ "ms": 1 })), json!({ "waited_ms": 1 }));
    let missing = success(&wait(begin(&backend, UPPER, "{}"))).unwrap_err();
    assert_eq!(
        (missing.code, missing.message.as_str()),
        (1002, "parameter /text is missing")
    );
    assert_eq!(
        success(&wait(begin(&backend, 99, "{}"))).unwrap_err().code,
        5000
    );
}

#[test]
fn it_honours_a_cancel() {
    let backend = backend();
    let start = Instant::now();
    let pending = begin(&backend, LATER, r#"{"ms": 60000}"#);
    pending.cancel();
    pending.cancel();
    let answer = wait(pending);
    assert_eq!((answer.status(), answer.code()), (Status::Cancelled, 2002));
    assert!(start.elapsed() < PATIENCE);
    drop(begin(&backend, LATER, r#"{"ms": 60000}"#));
}

#[test]
fn many_of_its_threads_complete_at_once() {
    let backend = backend();
    let calls: Vec<Pending> = (0..100)
        .map(|_| begin(&backend, LATER, r#"{"ms": 5}"#))
        .collect();
    for call in calls {
        assert!(wait(call).is_success());
    }
}
