//! Files of the Python server, read by `sandbox check` with the plugins that come with the server: what an operator who
//! moves over has to change, and reads.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::fixtures;

/// A file of `tests/data/python-server`.
fn original(name: &str) -> String {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/python-server");
    fs::read_to_string(data.join(name)).unwrap()
}

/// Runs `sandbox` in a folder where `config.json` is `text`.
fn sandbox(text: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(arguments)
        .current_dir(folder.path())
        .env("SANDBOX_PLUGIN_PATH", fixtures::plugins())
        .output()
        .unwrap()
}

/// What `sandbox check` says, and whether it is content.
fn check(text: &str) -> (String, bool) {
    let output = sandbox(text, &["check", "config.json"]);
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.success())
}

/// `text` without the lines that begin with `key`, whose values are short.
fn without(text: &str, keys: &[&str]) -> String {
    let kept = text.lines().filter(|line| {
        let named = |key: &&str| line.trim_start().starts_with(&format!("\"{key}\""));
        !keys.iter().any(named)
    });
    let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
    // Where the last member went, its comma stays.
    kept.replace("\"docker\",\n      }", "\"docker\"\n      }")
}

#[test]
fn a_desktop_needs_another_provider_and_nothing_else() {
    let text = original("desktop.json");
    let (said, fine) = check(&text);
    insta::assert_snapshot!("python_server_desktop", said);
    assert!(!fine);
    let (said, fine) = check(&text.replace("\"docker\"", "\"display\""));
    insta::assert_snapshot!("python_server_desktop_mended", said);
    assert!(fine);
}

#[test]
fn tools_work_but_for_what_programs_could_rely_on() {
    let text = original("tools.json");
    let (said, fine) = check(&text);
    insta::assert_snapshot!("python_server_tools", said);
    assert!(!fine);
    let (said, fine) = check(&without(&text, &["runtime", "allowed_packages"]));
    insta::assert_snapshot!("python_server_tools_mended", said);
    assert!(fine);
}

#[test]
fn what_means_nothing_here_is_refused_with_what_there_is_instead() {
    let (said, fine) = check(&original("everything.json"));
    insta::assert_snapshot!("python_server_everything", said);
    assert!(!fine && !said.contains("a secret") && !said.contains("sesame"));
}

#[test]
fn a_resource_of_another_name_is_told_its_own() {
    let mended = without(&original("tools.json"), &["runtime", "allowed_packages"]);
    let (said, fine) = check(&mended.replace("\"code\":", "\"code_executor\":"));
    insta::assert_snapshot!("python_server_other_name", said);
    assert!(!fine);
}

#[test]
fn a_library_of_the_python_servers_name_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let name = fixtures::library("echo").file_name().unwrap().to_owned();
    let name = name.to_str().unwrap().replace("echo", "code_executor");
    fs::copy(fixtures::library("echo"), folder.path().join(name)).unwrap();
    let text = format!(
        r#"{{"server": {{"plugin_dirs": [{:?}]}}, "resources": {{"echo": {{"backend_class": "code_executor"}}}}}}"#,
        folder.path()
    );
    let (said, fine) = check(&text);
    assert!(fine, "{said}");
}

#[test]
fn every_former_key_stands_in_the_readme_of_its_plugin() {
    let text = r#"{"resources": {"bash": {"backend_class": "bash"}, "browser": {"backend_class": "browser"},
        "code": {"backend_class": "code"}, "vm": {"backend_class": "vm"},
        "rag": {"backend_class": "rag", "config": {"index_path": "x"}}}}"#;
    let output = sandbox(text, &["config", "schema", "--config", "config.json"]);
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let resources = schema["properties"]["resources"]["properties"].as_object();
    let mut missing = Vec::new();
    for (plugin, resource) in resources.unwrap() {
        let readme = fixtures::root()
            .join("plugins")
            .join(plugin)
            .join("README.md");
        let readme = fs::read_to_string(readme).unwrap();
        let (_, section) = readme.split_once("## From the Python server").unwrap();
        let former = resource["properties"]["config"]["x-former"].as_object();
        let keys = former.unwrap().keys();
        missing.extend(
            keys.filter(|key| !section.contains(&format!("`{key}`")))
                .cloned(),
        );
    }
    assert_eq!(missing, [""; 0]);
}
