//! How commands and shells end: by time, by a caller that leaves, by themselves, with the session.

use std::time::{Duration, Instant};

use sandbox_plugin_api::testkit::{Failure, TestSession, success, wait};
use serde_json::json;

use super::{backend, eventually, in_session, printed, processes_with, run};

/// Runs a command that must be stopped by its time limit.
fn times_out(session: &TestSession<'_, bash::Bash>, command: &str) -> Failure {
    times_out_after(session, command, 0.3)
}

fn times_out_after(session: &TestSession<'_, bash::Bash>, command: &str, limit: f64) -> Failure {
    let params = json!({"command": command, "timeout": limit});
    let failure = session.call("bash:run", params).unwrap_err();
    assert_eq!(failure.code, 2002, "{command}: {failure:?}");
    assert!(stopped_after(&failure) >= limit, "{command}: {failure:?}");
    failure
}

/// The same of a command that prints `before` and goes on: it is stopped at its limit, and not before it came so far.
/// A busy machine may miss both, so it has a few attempts with ever more time.
fn times_out_midway(session: &TestSession<'_, bash::Bash>, command: &str) -> Failure {
    let stopped_midway = |limit| {
        let failure = times_out_after(session, command, limit);
        let on_time = stopped_after(&failure) < limit + 0.1;
        (on_time && failure.data["stdout"] == "before\n").then_some(failure)
    };
    [0.3, 0.6, 1.2, 2.4, 4.8]
        .into_iter()
        .find_map(stopped_midway)
        .unwrap_or_else(|| panic!("{command}: was not stopped midway at its limit"))
}

/// After how many seconds a command was stopped, as its caller is told.
fn stopped_after(failure: &Failure) -> f64 {
    let (_, time) = failure.message.split_once("stopped after ").unwrap();
    time.strip_suffix(" s").unwrap().parse().unwrap()
}

#[test]
fn a_command_that_takes_too_long_is_stopped_and_the_shell_lives() {
    in_session(|session| {
        run(session, "A=kept; cd /usr; f() { echo f; }");
        let failure = times_out_midway(
            session,
            "echo err >&2; cd /tmp; echo before; sleep 1001.25; echo after",
        );
        assert_eq!(failure.data["stderr"], "err\n");
        assert_eq!(
            (&failure.data["exit_code"], &failure.data["cwd"]),
            (&json!(null), &json!("/tmp"))
        );
        assert_eq!(printed(session, "echo $A; f; pwd"), "kept\nf\n/tmp\n");
        eventually("the command is gone", || {
            processes_with("1001.25").is_empty()
        });
        // The rest of a stopped list is not run.
        for rest in [
            "; A=lost",
            " && A=lost",
            " || A=lost",
            " | cat; A=lost",
            "\nA=lost",
        ] {
            times_out(session, &format!("sleep 1001.25{rest}"));
            assert_eq!(printed(session, "echo $A"), "kept\n", "{rest:?} was run");
        }
    });
}

#[test]
fn nothing_that_a_stopped_command_started_stays() {
    in_session(|session| {
        run(session, "sleep 1002.5 & A=1");
        eventually("it works in the background", || {
            processes_with("1002.5").len() == 1
        });
        times_out(
            session,
            "setsid -f sleep 1003.5; (trap '' INT TERM HUP; sleep 1003.5) & nohup sleep 1003.5 >/dev/null & sh -c 'trap \"\" INT; sleep 1003.5; sleep 1003.5'",
        );
        eventually("its processes are gone", || {
            processes_with("1003.5").is_empty()
        });
        assert_eq!(
            processes_with("1002.5").len(),
            1,
            "what an earlier call left in the background was killed"
        );
        assert_eq!(printed(session, "echo $A"), "1\n");
    });
}

