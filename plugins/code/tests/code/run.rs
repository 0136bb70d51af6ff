//! Programs: what they get, what they give, how they end.

use std::io::Write as _;
use std::time::{Duration, Instant};

use sandbox_plugin_api::testkit::{success, wait};
use serde_json::json;

use super::{backend, eventually, in_session, printed, processes_with, python};

#[test]
fn programs_run_in_three_languages() {
    in_session(json!({}), |session| {
        for (language, code) in [
            (
                "python",
                "import sys; print(sys.stdin.read().upper(), end=''); print('err', file=sys.stderr); sys.exit(3)",
            ),
            (
                "javascript",
                "process.stdout.write(require('fs').readFileSync(0, 'utf8').toUpperCase()); console.error('err'); process.exitCode = 3",
            ),
            (
                "javascript",
                "import fs from 'fs';\nprocess.stdout.write(fs.readFileSync(0, 'utf8').toUpperCase()); console.error('err'); process.exitCode = 3",
            ),
            ("bash", "tr a-z A-Z; echo err >&2; exit 3"),
        ] {
            let params = json!({"code": code, "language": language, "stdin": "héllo\n"});
            let ran = session.call("code:execute", params).unwrap();
            let upper = ran["stdout"].as_str().unwrap();
            assert!(["HÉLLO\n", "HéLLO\n"].contains(&upper), "{language}: {ran}");
            assert_eq!(ran["stderr"], "err\n", "{language}");
            assert_eq!(
                (&ran["exit_code"], &ran["return_code"]),
                (&json!(3), &json!(3))
            );
            assert_eq!(ran["truncated"], false);
            assert!(ran["execution_time_ms"].as_f64().unwrap() > 1.0);
            assert!(ran["memory_used_mb"].as_f64().unwrap() > 0.1, "{ran}");
        }
    });
}

#[test]
fn a_program_without_input_reads_the_end_of_it() {
    in_session(json!({}), |session| {
        assert_eq!(
            printed(session, "print(repr(input.__name__), open(0).read() == '')"),
            "'input' True\n"
        );
    });
}

#[test]
fn files_last_and_are_told_of() {
    in_session(json!({}), |session| {
        let params = json!({
            "code": "import helper, os\nprint(helper.double(21))\nos.makedirs('out')\nopen('out/b.txt','w').write('12345')\nopen('keep.txt','a').write('!')",
            "files": {"helper.py": "def double(x): return 2 * x", "keep.txt": "kept"},
        });
        let ran = session.call("code:execute", params).unwrap();
        assert_eq!(ran["stdout"], "42\n");
        assert_eq!(
            ran["files"],
            json!([{"path": "keep.txt", "size": 5}, {"path": "out/b.txt", "size": 5}])
        );
        let ran = python(
            session,
            "print(open('keep.txt').read(), open('/workspace/out/b.txt').read())",
        );
        assert_eq!(
            (&ran["stdout"], &ran["files"]),
            (&json!("kept! 12345\n"), &json!([]))
        );
        // A change that leaves size and time as they were is one.
        let code = "import os; t = os.stat('keep.txt').st_mtime_ns; open('keep.txt','w').write('KEPT!'); os.utime('keep.txt', ns=(t, t))";
        assert_eq!(
            python(session, code)["files"],
            json!([{"path": "keep.txt", "size": 5}])
        );
        // Modules beside the program are found by Node too, and its link is not left behind.
        let params = json!({
            "language": "javascript",
            "code": "console.log(require('./lib/half')(84), require('fs').readdirSync('.').filter(f => f[0] != '.').join())",
            "files": {"lib/half.js": "module.exports = x => x / 2"},
        });
        assert_eq!(
            session.call("code:execute", params).unwrap()["stdout"],
            "42 helper.py,keep.txt,lib,out\n"
        );
        assert_eq!(
            printed(
                session,
                "import os; print([f for f in os.listdir() if f[0] == '.'])"
            ),
            "[]\n"
        );
        // The home directory lasts and is no part of the workspace.
        assert_eq!(
            python(session, "open('/home/sandbox/.cache', 'w').write('x')")["files"],
            json!([])
        );
        assert_eq!(
            printed(session, "print(open('/home/sandbox/.cache').read())"),
            "x\n"
        );
    });
}

