//! The command line as a person types it, where no server and no plugin is needed.

use std::{
    fs::File,
    process::{Command, Output, Stdio},
};

fn sandbox(arguments: &[&str], output: Stdio) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .unwrap()
}

/// The exit status, and what is said on stderr.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = sandbox(arguments, Stdio::piped());
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn completions_are_for_people() {
    let output = sandbox(&["completions", "bash"], Stdio::piped());
    let script = String::from_utf8(output.stdout).unwrap();
    assert!(script.contains("inspect"), "{script}");
    assert!(!script.contains("reap"), "only a server starts that");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_no_panic() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = sandbox(&["completions", "bash"], full.into());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("error: ") && !said.contains("panicked"),
        "{said}"
    );
}

#[test]
fn a_negative_time_is_told_what_a_time_is() {
    for arguments in [
        ["call", "a:b", "--timeout", "-1"].as_slice(),
        &["sessions", "create", "a", "--ttl", "-0.5"],
    ] {
        let (code, said) = refused(arguments);
        assert_eq!(code, Some(2));
        assert!(said.contains("a number of seconds above 0"), "{said}");
    }
}

#[test]
fn a_bridge_refuses_what_is_no_address_and_says_so_once() {
    let (code, said) = refused(&["mcp", "--server", "ftp://host"]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("error: `ftp://host` is not the address"),
        "{said}"
    );
    let (_, said) = refused(&[
        "mcp",
        "--server",
        "http://host",
        "--api-key-file",
        "/no/such",
    ]);
    assert!(said.starts_with("error: cannot read the API key"), "{said}");
}