#[test]
fn shells_that_are_hard_to_stop_are_stopped() {
    in_session(|session| {
        for command in [
            "while :; do :; done",
            "while :; do sh -c 'trap \"\" INT; sleep 1004.5'; done",
            "trap 'echo caught' INT; sleep 1004.5",
            "for i in {1..1000}; do sleep 1004.5; done",
            "f() { f2; f; }; f2() { sleep 0.001; }; f",
            "read line < <(sleep 1004.5)",
            "sleep 1004.5 | sleep 1004.5",
            "wait $(sleep 1004.5)",
            "{ sleep 1004.5 & } ; wait",
            "bomb() { bomb | bomb & }; bomb; sleep 1004.5",
            "yes",
        ] {
            run(session, "trap - INT; A=kept");
            let failure = times_out(session, command);
            assert!(
                failure.data.get("shell_restarted").is_none(),
                "{command}: {}",
                failure.data
            );
            assert_eq!(printed(session, "echo $A"), "kept\n", "{command}");
            eventually("its processes are gone", || {
                processes_with("1004.5").is_empty()
            });
        }
    });
}

#[test]
fn a_shell_that_takes_no_interrupt_is_replaced() {
    in_session(|session| {
        for command in [
            "A=1; trap '' INT; echo before; while :; do :; done",
            // This one takes it and tells where it is, and has no time for anything after that.
            "A=1; PROMPT_COMMAND='((n++)) && { sleep 1010.5 & while :; do :; done; }'; echo before; sleep 1010.5",
        ] {
            run(session, "echo file >file");
            let failure = times_out_midway(session, command);
            assert_eq!(failure.data["shell_restarted"], true, "{command}");
            let left = printed(session, "echo \"[$A]\"; cat file");
            assert_eq!(left, "[]\nfile\n", "{command}");
            eventually("its processes are gone", || {
                processes_with("1010.5").is_empty()
            });
        }
    });
}

#[test]
fn the_hosts_limit_leaves_time_to_answer() {
    in_session(|session| {
        let params = json!({"command": "echo so far; sleep 1005.5"});
        let limit = Duration::from_secs(2);
        let answers_in_time = || {
            let started = Instant::now();
            let call = session.begin_for("bash:run", &params, limit);
            let failure = success(&wait(call)).unwrap_err();
            let took = started.elapsed();
            assert_eq!(
                (failure.code, &failure.data["stdout"]),
                (2002, &json!("so far\n"))
            );
            assert!(!failure.cancelled);
            took < limit
        };
        // A tenth of the limit is little on a busy machine: it may be missed, but not every time.
        assert!((0..5).any(|_| answers_in_time()), "the host had given up");
    });
}

#[test]
fn a_caller_that_leaves_takes_its_command_along() {
    in_session(|session| {
        run(session, "A=kept");
        let call = session.begin(
            "bash:run",
            &json!({"command": "sleep 1006.5; A=lost"}),
            None,
        );
        eventually("the command runs", || {
            processes_with("1006.5").iter().any(|pid| is_sleep(*pid))
        });
        call.cancel();
        assert!(success(&wait(call)).unwrap_err().cancelled);
        eventually("the command is gone", || {
            processes_with("1006.5").is_empty()
        });
        assert_eq!(printed(session, "echo $A"), "kept\n");
    });
}

fn is_sleep(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep")
}

#[test]
fn a_command_may_end_the_shell_and_is_told_so() {
    in_session(|session| {
        run(session, "A=1; cd /usr; echo kept >~/file; sleep 1007.5 &");
        let ran = run(
            session,
            "trap 'echo bye' EXIT; echo hi; exit 3; echo not reached",
        );
        assert_eq!(
            (&ran["exit_code"], &ran["stdout"]),
            (&json!(3), &json!("hi\nbye\n"))
        );
        assert_eq!(
            (&ran["shell_restarted"], &ran["cwd"]),
            (&json!(true), &json!("/home/sandbox"))
        );
        assert!(ran["note"].as_str().unwrap().contains("new one"), "{ran}");
        assert_eq!(
            printed(session, "echo \"[$A]\"; pwd; cat file"),
            "[]\n/home/sandbox\nkept\n"
        );
        // It may not have got as far as `sleep` yet.
        eventually("what works in the background is kept", || {
            processes_with("1007.5").len() == 1
        });
        // The same for those who do not mean it.
        let ran = run(session, "set -e; false; echo not reached");
        assert_eq!(
            (&ran["exit_code"], &ran["shell_restarted"]),
            (&json!(1), &json!(true))
        );
        let ran = run(session, "exec sh -c 'echo replaced; exit 4'");
        assert_eq!(
            (&ran["exit_code"], &ran["stdout"]),
            (&json!(4), &json!("replaced\n"))
        );
        assert_eq!(printed(session, "echo alive"), "alive\n");
    });
}

