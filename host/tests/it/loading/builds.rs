//! Plugins that another compiler built, or the same one in another way, or that are not in Rust.
//! Versions of compilers are shown and never compared, so each of them works, or is refused for what
//! it is.

use std::{path::Path, process::Command};

use sandbox_plugin_api::host::Answer;
use serde_json::json;

use super::{answer, call, good, load};
use crate::fixtures::{self, c_library, libraries};

/// The compiler that is not the one that built the host.
const OTHER: &str = "nightly";

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

#[test]
fn a_plugin_of_another_compiler_works() {
    let mut cargo = Command::new("rustup");
    cargo
        .args(["run", OTHER, "cargo"])
        .current_dir(fixtures::root());
    // What the cargo that runs this test has set would bring its compiler back.
    for variable in [
        "RUSTC",
        "RUSTDOC",
        "RUSTUP_TOOLCHAIN",
        "CARGO",
        "RUSTC_WRAPPER",
    ] {
        cargo.env_remove(variable);
    }
    let installed = Command::new("rustup")
        .args(["run", OTHER, "cargo", "--version"])
        .output();
    if !installed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no {OTHER} toolchain on this machine");
        return;
    }
    let (target, _) = fixtures::target();
    cargo.args(["build", "-p", "fixture-counter", "--target-dir"]);
    cargo.arg(target.join("other-compiler"));
    let library = libraries(&mut cargo, &[])
        .remove("counter")
        .expect("it was built");
    let plugin = good(text(&library));
    let theirs = plugin
        .inspection
        .manifest
        .as_ref()
        .and_then(|manifest| manifest.rustc.clone());
    let ours = good("counter");
    let ours = ours
        .inspection
        .manifest
        .as_ref()
        .and_then(|manifest| manifest.rustc.clone());
    assert_ne!(theirs, ours, "both were built by the same compiler");
    // Without a session it cannot count, but it answers, through all of its vtable.
    let said = answer(&plugin, "counter:get", &json!({}), Answer::code);
    assert_eq!(said, 1003);
}

#[test]
fn a_plugin_with_panic_abort_is_refused() {
    // First, as it builds this plugin too, in the way of all others and to the same file.
    fixtures::plugins();
    let (target, profile) = fixtures::target();
    let profile = if profile == "debug" { "dev" } else { &profile };
    let mut cargo = fixtures::cargo();
    // For this crate alone: its dependencies are those of the other fixtures.
    cargo.args([
        "rustc",
        "-p",
        "fixture-aborts",
        "--lib",
        "--profile",
        profile,
        "--target-dir",
    ]);
    let library = libraries(cargo.arg(target), &["--", "-C", "panic=abort"]);
    let error = load(text(&library["aborts"])).expect_err("it would end the server");
    insta::assert_snapshot!(super::report(&error, &[]));
}

#[test]
fn a_plugin_in_c_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let include = format!(
        "-I{}",
        fixtures::root().join("plugin-api/include").display()
    );
    let library = c_library(
        "c-echo/echo.c",
        folder.path(),
        "cecho",
        &["-std=c11", &include, "-pthread"],
    );
    let plugin = good(text(&library));
    let doors = plugin.inspection.doors;
    assert!(doors.c && !doors.rust && !plugin.description.checks_params);
    let params = json!({"text": "hello"});
    assert_eq!(call(&plugin, "cecho:echo", &params), params);
    assert!(answer(
        &plugin,
        "cecho:later",
        &json!({"ms": 1}),
        Answer::is_success
    ));
    let upper = &plugin.description.tools[1];
    let checker = upper.checker.as_ref().expect("the host checks for it");
    assert!(checker.is_valid(&params) && !checker.is_valid(&json!({"text": 3})));
}
