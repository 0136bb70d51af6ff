//! The plugins in `fixtures/`, built once per test process with the profile and into the target
//! folder of the tests themselves, so that a second run builds nothing.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use serde_json::Value;

/// The packages that are built together; their libraries have the name without the prefix.
const PACKAGES: &[&str] = &[
    "allocator",
    "bad-schema",
    "counter",
    "duo",
    "echo",
    "hangs",
    "hybrid",
    "layout",
    "panics",
];

static LIBRARIES: LazyLock<HashMap<String, PathBuf>> = LazyLock::new(|| {
    let fixtures = PACKAGES.iter().map(|package| format!("fixture-{package}"));
    // A real shell, for what only real processes can show.
    let packages = fixtures.chain(["bash".to_owned()]);
    build(packages.map(|package| format!("--package={package}")))
});

/// All backends that come with the server, for the few tests that are about their own words. They are built apart, so
/// that the rest need not wait for them, and as part of the workspace, as whoever runs all tests has built them.
static WORKSPACE: LazyLock<HashMap<String, PathBuf>> =
    LazyLock::new(|| build(["--workspace".to_owned()]));

/// The library of a fixture: `library("echo")`.
pub(crate) fn library(name: &str) -> PathBuf {
    LIBRARIES
        .get(name)
        .unwrap_or_else(|| panic!("no fixture {name}; there are {:?}", LIBRARIES.keys()))
        .clone()
}

/// A copy of a fixture's library with content of its own: for the server another one, which no other test has loaded.
pub(crate) fn copy(name: &str, folder: &Path) -> PathBuf {
    let original = library(name);
    let copy = folder.join(original.file_name().expect("a file"));
    let mut bytes = fs::read(original).expect("read");
    // No other test has this folder.
    bytes.extend(folder.as_os_str().as_encoded_bytes());
    fs::write(&copy, bytes).expect("written");
    copy
}

/// The folder that has the libraries of all fixtures, for a search path.
pub(crate) fn folder() -> PathBuf {
    let library = library("echo");
    library.parent().unwrap_or(Path::new("/")).to_owned()
}

/// The folder that has the libraries of all backends that come with the server.
pub(crate) fn plugins() -> PathBuf {
    let library = WORKSPACE.get("vm").expect("it was built");
    library.parent().unwrap_or(Path::new("/")).to_owned()
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.parent().unwrap_or(host)
}

/// The target folder and the profile of these tests: `TARGET/PROFILE/deps/it-0123`.
pub(crate) fn target() -> (PathBuf, String) {
    let test = env::current_exe().expect("a test has a file");
    let profile = test.ancestors().nth(2).expect("it lies in deps");
    let name = profile.file_name().expect("a profile has a name");
    let target = profile.parent().expect("it lies in the target folder");
    (target.to_owned(), name.to_string_lossy().into_owned())
}

fn build(selected: impl IntoIterator<Item = String>) -> HashMap<String, PathBuf> {
    let (target, profile) = target();
    let profile = if profile == "debug" { "dev" } else { &profile };
    let mut cargo = cargo();
    cargo
        .args(["build", "--profile", profile, "--target-dir"])
        .arg(target)
        .args(selected);
    libraries(&mut cargo, &[])
}

/// The cargo that runs these tests, in the repository's root.
pub(crate) fn cargo() -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root());
    command
}

/// Runs a build and lists the dynamic libraries that came out of it, by the name of their crate.
/// `last` are the arguments that must come last.
pub(crate) fn libraries(cargo: &mut Command, last: &[&str]) -> HashMap<String, PathBuf> {
    let output = cargo
        .args(["--quiet", "--message-format", "json-render-diagnostics"])
        .args(last)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "the fixtures do not build: see above"
    );
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    messages.lines().filter_map(library_in).collect()
}

fn library_in(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let target = message.get("target")?;
    let kinds = target["kind"].as_array()?;
    let library = kinds.iter().any(|kind| kind == "cdylib");
    if message["reason"] != "compiler-artifact" || !library {
        return None;
    }
    let suffix = env::consts::DLL_SUFFIX;
    let files = message["filenames"].as_array()?;
    let file = files
        .iter()
        .filter_map(Value::as_str)
        .find(|file| file.ends_with(suffix))?;
    Some((target["name"].as_str()?.to_owned(), PathBuf::from(file)))
}

#[test]
fn every_fixture_is_built() {
    for name in PACKAGES {
        let library = library(&name.replace('-', "_"));
        assert!(library.is_file(), "{}", library.display());
    }
}

/// Compiles a source of `fixtures/` in C to a library in `folder`.
pub(crate) fn c_library(source: &str, folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let file = folder.join(format!(
        "{}{name}{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    ));
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
        .arg(&file)
        .arg(root().join("fixtures").join(source))
        .args(arguments)
        .output()
        .expect("a C compiler is installed: Rust links with it");
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(
        compiled.status.success(),
        "{source} does not compile:\n{said}"
    );
    file
}
