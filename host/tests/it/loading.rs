//! Plugins as the host loads them: which file a `backend_class` means, what is refused before and
//! after it is loaded, and that what is loaded works.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use sandbox::{
    config::Environment,
    plugin::{Kind, LoadError, LoadedPlugin, Loader, SearchPath, Warning, find},
};
use sandbox_plugin_api::{
    abi,
    host::{Answer, Function, LogEntry, LogSink, Request, table},
};
use serde_json::{Value, json};

use crate::fixtures::{self, library};

mod builds;
mod commands;
mod minors;
mod refused;

/// Nothing here takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);

struct NoLog;

impl LogSink for NoLog {
    fn level(&self) -> u32 {
        0
    }

    fn write(&self, _: &LogEntry<'_>) {}
}

fn host() -> &'static abi::Host {
    // The first test that asks says how many threads plugins have: all have to say the same.
    table(Box::new(NoLog), 2)
}

/// A loader that looks into these folders.
fn loader(folders: &[PathBuf]) -> Loader {
    Loader::new(
        SearchPath::new(folders, &Environment::empty(), None),
        host(),
    )
}

/// Loads by a path, or by a name from the folder of the fixtures.
fn load(backend_class: &str) -> Result<LoadedPlugin, LoadError> {
    loader(&[fixtures::folder()]).load(backend_class, Path::new("/nowhere"), None)
}

fn good(backend_class: &str) -> LoadedPlugin {
    load(backend_class).unwrap_or_else(|error| panic!("{}", error.report(true)))
}

/// Makes the backend, calls one of its tools, and gives the whole answer to `look`.
fn answer<T>(
    plugin: &LoadedPlugin,
    tool: &str,
    params: &Value,
    look: impl FnOnce(&Answer) -> T,
) -> T {
    let backend = plugin
        .table
        .create(&plugin.class, b"{}", "/nowhere")
        .unwrap_or_else(|answer| panic!("{}", answer.message()));
    let place = plugin
        .description
        .tools
        .iter()
        .position(|known| known.name == tool);
    let params = params.to_string();
    let request = Request {
        tool: u32::try_from(place.expect("the tool is described")).expect("it is small"),
        params: params.as_bytes(),
        ..Request::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let pending = backend.start(Function::Call, &request, None, None);
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, pending).await });
    look(&answer.expect("the tool answers"))
}

fn call(plugin: &LoadedPlugin, tool: &str, params: &Value) -> Value {
    answer(plugin, tool, params, |answer| {
        assert!(answer.is_success(), "{}", answer.message());
        serde_json::from_slice(answer.data()).expect("data is JSON")
    })
}

#[test]
fn each_form_of_a_backend_class_finds_its_library() {
    let file = library("duo");
    let path = file.to_str().expect("the path is UTF-8");
    for (backend_class, name) in [
        (path, None),
        (&*format!("{path}#Duo"), Some("duo")),
        (&*format!("{path}#OTHERBackend"), Some("other")),
        ("duo", Some("duo")),
        ("duo#OTHERBackend", Some("other")),
        (
            "sandbox.server.backends.resources.duo.OtherBackend",
            Some("other"),
        ),
        ("my.duo.DUO", Some("duo")),
    ] {
        match (load(backend_class), name) {
            (Ok(plugin), Some(name)) => {
                assert_eq!(plugin.description.name, name, "{backend_class}");
                assert_eq!(
                    call(&plugin, &format!("{name}:which"), &json!({})),
                    json!(name)
                );
            }
            (Err(_), None) => {}
            (outcome, _) => panic!("{backend_class}: {outcome:?}"),
        }
    }
}

#[test]
fn a_path_starts_at_the_folder_of_the_configuration() {
    let base = fixtures::folder();
    let written = format!(
        "./{}",
        library("echo")
            .file_name()
            .expect("a file")
            .to_string_lossy()
    );
    let plugin = loader(&[])
        .load(&written, &base, None)
        .expect("it is there");
    assert_eq!(plugin.description.name, "echo");
}

#[test]
fn what_a_plugin_offers_is_known_before_it_is_made() {
    let plugin = good("counter");
    let description = &plugin.description;
    assert_eq!(
        (description.kind, description.checks_params),
        (Kind::Session, true)
    );
    let tool = &description.tools[0];
    assert_eq!(
        (tool.name.as_str(), tool.needs_session),
        ("counter:add", true)
    );
    let schema: Value = serde_json::from_str(tool.input_schema.get()).expect("JSON");
    assert_eq!(schema["properties"]["by"]["default"], 1);
    assert!(
        description
            .config
            .is_valid(&json!({"start": 3, "journal": "x"}))
    );
    assert!(!description.config.is_valid(&json!({"strat": 3})));
    let manifest = plugin.inspection.manifest.as_ref().expect("it has one");
    assert_eq!(manifest.language, "rust");
    assert!(plugin.inspection.doors.c && plugin.inspection.doors.rust);
}

