//! What a session cannot reach, as seen from its shell. The crate of the sandbox tests its walls one by one; this
//! is about the backend using them.

use std::net::TcpListener;

use sandbox_plugin_api::testkit::{TestKit, success, wait};
use serde_json::json;

use super::{backend, eventually, in_session, printed, processes_with, run};

#[test]
fn a_shell_is_nobody_in_a_small_world() {
    in_session(|session| {
        assert_eq!(
            printed(session, "id -un; id -u; ls /; ls -A ~; hostname"),
            format!("sandbox\n1000\n{}\nsandbox\n", top_level())
        );
        let ran = run(
            session,
            "cat /etc/shadow /root/.bashrc; echo 1 >/proc/sys/kernel/panic; touch /x /usr/x /run/sandbox/x",
        );
        assert_eq!(ran["stdout"], "");
        assert_eq!(ran["stderr"].as_str().unwrap().lines().count(), 6, "{ran}");
        // The folder through which the server talks to the shell can be read, and no more.
        assert_eq!(
            printed(session, "ls /run/sandbox | tr '\\n' ' '"),
            "command init mark start "
        );
    });
}

/// The system directories that this machine has, with the others that every sandbox has.
fn top_level() -> String {
    let mut names: Vec<&str> = vec!["dev", "etc", "home", "proc", "run", "tmp", "usr", "var"];
    names.extend(
        ["bin", "lib", "lib32", "lib64", "libx32", "sbin"]
            .iter()
            .filter(|name| std::path::Path::new("/").join(name).exists()),
    );
    names.sort_unstable();
    names.join("\n")
}

#[test]
fn sessions_do_not_see_each_other() {
    let kit = backend(json!({}));
    let (one, other) = (
        kit.session("one", json!({})).unwrap(),
        kit.session("other", json!({})).unwrap(),
    );
    run(&one, "echo secret >/tmp/file; sleep 1020.5 & true");
    assert_eq!(
        printed(
            &other,
            "ls /tmp ~; ps -e 2>/dev/null | grep -c sleep; pkill -9 sleep; true"
        ),
        "/home/sandbox:\n\n/tmp:\n0\n"
    );
    assert_eq!(printed(&one, "cat /tmp/file; kill -0 $!"), "secret\n");
    one.close().unwrap();
    other.close().unwrap();
}

#[test]
fn the_network_is_the_configurations_choice() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let knock = format!(
        "(exec 2>/dev/null; echo >/dev/tcp/127.0.0.1/{port}) && echo reached || echo alone"
    );
    for (network, answer) in [(false, "alone\n"), (true, "reached\n")] {
        let kit = backend(json!({"network": network}));
        let session = kit.session("worker", json!({})).unwrap();
        assert_eq!(printed(&session, &knock), answer);
        session.close().unwrap();
    }
}

#[test]
fn a_command_that_eats_memory_dies_and_the_shell_does_not() {
    let kit = backend(json!({"limits": {"memory": "64m"}}));
    let session = kit.session("worker", json!({})).unwrap();
    let ran = run(
        &session,
        "A=kept; head -c 200m /dev/zero | tail -c 200m >/dev/null",
    );
    assert_eq!(
        (&ran["exit_code"], &ran["note"]),
        (
            &json!(137),
            &json!("the session's memory (64m) was used up")
        ),
        "{ran}"
    );
    assert_eq!(printed(&session, "echo $A"), "kept\n");
    session.close().unwrap();
}

#[test]
fn space_and_processes_are_bounded() {
    let kit = backend(json!({"limits": {"tmp_size": "1m", "processes": 40}}));
    let session = kit.session("worker", json!({})).unwrap();
    let ran = run(
        &session,
        "head -c 2m /dev/zero >/tmp/a; head -c 2m /dev/zero >~/b; stat -c %s /tmp/a ~/b",
    );
    assert_eq!(ran["stdout"], "1048576\n1048576\n");
    let call = session.begin(
        "bash:run",
        &json!({"command": "for i in {1..60}; do sleep 1021.5 & done"}),
        None,
    );
    eventually("the limit is reached", || {
        processes_with("1021.5").len() > 30
    });
    assert!(processes_with("1021.5").len() <= 40);
    call.cancel();
    assert!(success(&wait(call)).unwrap_err().cancelled);
    session.close().unwrap();
    eventually("all are gone", || processes_with("1021.5").is_empty());
}

#[test]
fn without_a_sandbox_the_same_tools_work_on_the_machine() {
    let kit = backend(json!({"sandbox": "off"}));
    let folder = tempfile::tempdir().unwrap();
    let session = kit
        .session("worker", json!({"cwd": folder.path()}))
        .unwrap();
    assert_eq!(
        printed(&session, "id -u; echo x >file; [ -d /proc/1 ] && pwd"),
        format!(
            "{}\n{}\n",
            rustix::process::geteuid().as_raw(),
            folder.path().display()
        )
    );
    assert!(folder.path().join("file").exists());
    let started = session
        .call(
            "bash:start",
            json!({"command": "tty >&2; cat", "pty": true}),
        )
        .unwrap();
    assert_eq!(started["handle"], "job-1");
    let failure = session
        .call(
            "bash:run",
            json!({"command": "setsid -f sleep 1022.5; sleep 1022.5", "timeout": 0.3}),
        )
        .unwrap_err();
    assert_eq!(failure.code, 2002);
    eventually("the stopped command is gone", || {
        processes_with("1022.5").is_empty()
    });
    let text = session
        .call("bash:read", json!({"handle": "job-1", "wait": 20}))
        .unwrap();
    assert!(
        text["output"].as_str().unwrap().starts_with("/dev/pts/"),
        "{text}"
    );
    session.close().unwrap();
}

#[test]
fn a_machine_that_cannot_isolate_is_refused_at_warm_up() {
    let kit =
        TestKit::<bash::Bash>::new(json!({"mounts": [{"source": "/no/such/source"}]})).unwrap();
    let failure = kit.warmup().unwrap_err();
    assert_eq!(failure.code, 2004);
    assert!(
        failure.message.contains("/no/such/source") && failure.message.contains("best_effort"),
        "{}",
        failure.message
    );
    assert_eq!(kit.session("worker", json!({})).err().unwrap().code, 2004);
}