#[test]
fn pictures_come_back_and_are_measured() {
    // A PNG of 3 × 2 pixels by the standard library, which is what every plotting library ends in.
    let png = "import struct, zlib
def png(path, width, height, extra=b''):
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = b''.join(b'\\0' + b'\\x20\\x40\\x80' * width for _ in range(height))
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    open(path, 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'') + extra)
";
    let config = json!({"max_images": 2, "max_image_bytes": 4000});
    in_session(config, |session| {
        let code = format!(
            "{png}\npng('a.png', 3, 2)\npng('large.png', 5, 5, b'x' * 5000)\npng('plot.PNG', 7, 1)\npng('third.png', 1, 1)\nopen('fake.png','w').write('no picture')\nopen('d.svg','w').write('<svg/>')"
        );
        let answer = session
            .call_whole("code:execute", json!({ "code": code }))
            .unwrap();
        let images = &answer.data["images"];
        assert_eq!(
            images[0],
            json!({"path": "a.png", "media_type": "image/png", "size": [3, 2], "key": "image"})
        );
        assert_eq!(
            (&images[1]["path"], &images[1]["size"]),
            (&json!("large.png"), &json!([5, 5]))
        );
        assert!(images[1]["omitted"].as_str().unwrap().contains("4000"));
        assert_eq!(
            (&images[2]["path"], &images[2]["key"]),
            (&json!("plot.PNG"), &json!("image_2"))
        );
        assert!(
            images[3]["omitted"]
                .as_str()
                .unwrap()
                .contains("2 pictures")
        );
        assert_eq!(images.as_array().unwrap().len(), 4);
        assert_eq!(answer.data["size"], json!([3, 2]));
        let keys: Vec<_> = answer
            .blobs
            .iter()
            .map(|(key, kind, bytes)| (key.as_str(), kind.as_str(), &bytes[..4]))
            .collect();
        assert_eq!(
            keys,
            [
                ("image", "image/png", &b"\x89PNG"[..]),
                ("image_2", "image/png", &b"\x89PNG"[..])
            ]
        );
        assert_eq!(answer.data["files"].as_array().unwrap().len(), 6);
    });
}

#[test]
fn output_is_cut_between_characters_and_never_holds_a_program_up() {
    in_session(json!({"max_output_bytes": 1000}), |session| {
        let ran = python(
            session,
            "print('é' * 5_000_000); import sys; print('short', file=sys.stderr)",
        );
        assert_eq!(ran["stdout"], "é".repeat(500));
        assert_eq!(
            (&ran["stdout_bytes"], &ran["truncated"]),
            (&json!(10_000_001), &json!(true))
        );
        assert_eq!(ran["stderr"], "short\n");
        let ran = python(
            session,
            "import sys; sys.stdout.buffer.write(b'a\\xff\\xfeb')",
        );
        assert_eq!(ran["stdout"], "a\u{FFFD}\u{FFFD}b");
    });
}