#[test]
fn the_same_bytes_are_the_same_library_and_other_bytes_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("libcopied.so");
    fs::copy(library("echo"), &copy).expect("copied");
    let (one, two) = (good("echo"), good(copy.to_str().expect("UTF-8")));
    assert_eq!(format!("{:?}", one.table), format!("{:?}", two.table));
    let mut bytes = fs::read(&copy).expect("read");
    bytes.extend(b"more");
    fs::write(&copy, bytes).expect("written");
    let three = good(copy.to_str().expect("UTF-8"));
    assert_ne!(one.inspection.sha256, three.inspection.sha256);
    assert_eq!(call(&three, "echo:text", &json!({"text": "a"})), "a");
}

#[test]
fn overwriting_the_file_of_a_loaded_library_does_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = fixtures::copy("hybrid", folder.path());
    let bytes = fs::metadata(&file).expect("it is there").len();
    let plugin = good(file.to_str().expect("UTF-8"));
    let zeros = vec![0; usize::try_from(bytes).expect("it fits")];
    fs::write(&file, zeros).expect("overwritten in place");
    let said = answer(&plugin, "hybrid:total", &json!({}), |answer| {
        answer.message().into_owned()
    });
    assert_eq!(said, "used while it is not warm");
}

#[test]
fn a_plugin_with_an_allocator_of_its_own_works() {
    let plugin = good("allocator");
    // Large enough that the allocators would not meet by chance.
    let text = "x".repeat(100_000);
    answer(
        &plugin,
        "allocator:echo",
        &json!({ "text": text }),
        |answer| {
            assert_eq!(answer.message(), "said");
            assert_eq!(answer.meta(), br#"{"said":true}"#);
            let blobs: Vec<_> = answer.blobs().map(|(_, _, bytes)| bytes.len()).collect();
            assert_eq!(blobs, [100_000]);
        },
    );
}

#[test]
fn the_first_good_file_of_the_search_path_is_taken_and_the_others_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = library("echo");
    fs::write(
        folder.path().join(file.file_name().expect("a file")),
        "no library",
    )
    .expect("written");
    let folders = [folder.path().to_owned(), fixtures::folder()];
    let plugin = loader(&folders)
        .load("echo", Path::new("/nowhere"), None)
        .expect("the second is good");
    assert_eq!(plugin.library, file);
    let passed_over = plugin.trace.passed_over();
    let said: Vec<_> = passed_over.iter().map(ToString::to_string).collect();
    let broken = folder.path().join(file.file_name().expect("a file"));
    assert_eq!(
        said,
        [format!(
            "{} is passed over: the file is not a library",
            broken.display()
        )]
    );
}

#[test]
fn a_library_beside_the_plugin_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let part = folder.path().join("part.c");
    fs::write(&part, "void beside(void) {}\n").expect("written");
    let part = part.to_str().expect("UTF-8");
    let here = folder.path();
    let search = format!("-L{}", here.display());
    fixtures::c_library(part, here, "beside", &["-Wl,-soname,libbeside.so"]);
    let plugin = fixtures::c_library(
        "faulty-c/plugin.c",
        here,
        "whole",
        &["-DCALLS=beside", &search, "-lbeside", "-Wl,-rpath,$ORIGIN"],
    );
    let error = load(plugin.to_str().expect("UTF-8")).expect_err("it has no table");
    assert_eq!(
        error.to_string(),
        "the plugin refuses this server",
        "{}",
        error.report(true)
    );
}

#[test]
#[cfg(target_os = "linux")]
fn what_may_go_wrong_is_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["-DTHREAD_LOCAL", "-ftls-model=initial-exec"];
    let file = fixtures::c_library("faulty-c/plugin.c", folder.path(), "tls", &arguments);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(&file, open).expect("changed");
    let search = SearchPath::new(&[], &Environment::empty(), None);
    let found =
        find(file.to_str().expect("UTF-8"), &search, Path::new("/"), None).expect("no fault");
    assert_eq!(
        found.inspection.warnings,
        [Warning::StaticTls, Warning::OthersMayWrite]
    );
}

/// The report of a load error with everything that differs between machines replaced.
fn report(error: &LoadError, folders: &[(&Path, &str)]) -> String {
    let mut text = error.report(false);
    for (folder, name) in folders {
        text = text.replace(&*folder.to_string_lossy(), name);
    }
    text = text.replace(&*fixtures::folder().to_string_lossy(), "<fixtures>");
    text
}
