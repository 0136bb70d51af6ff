//! What a program can use up. Each limit is tried low, where it must hold, and high, where the same program must get through.

use serde_json::{Value, json};

use super::{Session, backend, eventually, in_session, printed, processes_with, python};

fn with_limits(low: &Value, high: &Value, test: impl Fn(&Session<'_>, bool)) {
    for (config, is_low) in [(low, true), (high, false)] {
        in_session(config.clone(), |session| test(session, is_low));
    }
}

#[test]
fn processes_are_counted() {
    let code = "import os, time
pids = []
try:
    for _ in range(60):
        pid = os.fork()
        if pid == 0: time.sleep(600)
        pids.append(pid)
    print('all')
except OSError as error: print('stopped', len(pids) < 30)";
    with_limits(
        &json!({"processes": 30}),
        &json!({"processes": 100}),
        |session, is_low| {
            assert_eq!(
                printed(session, code),
                if is_low { "stopped True\n" } else { "all\n" }
            );
        },
    );
}

#[test]
fn a_fork_bomb_is_held_and_the_next_program_runs() {
    in_session(json!({"processes": 50}), |session| {
        let code = "# bomb-3001\nimport os\nopen('ready', 'w').close()\nwhile True:\n    try: os.fork()\n    except OSError: pass";
        let code = format!("import os; os.execvp('python3', ['python3', '-c', '''{code}'''])");
        let call = session.begin("code:execute", &json!({"code": code, "timeout": 12}), None);
        eventually("it spreads", || processes_with("bomb-3001").len() > 30);
        assert!(processes_with("bomb-3001").len() <= 50);
        let failure =
            sandbox_plugin_api::testkit::success(&sandbox_plugin_api::testkit::wait(call))
                .unwrap_err();
        assert_eq!(failure.code, 2002, "{failure:?}");
        assert_eq!(processes_with("bomb-3001"), [0; 0]);
        assert_eq!(printed(session, "print(1)"), "1\n");
    });
}

#[test]
fn memory_is_counted_for_the_whole_tree() {
    let kit = backend(json!({"memory_limit": "64m", "max_memory": "1g"}));
    let code = "x = bytearray(150 << 20); print('all')";
    let low = kit.session("low", json!({})).unwrap();
    let failure = low
        .call("code:execute", json!({ "code": code }))
        .unwrap_err();
    assert_eq!(failure.code, 2001, "{failure:?}");
    assert!(
        failure.message.contains("memory (64m) was used up"),
        "{failure:?}"
    );
    assert_eq!(failure.data["exit_code"], 137);
    // Nobody alone is over the limit; together they are.
    let code = "import os, time
for _ in range(4):
    if os.fork() == 0:
        x = bytearray(30 << 20); time.sleep(3); os._exit(0)
codes = [os.wait()[1] for _ in range(4)]
print(sum(code != 0 for code in codes) > 0)";
    let ran = python(&low, code);
    assert_eq!(ran["stdout"], "True\n", "{ran}");
    assert!(
        ran["note"]
            .as_str()
            .unwrap()
            .contains("a process was killed"),
        "{ran}"
    );
    assert!(ran["memory_used_mb"].as_f64().unwrap() <= 64.0);
    low.close().unwrap();
    let high = kit
        .session("high", json!({"memory_limit": "400m"}))
        .unwrap();
    let ran = python(&high, "x = bytearray(150 << 20); print('all')");
    assert_eq!(ran["stdout"], "all\n");
    let used = ran["memory_used_mb"].as_f64().unwrap();
    assert!((150.0..400.0).contains(&used), "{used}");
    // Each program is counted alone.
    assert!(
        python(&high, "print(1)")["memory_used_mb"]
            .as_f64()
            .unwrap()
            < 100.0
    );
    high.close().unwrap();
}

#[test]
fn no_place_can_be_filled_beyond_its_size() {
    let fill = |place: &str| {
        format!(
            "
def fill(place, written=0):
    try:
        for i in range(8):
            with open(f'{{place}}/{{i}}', 'wb') as f:
                for _ in range(8): written += f.write(b'x' * (1 << 18)); f.flush()
        return 'all'
    except OSError as error: return error.errno, written <= 4 << 20
print(fill('{place}'))"
        )
    };
    let limits = |size| json!({"tmp_size": size, "workspace_size": size, "memory_limit": "256m"});
    with_limits(&limits("4m"), &limits("32m"), |session, is_low| {
        let expected = if is_low { "(28, True)\n" } else { "all\n" };
        for place in ["/tmp", "/dev/shm", "/workspace"] {
            assert_eq!(printed(session, &fill(place)), expected, "{place}");
        }
        // The home directory shares the workspace's room.
        python(session, "import os\nfor f in os.listdir('.'): os.remove(f)");
        assert_eq!(printed(session, &fill("/home/sandbox")), expected);
        // Whatever else can be written to?
        let code = "import os
def can(path):
    try: open(path + '/probe', 'w').close(); return True
    except OSError: return False
print(sorted(p for p in ['/', '/usr', '/etc', '/var', '/dev', '/run', '/run/sandbox', '/proc', '/home', '/tmp', '/bin', '/dev/pts', '/dev/mqueue'] if can(p)))";
        let writable = printed(session, code);
        assert!(
            ["['/run', '/tmp']\n", "['/tmp']\n"].contains(&writable.as_str()),
            "{writable}"
        );
    });
    let code = "f = open('large', 'wb')\nfor _ in range(5): f.write(b'x' * (1 << 20)); f.flush()\nprint('all')";
    with_limits(
        &json!({"file_size": "2m"}),
        &json!({"file_size": "9m"}),
        |session, is_low| {
            let ran = python(session, code);
            assert_eq!(ran["stdout"], if is_low { "" } else { "all\n" }, "{ran}");
        },
    );
}

#[test]
fn computing_time_is_shared_out() {
    // The same work, with a tenth of a processor and with a whole one.
    let kit = backend(json!({}));
    let code = "import time
wall, begun = time.monotonic(), time.process_time()
while time.process_time() < begun + 0.3: pass
print(time.monotonic() - wall)";
    let elapsed = |cpus: f64| -> f64 {
        let session = kit.session("worker", json!({ "cpu_limit": cpus })).unwrap();
        let said = printed(&session, code);
        session.close().unwrap();
        said.trim().parse().unwrap()
    };
    let tenth = elapsed(0.1);
    // The quickest of three: a busy machine may take its time once.
    let whole = elapsed(1.0).min(elapsed(1.0)).min(elapsed(1.0));
    assert!(
        tenth > 2.0,
        "{tenth} s for 0.3 s of work on a tenth of a processor"
    );
    assert!(whole < tenth, "{whole} s on a whole one");
}

#[test]
fn open_files_are_counted() {
    let code = "fs = []\ntry:\n    for _ in range(200): fs.append(open('/dev/null'))\n    print('all')\nexcept OSError as e: print(e.errno)";
    with_limits(
        &json!({"open_files": 100}),
        &json!({"open_files": 300}),
        |session, is_low| {
            assert_eq!(
                printed(session, code),
                if is_low { "24\n" } else { "all\n" }
            );
        },
    );
}