#[test]
fn a_shell_that_died_is_an_error() {
    in_session(|session| {
        run(session, "echo kept >file");
        let failure = session
            .call("bash:run", json!({"command": "echo last; kill -9 $$"}))
            .unwrap_err();
        assert_eq!(
            (failure.code, &failure.data["stdout"]),
            (2001, &json!("last\n")),
            "{failure:?}"
        );
        assert!(
            failure.message.contains("signal 9") && failure.message.contains("new shell"),
            "{}",
            failure.message
        );
        assert_eq!(printed(session, "cat file"), "kept\n");
        // Between two calls: the next one is told before anything runs in the new shell.
        run(
            session,
            "export OLD=$$ SHELLS=/proc/$PPID/task/$PPID/children",
        );
        let killer = json!({"command": "read -r line; kill -9 $OLD
            while new=$(<$SHELLS); [ \"${new:-$OLD }\" = \"$OLD \" ]; do :; done; echo replaced"});
        let killer = session.call("bash:start", killer).unwrap()["handle"].clone();
        let now = json!({"handle": killer, "input": "now\n"});
        session.call("bash:write", now).unwrap();
        let said = json!({"handle": killer, "wait": 30});
        let said = session.call("bash:read", said).unwrap();
        assert_eq!(said["output"], "replaced\n");
        let failure = session
            .call("bash:run", json!({"command": "echo not run >not-run"}))
            .unwrap_err();
        assert_eq!(failure.code, 2001, "{failure:?}");
        assert_eq!(
            printed(session, "ls not-run 2>/dev/null || echo none"),
            "none\n"
        );
    });
}

#[test]
fn a_sandbox_that_died_is_an_error_and_replaced() {
    in_session(|session| {
        run(session, "A=1; echo lost >file");
        let failure = session
            .call(
                "bash:run",
                json!({"command": "kill -9 $PPID; sleep 1008.5"}),
            )
            .unwrap_err();
        assert_eq!(failure.code, 2001, "{failure:?}");
        assert!(
            failure.message.contains("files of the session are gone"),
            "{}",
            failure.message
        );
        assert_eq!(printed(session, "echo \"[$A]\"; ls"), "[]\n");
        eventually("the old sandbox is gone", || {
            processes_with("1008.5").is_empty()
        });
    });
}

#[test]
fn cleanup_leaves_nothing() {
    for sandbox in ["on", "off"] {
        let kit = backend(json!({"sandbox": sandbox}));
        let session = kit.session("worker", json!({})).unwrap();
        run(
            &session,
            "setsid -f sleep 1009.5; nohup sleep 1009.5 >/dev/null 2>&1 & (trap '' TERM HUP; sleep 1009.5) &",
        );
        let busy = session.begin("bash:run", &json!({"command": "sleep 1009.5"}), None);
        eventually("all run", || {
            processes_with("1009.5")
                .iter()
                .filter(|pid| is_sleep(**pid))
                .count()
                >= 4
        });
        busy.cancel();
        assert!(success(&wait(busy)).is_err());
        session.close().unwrap();
        eventually("nothing is left", || processes_with("1009.5").is_empty());
        kit.shutdown().unwrap();
    }
}

#[test]
fn limits_of_time_are_checked() {
    in_session(|session| {
        for timeout in [json!(0), json!(-1), json!(601), json!("5")] {
            let failure = session
                .call("bash:run", json!({"command": "true", "timeout": timeout}))
                .unwrap_err();
            assert_eq!(
                (failure.code, &failure.data["pointer"]),
                (1002, &json!("/timeout")),
                "{failure:?}"
            );
        }
    });
}
