//! Host and plugin of one major work together whatever their minors are: a plugin of minor 0 in today's host, and
//! today's plugin in a host of minor 0.

use std::{path::Path, sync::Arc};

use sandbox::{
    config::Environment,
    plugin::{Loader, SearchPath},
};
use sandbox_plugin_api::{
    abi::{Host, Host1, OperationRequest, OperationRequest1},
    host::{BackendHandle, Function, Request, Status},
};
use serde_json::{Value, json};

use super::{PATIENCE, call, good, host};
use crate::fixtures::{self, c_library, root};

/// A `traceparent` that wants spans.
const TRACED: &str = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

/// A host of minor 0. Behind its table stands what is no function.
#[repr(C)]
struct Older {
    table: Host,
    behind: usize,
}

/// What a log is that takes everything: at lower levels a plugin makes no spans.
extern "C" fn everything() -> u32 {
    5
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// Runs one function of a backend; what it answered with.
fn run(backend: &Arc<BackendHandle>, function: Function, request: &Request<'_>) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let pending = backend.start(function, request, None, None);
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, pending).await });
    let answer = answer.expect("it ends");
    assert_eq!((answer.status(), answer.code()), (Status::Completed, 0));
    serde_json::from_slice(answer.data()).unwrap_or(Value::Null)
}

#[test]
fn a_plugin_of_minor_0_sees_what_it_knows_and_is_asked_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let include = format!("-I{}", root().join("fixtures/c-minor-0").display());
    let arguments = ["-std=c11", "-Wextra", "-pedantic", &include];
    let library = c_library("c-minor-0/plugin.c", folder.path(), "older", &arguments);
    let plugin = good(text(&library));
    assert_eq!(plugin.table.minor(), 0);
    let sizes = json!({
        "host": size_of::<Host1>(), "host_minor": 1, "my_host": size_of::<Host>(),
        "request": size_of::<OperationRequest1>(), "my_request": size_of::<OperationRequest>(),
    });
    assert_eq!(call(&plugin, "older:sizes", &json!({})), sizes);
    let made = plugin.table.create("Older", b"{}", ".");
    let backend = made.unwrap_or_else(|answer| panic!("{}", answer.message()));
    for function in [Function::Warmup, Function::Probe, Function::Shutdown] {
        assert_eq!(run(&backend, function, &Request::default()), Value::Null);
    }
}

#[test]
fn a_plugin_of_today_works_in_a_host_of_minor_0() {
    let folder = tempfile::tempdir().expect("a folder");
    // Another file than that of the other tests, so that its statics have not seen today's host.
    let copy = fixtures::copy("hybrid", folder.path());
    let table = Host {
        size: size_of::<Host>(),
        abi_minor: 0,
        log_level: everything,
        ..*host()
    };
    let older: &'static Older = Box::leak(Box::new(Older { table, behind: 1 }));
    assert_eq!(older.behind, 1);
    let search = SearchPath::new(&[], &Environment::empty(), None);
    let plugin = Loader::new(search, &older.table)
        .load(text(&copy), Path::new("/nowhere"), None)
        .unwrap_or_else(|error| panic!("{}", error.report(true)));
    let made = plugin.table.create(&plugin.class, b"{}", ".");
    let backend = made.unwrap_or_else(|answer| panic!("{}", answer.message()));
    run(&backend, Function::Warmup, &Request::default());
    let tools = &plugin.description.tools;
    let traced = tools.iter().position(|tool| tool.name == "hybrid:traced");
    let request = Request {
        tool: u32::try_from(traced.expect("it is described")).expect("it is small"),
        params: b"{}",
        traceparent: TRACED,
        ..Request::default()
    };
    // The tool makes spans, which this host has no function for.
    assert_eq!(
        run(&backend, Function::Call, &request)["traceparent"],
        TRACED
    );
    let probed = run(&backend, Function::Probe, &Request::default());
    assert_eq!(probed, json!({ "touched": 0 }));
}