#[test]
fn a_program_that_takes_too_long_ends_with_all_it_started() {
    in_session(json!({}), |session| {
        let code = "
import os, signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
subprocess.Popen(['setsid', '-f', 'sleep', '2001.25'])
subprocess.Popen(['sh', '-c', 'trap \"\" INT TERM HUP; nohup sleep 2001.25 & sleep 2001.25'])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp('sleep', ['sleep', '2001.25'])
    os._exit(0)
print('before'); print('err', file=sys.stderr)
open('written.txt', 'w').write('x')
while True: time.sleep(1)
";
        let begun = Instant::now();
        let call = session.begin("code:execute", &json!({"code": code, "timeout": 8}), None);
        eventually("they run", || processes_with("2001.25").len() >= 4);
        let failure = success(&wait(call)).unwrap_err();
        assert_eq!(failure.code, 2002, "{failure:?}");
        assert!(failure.message.contains("stopped after 8 s"), "{failure:?}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "it ran for {took:?}");
        assert_eq!(
            (&failure.data["stdout"], &failure.data["stderr"]),
            (&json!("before\n"), &json!("err\n"))
        );
        assert_eq!(failure.data["exit_code"], json!(null));
        assert_eq!(
            failure.data["files"],
            json!([{"path": "written.txt", "size": 1}])
        );
        assert_eq!(
            processes_with("2001.25"),
            [0; 0],
            "they outlived the time limit"
        );
        assert_eq!(printed(session, "print(open('written.txt').read())"), "x\n");
    });
}

#[test]
fn what_a_program_leaves_running_ends_with_it() {
    in_session(json!({}), |session| {
        let started = Instant::now();
        let code = "import subprocess; subprocess.Popen(['setsid', '-f', 'sleep', '2002.25']).wait(); print('done')";
        assert_eq!(printed(session, code), "done\n");
        assert_eq!(processes_with("2002.25"), [0; 0]);
        assert!(started.elapsed().as_secs() < 30, "the call waited for it");
    });
}

#[test]
fn the_callers_leave_ends_a_program() {
    in_session(json!({}), |session| {
        let code = "import subprocess; subprocess.run(['sleep', '2003.25'])";
        let call = session.begin("code:execute", &json!({ "code": code }), None);
        eventually("it runs", || !processes_with("2003.25").is_empty());
        call.cancel();
        assert!(success(&wait(call)).unwrap_err().cancelled);
        eventually("it is gone", || processes_with("2003.25").is_empty());
        assert_eq!(printed(session, "print(1)"), "1\n");
    });
}

#[test]
fn programs_of_a_session_run_one_after_another() {
    in_session(json!({}), |session| {
        let code = "import subprocess; subprocess.run(['sleep', '2004.25'])";
        let first = session.begin("code:execute", &json!({ "code": code }), None);
        eventually("it runs", || !processes_with("2004.25").is_empty());
        let failure = session
            .call("code:execute", json!({"code": "print(1)", "timeout": 0.2}))
            .unwrap_err();
        assert_eq!(failure.code, 2002);
        assert!(failure.message.contains("another program"), "{failure:?}");
        first.cancel();
        let _ = wait(first);
    });
}

#[test]
fn a_program_that_is_killed_is_an_error_for_its_own_worker() {
    let kit = backend(json!({}));
    let one = kit.session("one", json!({})).unwrap();
    let other = kit.session("other", json!({})).unwrap();
    let code = "import time\nprint('up')\nopen('f','w').write('x')\n# 2005.25\ntime.sleep(3600)";
    let call = one.begin("code:execute", &json!({ "code": format!("import os; os.execvp('python3', ['python3', '-c', '''{code}'''])") }), None);
    let also = other.begin(
        "code:execute",
        &json!({ "code": "import time; open('g','w').write('y'); time.sleep(1); print('fine')" }),
        None,
    );
    eventually("it runs", || {
        let read = one.call("code:read", json!({"file_path": "f"}));
        read.is_ok_and(|read| read["content"] == "x")
    });
    // The program itself: bubblewrap does not have its text in its command line.
    let [pid] = processes_with("2005.25")[..] else {
        panic!("which one is it?")
    };
    assert!(
        std::process::Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
    let failure = success(&wait(call)).unwrap_err();
    assert_eq!(failure.code, 2001, "{failure:?}");
    assert!(failure.message.contains("killed"), "{failure:?}");
    assert_eq!(success(&wait(also)).unwrap().data["stdout"], "fine\n");
    assert_eq!(printed(&one, "print(open('f').read())"), "x\n");
    one.close().unwrap();
    other.close().unwrap();
}

#[test]
fn exit_codes_of_signals_are_those_of_a_shell() {
    in_session(json!({}), |session| {
        let ran = python(session, "import os; os.abort()");
        assert_eq!(ran["exit_code"], 134);
    });
}

#[test]
fn the_hosts_limit_leaves_time_to_answer() {
    in_session(json!({}), |session| {
        let params = json!({"code": "print('before')\nimport time; time.sleep(60)"});
        let call = session.begin_for("code:execute", &params, Duration::from_secs(10));
        let failure = success(&wait(call)).unwrap_err();
        assert_eq!(
            (failure.code, failure.cancelled),
            (2002, false),
            "{failure:?}"
        );
        assert_eq!(failure.data["stdout"], "before\n");
    });
}

#[test]
fn commands_answer_as_those_of_a_shell_backend() {
    in_session(json!({}), |session| {
        let ran = session
            .call(
                "code:bash",
                json!({"command": "echo x >f; cd /tmp; pwd; exit 4"}),
            )
            .unwrap();
        assert_eq!(
            (&ran["stdout"], &ran["exit_code"], &ran["return_code"]),
            (&json!("/tmp\n"), &json!(4), &json!(4))
        );
        assert_eq!(
            (&ran["cwd"], &ran["truncated"]),
            (&json!("/workspace"), &json!(false))
        );
        assert!(ran["duration_ms"].as_f64().unwrap() > 0.0);
        let ran = session
            .call("code:bash", json!({"command": "cat f"}))
            .unwrap();
        assert_eq!(ran["stdout"], "x\n");
        // A busy machine may not come to `echo` in the first time limits.
        let says_before = |limit: u32| {
            let params = json!({"command": "echo before; sleep 2006.25", "timeout": limit});
            let failure = session.call("code:bash", params).unwrap_err();
            assert_eq!(failure.code, 2002, "{failure:?}");
            failure.data["stdout"] == "before\n"
        };
        assert!([1, 2, 4, 8, 16].into_iter().any(says_before));
    });
}

#[test]
fn parameters_are_checked() {
    in_session(json!({"max_input_bytes": 1000}), |session| {
        for (params, pointer) in [
            (json!({"code": "1", "timeout": 0}), "/timeout"),
            (json!({"code": "1", "timeout": 601}), "/timeout"),
            (json!({"code": "1", "language": "cobol"}), "/language"),
            (json!({"code": "x".repeat(2000)}), "/code"),
            (json!({"code": "1", "stdin": "x".repeat(2000)}), "/code"),
            (json!({"code": "1", "files": {"": "x"}}), "/files/"),
            (json!({"code": "1", "files": {"a/..": "x"}}), "/files/a~1.."),
        ] {
            let failure = session.call("code:execute", params).unwrap_err();
            assert_eq!(
                (failure.code, &failure.data["pointer"]),
                (1002, &json!(pointer)),
                "{failure:?}"
            );
        }
    });
}

#[test]
fn the_sessions_language_and_the_backends_environment_hold() {
    let kit = backend(json!({"env": {"GREETING": "hello", "LANG": "C"}}));
    let session = kit
        .session("worker", json!({"default_language": "bash"}))
        .unwrap();
    let ran = session
        .call(
            "code:execute",
            json!({"code": "echo $GREETING $LANG $HOME $PWD"}),
        )
        .unwrap();
    assert_eq!(ran["stdout"], "hello C /home/sandbox /workspace\n");
    session.close().unwrap();
}

#[test]
fn an_interpreter_of_ones_own_is_used() {
    // A virtual environment: a link to an interpreter that has to be asked where it lives.
    // In a folder that is closed to everybody but the server's user.
    let base = tempfile::tempdir().unwrap();
    let venv = base.path().join("env");
    let made = std::process::Command::new("/usr/bin/python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(&venv)
        .status()
        .unwrap();
    assert!(made.success());
    let packages = glob_one(&venv.join("lib"), "python3").join("site-packages");
    let mut module = std::fs::File::create(packages.join("only_here.py")).unwrap();
    writeln!(module, "ANSWER = 42").unwrap();
    in_session(json!({"python": venv.join("bin/python")}), |session| {
        let code = "import only_here, sys; print(only_here.ANSWER, sys.prefix)";
        assert_eq!(printed(session, code), format!("42 {}\n", venv.display()));
        let ran = session
            .call(
                "code:bash",
                json!({"command": "python3 -c 'import only_here'; echo $?"}),
            )
            .unwrap();
        assert_eq!(ran["stdout"], "0\n");
    });
}

fn glob_one(folder: &std::path::Path, prefix: &str) -> std::path::PathBuf {
    std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(prefix)
        })
        .unwrap()
}
