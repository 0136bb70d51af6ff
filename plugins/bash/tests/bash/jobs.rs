//! Long commands: started, read, answered and stopped under a handle.

use std::time::Instant;

use sandbox_plugin_api::testkit::TestSession;
use serde_json::{Value, json};

use super::{LIMIT, backend, eventually, in_session, printed, processes_with, run};

type Session<'a> = TestSession<'a, bash::Bash>;

fn start(session: &Session<'_>, command: &str, pty: bool) -> String {
    let started = session
        .call("bash:start", json!({"command": command, "pty": pty}))
        .unwrap();
    started["handle"].as_str().unwrap().to_owned()
}

fn read(session: &Session<'_>, handle: &str, more: &Value) -> Value {
    let mut params = json!({"handle": handle, "wait": 20});
    params
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    session.call("bash:read", params).unwrap()
}

/// Reads on until the output ends with `end`.
fn read_until(session: &Session<'_>, handle: &str, end: &str) -> String {
    let (mut text, began) = (String::new(), Instant::now());
    while !text.ends_with(end) {
        assert!(began.elapsed() < LIMIT, "{text:?} never ended with {end:?}");
        text += read(session, handle, &json!({}))["output"]
            .as_str()
            .unwrap();
    }
    text
}

fn write(session: &Session<'_>, handle: &str, input: &str, eof: bool) -> Value {
    session
        .call(
            "bash:write",
            json!({"handle": handle, "input": input, "eof": eof}),
        )
        .unwrap()
}

#[test]
fn a_long_command_is_read_and_answered_while_the_shell_works() {
    in_session(|session| {
        run(session, "cd /usr; export A=exported");
        let handle = start(
            session,
            "echo $A $PWD; while read line; do echo \"<$line>\"; done; echo over >&2; exit 5",
            false,
        );
        assert_eq!(read_until(session, &handle, "\n"), "exported /usr\n");
        assert_eq!(
            write(session, &handle, "a\n世\n", false),
            json!({"handle": handle, "written": 6})
        );
        assert_eq!(read_until(session, &handle, "<世>\n"), "<a>\n<世>\n");
        assert_eq!(printed(session, "wait; jobs; echo free"), "free\n");
        write(session, &handle, "", true);
        assert_eq!(read_until(session, &handle, "over\n"), "over\n");
        let last = read(session, &handle, &json!({}));
        assert_eq!(
            (&last["running"], &last["exit_code"], &last["output"]),
            (&json!(false), &json!(5), &json!(""))
        );
        // By offset everything can be read again.
        assert_eq!(
            read(session, &handle, &json!({"offset": 9}))["output"],
            "/usr\n<a>\n<世>\nover\n"
        );
    });
}

#[test]
fn a_terminal_is_a_terminal() {
    in_session(|session| {
        let handle = start(
            session,
            "tty; stty size; read -s -p 'password: ' x; echo \"got $x\"; sleep 1010.5; echo survived",
            true,
        );
        let text = read_until(session, &handle, "password: ");
        assert!(
            text.starts_with("/dev/pts/") && text.contains("40 160"),
            "{text:?}"
        );
        write(session, &handle, "secret\n", false);
        assert_eq!(
            read_until(session, &handle, "got secret\r\n"),
            "got secret\r\n"
        );
        eventually("it sleeps", || !processes_with("1010.5").is_empty());
        // Ctrl-C reaches the command in the foreground.
        write(session, &handle, "\u{3}", false);
        let mut last = read(session, &handle, &json!({}));
        while last["running"] == true {
            last = read(session, &handle, &json!({}));
        }
        assert_eq!(last["exit_code"], 130, "{last}");
        let shell = start(session, "bash --norc -i", true);
        read_until(session, &shell, "$ ");
        write(session, &shell, "echo $((6 * 7)) $-\n", false);
        assert!(
            read_until(session, &shell, "$ ").contains("42 "),
            "no answer of the inner shell"
        );
        write(session, &shell, "", true);
        let mut last = read(session, &shell, &json!({}));
        while last["running"] == true {
            last = read(session, &shell, &json!({}));
        }
        assert_eq!(last["exit_code"], 0, "{last}");
    });
}

#[test]
fn stopping_ends_all_of_it() {
    in_session(|session| {
        for (signal, code) in [("TERM", 143), ("SIGKILL", 137), ("int", 130)] {
            let handle = start(
                session,
                "sleep 1011.5 & setsid -f sleep 1011.5; (trap '' TERM INT; sleep 1011.5) & echo up; exec sleep 1011.5",
                false,
            );
            assert_eq!(read_until(session, &handle, "up\n"), "up\n");
            let stopped = session
                .call("bash:stop", json!({"handle": handle, "signal": signal}))
                .unwrap();
            assert_eq!(
                stopped,
                json!({"handle": handle, "running": false, "exit_code": code})
            );
            eventually("nothing of it is left", || {
                processes_with("1011.5").is_empty()
            });
        }
        let handle = start(
            session,
            "trap 'echo usr1' USR1; trap '' TERM; echo up; while :; do sleep 0.01; done",
            true,
        );
        read_until(session, &handle, "up\r\n");
        let told = session
            .call("bash:stop", json!({"handle": handle, "signal": "USR1"}))
            .unwrap();
        assert_eq!(told["running"], true);
        read_until(session, &handle, "usr1\r\n");
        // It ignores the request, and is killed.
        let stopped = session
            .call("bash:stop", json!({"handle": handle}))
            .unwrap();
        assert_eq!(
            (&stopped["running"], &stopped["exit_code"]),
            (&json!(false), &json!(137))
        );
        let failure = session
            .call("bash:stop", json!({"handle": handle, "signal": "NOPE"}))
            .unwrap_err();
        assert_eq!(
            (failure.code, &failure.data["pointer"]),
            (1002, &json!("/signal"))
        );
    });
}

