//! Real sandboxes, real attempts to leave them. Needs bubblewrap and writable control groups, so root on most machines.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sandbox_isolation::{
    Limits, Machine, Mode, Mount, Policy, Sandbox, Signal, Size, Space, Stdio3, Workspace,
    descendants,
};
use tokio::io::AsyncReadExt as _;

const LIMIT: Duration = Duration::from_secs(20);

struct Ended {
    output: String,
    code: Option<i32>,
}

async fn start(machine: &Machine, policy: &Policy, script: &str) -> Sandbox {
    let mut program = machine.prepare().unwrap();
    program.argv = ["/bin/bash", "-c", script].map(Into::into).into();
    program.env = vec![
        ("PATH".into(), "/usr/bin:/bin".into()),
        ("HOME".into(), sandbox_isolation::HOME.into()),
    ];
    let streams = Stdio3 {
        stdin: Stdio::null(),
        stdout: Stdio::piped(),
        stderr: Stdio::piped(),
    };
    machine.launch(policy, program, streams).await.unwrap()
}

async fn run(policy: &Policy, script: &str) -> Ended {
    let machine = Machine::probe(policy).await.unwrap();
    let mut sandbox = start(&machine, policy, &format!("exec 2>&1; {script}")).await;
    let mut bytes = Vec::new();
    let mut stdout = sandbox.take_stdout().unwrap();
    tokio::time::timeout(LIMIT, stdout.read_to_end(&mut bytes))
        .await
        .expect("the program did not end")
        .unwrap();
    let code = sandbox.wait().await.unwrap().code();
    sandbox.kill().await.unwrap();
    Ended {
        output: String::from_utf8_lossy(&bytes).into_owned(),
        code,
    }
}

/// Waits for the first line that the program prints.
async fn line(sandbox: &mut Sandbox) -> String {
    let mut stdout = sandbox.take_stdout().unwrap();
    let mut text = String::new();
    while !text.ends_with('\n') {
        let byte = tokio::time::timeout(LIMIT, stdout.read_u8())
            .await
            .expect("no line in time")
            .unwrap();
        text.push(char::from(byte));
    }
    text.trim_end().to_owned()
}

fn eventually(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LIMIT, "never happened: {what}");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn programs_are_nobody_without_rights() {
    let ended = run(
        &Policy::default(),
        "id -u; id -un; grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs)' /proc/self/status",
    )
    .await;
    let lines: Vec<&str> = ended.output.lines().collect();
    assert_eq!(lines[..2], ["1000", "sandbox"], "{}", ended.output);
    for capability in &lines[2..5] {
        assert!(capability.ends_with("\t0000000000000000"), "{capability}");
    }
    assert_eq!(lines[5], "NoNewPrivs:\t1");
}

#[tokio::test]
async fn the_machines_files_are_out_of_reach() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&secret, "host secret").unwrap();
    let script = format!(
        "cat {} /etc/shadow /root/.bashrc /proc/1/root{0} 2>&1 | grep -c -i secret
         for file in /usr/x /etc/x /x /dev/x /run/sandbox/x /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do
             (echo x >$file) 2>/dev/null && echo wrote $file; done
         (umount /proc || mount -t tmpfs x /mnt || unshare -Ur true) 2>/dev/null && echo gained rights; true",
        secret.path().display()
    );
    let ended = run(&Policy::default(), &script).await;
    assert_eq!(ended.output, "0\n");
}

#[tokio::test]
async fn mounts_show_only_what_was_named() {
    let shared = tempfile::tempdir().unwrap();
    std::fs::write(shared.path().join("a"), "shared").unwrap();
    let mount = Mount {
        source: shared.path().into(),
        target: Some("/data".into()),
        writable: false,
    };
    // The folder must be open to the user that the sandbox runs as.
    std::fs::set_permissions(
        shared.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let policy = Policy {
        mounts: vec![mount],
        ..Policy::default()
    };
    let ended = run(&policy, "cat /data/a; echo x >/data/b || true").await;
    assert!(
        ended.output.starts_with("shared") && ended.output.contains("Read-only"),
        "{}",
        ended.output
    );
}

#[tokio::test]
async fn the_network_is_there_only_when_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script =
        format!("(echo >/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo reached || echo alone");
    assert_eq!(run(&Policy::default(), &script).await.output, "alone\n");
    let policy = Policy {
        network: true,
        ..Policy::default()
    };
    assert_eq!(run(&policy, &script).await.output, "reached\n");
}

