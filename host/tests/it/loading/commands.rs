//! `sandbox plugin list` and `sandbox plugin inspect`, run as an operator runs them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::fixtures::{self, library};

fn sandbox(arguments: &[&str]) -> Output {
    sandbox_in(&[fixtures::folder()], arguments)
}

/// The command with these folders to look for plugins in.
fn sandbox_in(folders: &[PathBuf], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(arguments)
        .env(
            "SANDBOX_PLUGIN_PATH",
            env::join_paths(folders).expect("no colons"),
        )
        .output()
        .expect("the command runs")
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("stdout is JSON")
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

/// A configuration with these resources.
fn config(folder: &Path, resources: Value) -> PathBuf {
    let file = folder.join("config.json");
    let text = json!({ "resources": resources }).to_string();
    fs::write(&file, text).expect("written");
    file
}

/// A folder with a file of this name that is no library, and after it the fixtures' folder.
fn broken_first(folder: &Path, library: &Path) -> [PathBuf; 2] {
    let name = library.file_name().expect("a file");
    fs::write(folder.join(name), "no library").expect("written");
    [folder.to_owned(), fixtures::folder()]
}

#[test]
fn of_two_entries_of_one_backend_the_one_that_has_its_name_is_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let resources = json!({"aaa": {"backend_class": "echo"}, "echo": {"backend_class": "echo"}});
    let file = config(folder.path(), resources);
    let listed = sandbox(&[
        "plugin",
        "list",
        "--json",
        "-c",
        file.to_str().expect("UTF-8"),
    ]);
    let rows = parsed(&listed);
    assert_eq!(
        rows[0]["problems"][0]["hint"],
        "`resources.echo` is there already: remove one of the two entries, or name another backend here"
    );
    assert_eq!(rows[1]["problems"], json!([]));
}

#[test]
fn a_file_that_is_passed_over_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = library("echo");
    let folders = broken_first(folder.path(), &echo);
    let file = config(folder.path(), json!({"echo": {"backend_class": "echo"}}));
    let file = file.to_str().expect("UTF-8");
    let listed = sandbox_in(&folders, &["plugin", "list", "-c", file]);
    assert!(listed.status.success());
    let told = said(&listed);
    assert!(
        told.contains("libecho.so is passed over: the file is not a library"),
        "{told}"
    );
    let listed = sandbox_in(&folders, &["plugin", "list", "-c", file, "--json"]);
    let row = &parsed(&listed)[0];
    assert_eq!(row["plugin"]["library"].as_str(), echo.to_str());
    assert_eq!(
        row["passed_over"][0]["reasons"],
        json!(["the file is not a library"])
    );
}

#[test]
fn an_inspection_is_one_document_about_the_file_that_would_be_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = library("echo");
    let folders = broken_first(folder.path(), &echo);
    let inspected = sandbox_in(&folders, &["plugin", "inspect", "echo", "--json"]);
    assert!(inspected.status.success(), "it may be loaded");
    let told = parsed(&inspected);
    assert_eq!(told["file"].as_str(), echo.to_str());
    assert_eq!(told["passed_over"][0]["size"], "no library".len());
    let nothing = sandbox(&["plugin", "inspect", "gone", "--json"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert_eq!(
        parsed(&nothing)["problems"][0]["message"],
        "there is no library libgone.so"
    );
    assert!(said(&nothing).starts_with("error: `gone` cannot be loaded"));
}

#[test]
fn a_list_has_the_good_and_the_bad() {
    let folder = tempfile::tempdir().expect("a folder");
    let resources = json!({
        "echo": {"backend_class": "echo"},
        "gone": {"backend_class": "gone"},
        "second": {"backend_class": "duo#Other"},
        "off": {"backend_class": "gone", "enabled": false},
    });
    let file = config(folder.path(), resources);
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
fn all_mistakes_of_a_file_are_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.json");
    let config = r#"{
  "server": {"prot": 1, "limits": {"max_body_bytes": 1e6, "max_json_depth": 1.5}},
  "security": {"auth": {"keys": [{"key": "0123456789abcdef"}]}, "allowed_origins": ["here"]},
  "resources": {
    "counter": {"backend_class": "counter", "config": {"start": "many", "strat": 1, "journal": "${UNSET}"}},
    "duo": {"backend_class": "gone"},
    "echo": {"backend_class": "counter"},
    "off": {"enabled": "perhaps", "backend_class": "gone"},
    "hybrid": {}
  },
  "observe": {"audit": {"file": "no/such/folder/audit.log"}},
  "warmup": {"resources": ["nobody"]}
}"#;
    fs::write(&file, config).expect("written");
    let file = file.to_str().expect("UTF-8");
    let checked = sandbox(&["check", file, "--format", "json"]);
    assert_eq!(checked.status.code(), Some(1));
    let told = parsed(&checked);
    let places: Vec<String> = told["diagnostics"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            format!(
                "{} {}",
                one["line"],
                one["pointer"].as_str().unwrap_or_default()
            )
        })
        .collect();
    let expected = [
        "2 /server/prot",
        "2 /server/limits/max_json_depth",
        "3 /security/auth/keys/0/name",
        "3 /security/allowed_origins/0",
        "5 /resources/counter/config/start",
        "5 /resources/counter/config/strat",
        "5 /resources/counter/config/journal",
        "6 /resources/duo/backend_class",
        "7 /resources/echo/backend_class",
        "8 /resources/off/enabled",
        "9 /resources/hybrid/backend_class",
        "11 /observe/audit/file",
        "12 /warmup/resources/0",
    ];
    assert_eq!(places, expected, "{told:#}");
    let served = sandbox(&["serve", "--config", file]);
    let said = String::from_utf8(served.stderr).expect("UTF-8");
    assert_eq!(served.status.code(), Some(1));
    assert!(said.trim_end().ends_with("13 errors"), "{said}");
}

#[test]
fn folders_that_the_environment_names_are_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config.json");
    let config = r#"{"server": {"plugin_dirs": ["${HUSH}/plugins"]}, "observe": {"audit": {"file": "${HUSH}/log"}}}"#;
    fs::write(&file, config).expect("written");
    let checked = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .arg("check")
        .arg(file)
        .env("HUSH", "/nowhere/hushed")
        .output()
        .expect("the command runs");
    let said = String::from_utf8(checked.stderr).expect("UTF-8");
    assert!(
        said.contains("1 error, 1 warning") && !said.contains("hushed"),
        "{said}"
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
    let said = said(&no_class);
    assert_eq!(no_class.status.code(), Some(1));
    assert!(said.contains("no backend of class `Trio`"), "{said}");
}