#[test]
fn a_command_that_has_ended_takes_neither_input_nor_signals() {
    in_session(|session| {
        for pty in [false, true] {
            let handle = start(session, "exit 3", pty);
            eventually("it has ended", || {
                read(session, &handle, &json!({"wait": 0.1}))["running"] == false
            });
            for (input, eof) in [("hello\n", false), ("", true)] {
                let params = json!({"handle": handle, "input": input, "eof": eof});
                let failure = session.call("bash:write", params).unwrap_err();
                assert_eq!(
                    (failure.code, &failure.data["pointer"]),
                    (1002, &json!("/handle"))
                );
                assert!(failure.message.contains("has ended"), "{}", failure.message);
            }
            for signal in ["USR1", "CONT", "STOP"] {
                let params = json!({"handle": handle, "signal": signal});
                let failure = session.call("bash:stop", params).unwrap_err();
                assert_eq!(failure.code, 1002, "{signal}");
            }
            // That it has ended is what these ask for.
            for signal in ["TERM", "KILL"] {
                let params = json!({"handle": handle, "signal": signal});
                let stopped = session.call("bash:stop", params).unwrap();
                assert_eq!(
                    stopped,
                    json!({"handle": handle, "running": false, "exit_code": 3})
                );
            }
        }
    });
}

#[test]
fn output_is_kept_within_bounds_under_true_offsets() {
    let kit = backend(json!({"job_buffer_bytes": 1000}));
    let session = kit.session("worker", json!({})).unwrap();
    let handle = start(&session, "seq -w 100000; sleep 1012.5", false);
    eventually("all is printed", || {
        read(&session, &handle, &json!({"offset": 0}))["offset"] == 700_000
    });
    let kept = read(&session, &handle, &json!({"offset": 0}));
    assert_eq!(
        (&kept["dropped"], &kept["offset"]),
        (&json!(699_000), &json!(700_000))
    );
    assert!(
        kept["output"]
            .as_str()
            .unwrap()
            .ends_with("\n099999\n100000\n")
    );
    assert_eq!(
        read(&session, &handle, &json!({"offset": 699_993, "wait": 0}))["output"],
        "100000\n"
    );
    session.close().unwrap();
    eventually("it ended with the session", || {
        processes_with("1012.5").is_empty()
    });
}

#[test]
fn waiting_ends_with_its_time_and_handles_are_checked() {
    in_session(|session| {
        let handle = start(session, "sleep 1013.5", false);
        let nothing = read(session, &handle, &json!({"wait": 0.05}));
        assert_eq!(
            (&nothing["output"], &nothing["running"], &nothing["offset"]),
            (&json!(""), &json!(true), &json!(0))
        );
        for (tool, params) in [
            ("bash:read", json!({"handle": "job-9"})),
            ("bash:stop", json!({"handle": ""})),
            ("bash:write", json!({"handle": "x", "input": ""})),
        ] {
            let failure = session.call(tool, params).unwrap_err();
            assert_eq!(
                (failure.code, &failure.data["pointer"]),
                (1002, &json!("/handle"))
            );
            assert!(failure.message.contains("job-1"), "{}", failure.message);
        }
        // A reader that reads nothing takes a pipe full and no more.
        let failure = session
            .call(
                "bash:write",
                json!({"handle": handle, "input": "x".repeat(200_000)}),
            )
            .unwrap_err();
        assert_eq!(failure.code, 2001);
        assert!(
            failure.message.contains("took 65536 bytes"),
            "{}",
            failure.message
        );
    });
}

#[test]
fn a_session_has_so_many_and_no_more() {
    let kit = backend(json!({"max_jobs": 2}));
    let session = kit.session("worker", json!({})).unwrap();
    let (first, second) = (
        start(&session, "true", false),
        start(&session, "sleep 1014.5", false),
    );
    while read(&session, &first, &json!({}))["running"] == true {}
    // The one that has ended makes room; after that there is none.
    start(&session, "sleep 1014.5", false);
    let failure = session
        .call("bash:start", json!({"command": "true"}))
        .unwrap_err();
    assert_eq!(failure.code, 1007);
    session
        .call("bash:stop", json!({"handle": second}))
        .unwrap();
    start(&session, "true", false);
    session.close().unwrap();
}

#[test]
fn a_long_command_survives_the_shell_and_a_stopped_command() {
    in_session(|session| {
        let handle = start(
            session,
            "while read line; do sleep 0; echo \"$line\"; done",
            false,
        );
        session
            .call(
                "bash:run",
                json!({"command": "sleep 1015.5", "timeout": 0.2}),
            )
            .unwrap_err();
        run(session, "exit 0");
        write(session, &handle, "still here\n", false);
        assert_eq!(read_until(session, &handle, "\n"), "still here\n");
    });
}