#[tokio::test]
async fn a_fork_bomb_is_held_and_ended() {
    let policy = Policy {
        limits: Limits {
            processes: 32,
            ..Limits::default()
        },
        ..Policy::default()
    };
    let machine = Machine::probe(&policy).await.unwrap();
    let mut sandbox = start(
        &machine,
        &policy,
        "echo lit; bomb() { bomb | bomb & }; (bomb; sleep 60) 2>/dev/null & wait; sleep 60",
    )
    .await;
    assert_eq!(line(&mut sandbox).await, "lit");
    eventually("the bomb fills its limit", || {
        sandbox.tree().processes().len() > 20
    });
    assert!(sandbox.tree().processes().len() <= 32);
    sandbox.tree().kill_each(|| {
        sandbox
            .tree()
            .processes()
            .iter()
            .map(|process| process.pid)
            .collect()
    });
    // The program itself, which was spared, goes on to its `sleep`.
    eventually("the bomb is out", || sandbox.tree().processes().len() <= 1);
    sandbox.kill().await.unwrap();
}

#[tokio::test]
async fn memory_of_the_whole_tree_is_limited() {
    let policy = Policy {
        limits: Limits {
            memory: Size::mib(64),
            ..Limits::default()
        },
        ..Policy::default()
    };
    let machine = Machine::probe(&policy).await.unwrap();
    // Each `tail` holds 30 MiB and waits for a reader: none alone is over the limit, together they are.
    let script =
        "for i in 1 2 3 4; do (head -c 30m /dev/zero | tail -c 30m | sleep 60) & done; wait";
    let sandbox = start(&machine, &policy, script).await;
    eventually("the kernel steps in", || {
        sandbox.usage().out_of_memory_kills > Some(0)
    });
    assert!(sandbox.usage().peak_memory <= Some(64 << 20));
    sandbox.kill().await.unwrap();
}

