//! `sandbox plugin list` and `sandbox plugin inspect`, run as an operator runs them.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::fixtures::{self, library};

fn sandbox(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(arguments)
        .env("SANDBOX_PLUGIN_PATH", fixtures::folder())
        .output()
        .expect("the command runs")
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("stdout is JSON")
}

#[test]
fn a_list_has_the_good_and_the_bad() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.json");
    let config = json!({"resources": {
        "echo": {"backend_class": "echo"},
        "gone": {"backend_class": "gone"},
        "second": {"backend_class": "duo#Other"},
        "off": {"backend_class": "gone", "enabled": false},
    }});
    fs::write(&file, config.to_string()).expect("written");
    let file = file.to_str().expect("UTF-8");
    let listed = sandbox(&["plugin", "list", "--config", file, "--json"]);
    assert_eq!(listed.status.code(), Some(1));
    let rows = parsed(&listed);
    assert_eq!(rows.as_array().map(Vec::len), Some(3), "{rows}");
    assert_eq!(rows[0]["plugin"]["kind"], "shared");
    assert_eq!(rows[0]["plugin"]["abi"]["major"], 1);
    assert_eq!(
        rows[1]["problems"][0]["message"],
        "there is no library libgone.so"
    );
    assert_eq!(
        rows[2]["problems"][0]["message"],
        "the library has no backend of class `Other`"
    );
    let table = sandbox(&["plugin", "list", "--config", file]);
    let table = String::from_utf8(table.stdout).expect("UTF-8");
    assert!(
        table.starts_with("NAME") && table.contains("error: there is no library"),
        "{table}"
    );
}

#[test]
fn an_inspection_tells_what_the_file_says() {
    let echo = library("echo");
    let inspected = sandbox(&["plugin", "inspect", echo.to_str().expect("UTF-8"), "--json"]);
    assert!(inspected.status.success());
    let told = parsed(&inspected);
    assert_eq!(told["manifest"]["backends"][0]["name"], "echo");
    assert_eq!(told["sha256"].as_str().map(str::len), Some(64));
    let by_name = sandbox(&["plugin", "inspect", "duo"]);
    let text = String::from_utf8(by_name.stdout).expect("UTF-8");
    assert!(
        by_name.status.success() && text.contains("other, class OTHERBackend"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_loaded_is_told_with_a_failure() {
    let file = fixtures::root().join("Cargo.toml");
    let refused = sandbox(&["plugin", "inspect", file.to_str().expect("UTF-8")]);
    let text = String::from_utf8(refused.stdout).expect("UTF-8");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text.contains("the file is not a library"), "{text}");
    let no_class = sandbox(&["plugin", "inspect", "duo#Trio"]);
    let said = String::from_utf8(no_class.stderr).expect("UTF-8");
    assert_eq!(no_class.status.code(), Some(1));
    assert!(said.contains("no backend of class `Trio`"), "{said}");
}