#[tokio::test]
async fn temporary_space_and_files_are_limited() {
    let limits = Limits {
        tmp_size: Size::mib(2),
        file_size: Size::mib(1),
        ..Limits::default()
    };
    let policy = Policy {
        limits,
        ..Policy::default()
    };
    let script = "for dir in /tmp ~ /dev/shm /run; do for i in 1 2 3; do head -c 1000000 /dev/zero >$dir/$i || echo full; done; done
        rm /tmp/*; head -c 1500000 /dev/zero >/tmp/large; echo $?; stat -c %s /tmp/large";
    let ended = run(&policy, script).await;
    assert_eq!(
        ended.output.matches("full\n").count(),
        4,
        "{}",
        ended.output
    );
    // 153: ended by the signal for files that grow too large.
    assert!(ended.output.ends_with("153\n1048576\n"), "{}", ended.output);
}

#[tokio::test]
async fn exit_codes_come_through() {
    assert_eq!(run(&Policy::default(), "exit 7").await.code, Some(7));
}

/// Starts a tree with a child that left its session and its parent, and says where to look for what is left of it.
async fn stubborn_tree(machine: &Machine, policy: &Policy) -> (Sandbox, Vec<i32>) {
    let script = "trap '' TERM INT HUP; setsid -f sleep 3600; (sleep 3600 & disown); sleep 3600 & echo up; wait";
    let mut sandbox = start(machine, policy, script).await;
    assert_eq!(line(&mut sandbox).await, "up");
    let mut pids: Vec<i32> = sandbox
        .tree()
        .processes()
        .iter()
        .map(|process| process.pid)
        .collect();
    pids.extend(sandbox.tree().program_pid());
    assert!(pids.len() >= 4, "{pids:?}");
    (sandbox, pids)
}

fn alive(pid: i32) -> bool {
    sandbox_isolation::start_time(pid).is_some()
}

#[tokio::test]
async fn killing_leaves_nothing() {
    for mode in [Mode::On, Mode::Off] {
        let policy = Policy {
            mode,
            ..Policy::default()
        };
        let machine = Machine::probe(&policy).await.unwrap();
        let (sandbox, pids) = stubborn_tree(&machine, &policy).await;
        let folder = sandbox.folder().to_owned();
        sandbox.kill().await.unwrap();
        eventually("the processes are gone", || {
            !pids.iter().any(|pid| alive(*pid))
        });
        assert!(!folder.exists());
        assert!(
            !groups_of(std::process::id())
                .iter()
                .any(|group| holds(group, &pids))
        );
    }
}

#[tokio::test]
async fn dropping_leaves_nothing() {
    let policy = Policy::default();
    let machine = Machine::probe(&policy).await.unwrap();
    let (sandbox, pids) = stubborn_tree(&machine, &policy).await;
    let folder = sandbox.folder().to_owned();
    drop(sandbox);
    eventually("the processes are gone", || {
        !pids.iter().any(|pid| alive(*pid))
    });
    assert!(!folder.exists());
    drop(machine);
    assert!(!folder.parent().unwrap().exists());
}

#[tokio::test]
async fn another_tree_cannot_be_signalled() {
    let policy = Policy::default();
    let machine = Machine::probe(&policy).await.unwrap();
    let (mine, _) = stubborn_tree(&machine, &policy).await;
    let (other, pids) = stubborn_tree(&machine, &policy).await;
    for pid in &pids {
        mine.tree().signal(*pid, Signal::KILL);
    }
    assert!(pids.iter().all(|pid| alive(*pid)));
    let ended = run(&policy, "kill -9 -1; kill -9 0; true").await;
    assert_eq!(ended.code, Some(137));
    assert!(
        pids.iter().all(|pid| alive(*pid)),
        "a program reached another tree"
    );
    mine.kill().await.unwrap();
    other.kill().await.unwrap();
}

// What follows runs this binary again as a server of its own, told apart by the environment.

const ROLE: &str = "ISOLATION_TEST_ROLE";

fn again(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    as_role(&mut command, role);
    command
}

fn as_role(command: &mut Command, role: &str) {
    command.args([
        "--exact",
        "role",
        "--include-ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
}

fn output(mut command: Command) -> String {
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
#[ignore = "run by the other tests, in a process of its own"]
async fn role() {
    let role = std::env::var(ROLE).unwrap_or_default();
    let policy = Policy {
        mode: if role == "best effort" {
            Mode::BestEffort
        } else {
            Mode::On
        },
        ..Policy::default()
    };
    let mut machine = match Machine::probe(&policy).await {
        Ok(machine) => machine,
        Err(error) => return say(&error.to_string()),
    };
    if role == "signalled" {
        let ended = run(
            &policy,
            "echo; for name in INT QUIT HUP; do sh -c \"kill -$name \\$\\$\"; echo $?; done",
        );
        return say(&ended.await.output);
    }
    machine.probe_workspaces(&policy, SPACE, &[]).await.unwrap();
    if role == "serve" {
        let (sandbox, _) = stubborn_tree(&machine, &policy).await;
        say(&format!("serving {}", sandbox.folder().display()));
        std::future::pending::<()>().await;
    }
    for missing in machine.missing() {
        say(&format!("without {missing}"));
    }
    let mut sandbox = start(
        &machine,
        &policy,
        "echo \"user $(id -un) in $PWD\"; ulimit -u",
    )
    .await;
    say(&line(&mut sandbox).await);
    sandbox.kill().await.unwrap();
    let workspace = machine.workspace(SPACE, &[]).await.unwrap();
    let made = in_workspace(
        &machine,
        &policy,
        &workspace,
        "echo >file; stat -f -c 'room %b' .",
    )
    .await;
    say(&made);
}

/// The size of the workspaces here, which is 16 pages.
const SPACE: Space = Space {
    size: Size(64 << 10),
    files: 16,
};

/// Runs a script in a workspace and gives the first line that it prints.
async fn in_workspace(
    machine: &Machine,
    policy: &Policy,
    workspace: &Workspace,
    script: &str,
) -> String {
    let mut program = workspace.prepare(machine).unwrap();
    program.argv = ["/bin/bash", "-c", script].map(Into::into).into();
    program.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    let streams = Stdio3 {
        stdin: Stdio::null(),
        stdout: Stdio::piped(),
        stderr: Stdio::inherit(),
    };
    let mut sandbox = machine.launch(policy, program, streams).await.unwrap();
    let said = line(&mut sandbox).await;
    sandbox.kill().await.unwrap();
    said
}

#[tokio::test]
async fn a_workspace_lasts_from_program_to_program_and_no_longer() {
    let policy = Policy::default();
    let mut machine = Machine::probe(&policy).await.unwrap();
    machine.probe_workspaces(&policy, SPACE, &[]).await.unwrap();
    let workspace = machine.workspace(SPACE, &[]).await.unwrap();
    let first =
        "echo kept >file; head -c 1m /dev/zero >large 2>/dev/null || stat -f -c 'full: %a' .";
    assert_eq!(
        in_workspace(&machine, &policy, &workspace, first).await,
        "full: 0"
    );
    let second = "rm large; cat file";
    assert_eq!(
        in_workspace(&machine, &policy, &workspace, second).await,
        "kept"
    );
    // Nobody else sees it, and it is gone with its owner.
    let other = machine.workspace(SPACE, &[]).await.unwrap();
    assert_eq!(
        in_workspace(&machine, &policy, &other, "ls -A | wc -l").await,
        "0"
    );
    assert!(workspace.is_alive());
    let me = i32::try_from(std::process::id()).unwrap();
    let keepers = || {
        descendants(me)
            .iter()
            .filter(|process| process.parent == me && is_keeper(**process))
            .count()
    };
    let before = keepers();
    drop(other);
    workspace.close().await.unwrap();
    eventually("the keepers are gone", || keepers() + 2 <= before);
}

/// A keeper waits as `cat` where a filesystem called `sandbox` is mounted.
fn is_keeper(process: sandbox_isolation::Process) -> bool {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", process.pid));
    read("comm").is_ok_and(|name| name == "cat\n")
        && read("mounts").is_ok_and(|mounts| mounts.contains("\nsandbox /"))
}

#[expect(
    clippy::print_stdout,
    reason = "the way in which a role answers the test that started it"
)]
fn say(text: &str) {
    println!("{text}");
}

/// The control groups that a server made, by their names.
fn groups_of(server: u32) -> Vec<std::path::PathBuf> {
    let mark = format!("sandbox-tree-{server}-");
    let found = Command::new("find")
        .args(["/sys/fs/cgroup", "-name", &format!("{mark}*")])
        .output()
        .unwrap();
    String::from_utf8_lossy(&found.stdout)
        .lines()
        .map(Into::into)
        .collect()
}

fn holds(group: &Path, pids: &[i32]) -> bool {
    let listed = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    listed
        .lines()
        .any(|pid| pids.iter().any(|known| known.to_string() == pid))
}

#[test]
fn a_killed_server_leaves_no_process_or_group_and_the_next_sweeps_the_rest() {
    let base = tempfile::tempdir().unwrap();
    std::fs::set_permissions(
        base.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o711),
    )
    .unwrap();
    let mut server = again("serve")
        .env("SANDBOX_RUNTIME_DIR", base.path())
        .spawn()
        .unwrap();
    let pid = i32::try_from(server.id()).unwrap();
    let mut text = String::new();
    let mut stdout = server.stdout.take().unwrap();
    while !text.contains("serving /") || !text.ends_with('\n') {
        let mut byte = [0];
        assert_eq!(
            stdout.read(&mut byte).unwrap(),
            1,
            "the server ended: {text}"
        );
        text.push(char::from(byte[0]));
    }
    let tree: Vec<i32> = descendants(pid).iter().map(|process| process.pid).collect();
    assert!(tree.len() >= 5, "{tree:?}");
    server.kill().unwrap();
    server.wait().unwrap();
    eventually("the kernel ends the tree", || {
        !tree.iter().any(|pid| alive(*pid))
    });
    assert_eq!(
        std::fs::read_dir(base.path()).unwrap().count(),
        1,
        "a killed server cannot tidy up"
    );
    eventually("its groups are swept", || groups_of(server.id()).is_empty());
    let mut next = again("none");
    next.env("SANDBOX_RUNTIME_DIR", base.path());
    assert!(output(next).contains("user sandbox in /"));
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
}

#[test]
fn a_machine_without_bubblewrap_is_refused_with_the_remedy() {
    let mut without = again("none");
    without.env("PATH", "/nowhere");
    let text = output(without);
    assert!(
        text.contains("bwrap is not installed (apt-get install bubblewrap)"),
        "{text}"
    );
    assert!(text.contains("best_effort"), "{text}");
}

#[test]
fn signals_that_the_server_ignores_reach_its_programs() {
    let mut ignoring = Command::new("sh");
    ignoring
        .args(["-c", "trap '' INT QUIT HUP; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap());
    as_role(&mut ignoring, "signalled");
    let text = output(ignoring);
    let codes: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(codes, [130, 131, 129], "{text}");
}

#[test]
fn an_ordinary_user_gets_what_the_machine_can_give() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let base = tempfile::tempdir().unwrap();
    std::fs::set_permissions(
        base.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    // A copy that this user can read, wherever the build keeps its own.
    let copy = base.path().join("server");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let answer = |role: &str| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=4711", "--regid=4711", "--clear-groups"])
            .arg(&copy);
        as_role(&mut command, role);
        command.env("TMPDIR", base.path());
        output(command)
    };
    let strict = answer("none");
    if strict.contains("user sandbox in /") {
        return; // Control groups are delegated to everybody here.
    }
    assert!(
        strict.contains("limits on the whole tree of processes (control groups)"),
        "{strict}"
    );
    assert!(!strict.contains("namespace:"), "{strict}");
    let best = answer("best effort");
    assert!(best.contains("without limits on the whole tree"), "{best}");
    assert!(best.contains("user sandbox in /"), "{best}");
    assert!(best.contains("room 16"), "{best}");
}
