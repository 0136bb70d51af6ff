//! Attempts to get out. Each is a program that prints `escaped` when it did and `held` when it did not; each is run without a
//! sandbox too, where it must succeed, so that a test that cannot fail does not pass for a wall.
//!
//! Every attempt aims at something that the test owns: a file, a listener, a process.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Child, Command};

use serde_json::{Value, json};

use super::{Session, backend, eventually, in_session, printed, python};

/// What the attempts share: `attempt` prints what became of a function.
const PRELUDE: &str = "
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def attempt(function):
    try: result = function()
    except Exception as error: print('held', repr(error))
    else: print('held' if result is False else 'escaped', repr(result))
";

fn outcome(session: &Session<'_>, code: &str) -> String {
    printed(session, &format!("{PRELUDE}{code}"))
}

/// Runs attempts inside, where all of them must be held, and outside, where all must get what they want.
fn try_to(attempts: &[String]) {
    for (sandbox, expected) in [("off", "escaped"), ("on", "held")] {
        in_session(json!({ "sandbox": sandbox }), |session| {
            for code in attempts {
                let said = outcome(session, code);
                assert!(!said.is_empty(), "{code} said nothing");
                for line in said.lines() {
                    assert!(
                        line.starts_with(expected),
                        "sandbox {sandbox}: {code}\n{line}"
                    );
                }
            }
        });
    }
}

/// A process that stands for somebody else's.
struct Victim(Child);

impl Victim {
    fn new() -> Self {
        Self(
            Command::new("sleep")
                .arg("3600")
                .env("VICTIM_SECRET", "hush")
                .spawn()
                .unwrap(),
        )
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file that only isolation keeps from programs: its mode and its folder's let everybody at it.
fn secret_in(folder: &Path) -> String {
    let file = folder.join("secret");
    std::fs::write(&file, "hush").unwrap();
    for (path, mode) in [(&*file, 0o666), (folder, 0o777)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    file.to_string_lossy().into_owned()
}

#[test]
fn the_machines_files_are_out_of_reach() {
    let folder = tempfile::tempdir().unwrap();
    let secret = secret_in(folder.path());
    let victim = Victim::new();
    let server = std::process::id();
    let mut attempts: Vec<String> = [
        secret.clone(),
        format!("/proc/{}/root{secret}", victim.pid()),
        format!("/proc/{server}/root{secret}"),
        format!("/proc/{server}/cwd/Cargo.toml"),
    ]
    .map(|path| format!("attempt(lambda: open({path:?}).read())"))
    .into();
    attempts.push(format!(
        "attempt(lambda: b'VICTIM_SECRET=hush' in open('/proc/{}/environ','rb').read())",
        victim.pid()
    ));
    attempts.push(format!(
        "attempt(lambda: open('/proc/{server}/environ','rb').read())"
    ));
    attempts.push(format!(
        "os.symlink({secret:?}, 'link'); attempt(lambda: open('link').read())"
    ));
    attempts.push(format!(
        "attempt(lambda: os.link({secret:?}, {:?}))",
        folder.path().join("hard").display().to_string()
    ));
    attempts.push(format!(
        "attempt(lambda: open('{}/new', 'w').close())",
        folder.path().display()
    ));
    attempts.push(format!(
        "attempt(lambda: open('..{}/new', 'w').close())",
        "/..".repeat(12) + &folder.path().display().to_string()
    ));
    try_to(&attempts);
    // What needs no control: it must not be tried without a sandbox.
    in_session(json!({}), |session| {
        for path in [
            "/etc/shadow",
            "/root/.bashrc",
            "/proc/kcore",
            "/dev/mem",
            "/proc/1/environ.x",
        ] {
            assert!(
                outcome(
                    session,
                    &format!("attempt(lambda: open('{path}','rb').read(1))")
                )
                .starts_with("held"),
                "{path}"
            );
        }
        for path in [
            "/usr/x",
            "/etc/x",
            "/x",
            "/dev/x",
            "/run/sandbox/x",
            "/proc/sys/kernel/core_pattern",
            "/proc/sysrq-trigger",
            "/sys/x",
        ] {
            assert!(
                outcome(
                    session,
                    &format!("attempt(lambda: open('{path}','w').write('x'))")
                )
                .starts_with("held"),
                "{path}"
            );
        }
    });
}

#[test]
fn the_servers_secrets_are_not_in_a_programs_environment() {
    // `CARGO` stands for what the server's environment holds.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    in_session(json!({}), |session| {
        let code = "import glob, os
print('CARGO' in ''.join(os.environ))
for path in glob.glob('/proc/[0-9]*/environ'):
    try: print(b'CARGO' in open(path, 'rb').read())
    except OSError: print('False')";
        let said = printed(session, code);
        assert!(
            said.lines().count() >= 2 && said.lines().all(|line| line == "False"),
            "{said}"
        );
    });
}

#[test]
fn the_network_is_out_of_reach() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let name = format!("code-test-{}", std::process::id());
    let _abstract =
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _named = UnixListener::bind(&path).unwrap();
    let unix = "attempt(lambda: socket.socket(socket.AF_UNIX).connect";
    let attempts = [
        format!("attempt(lambda: socket.create_connection(('127.0.0.1', {port}), 5))"),
        format!("{unix}('\\0{name}'))"),
        format!("{unix}({:?}))", path.display().to_string()),
        // Links to others than its own loopback.
        "attempt(lambda: any(name != 'lo' for _, name in socket.if_nameindex()))".to_owned(),
        // Raw packets, and the host of a virtual machine.
        "attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))".to_owned(),
    ];
    try_to(&attempts);
    in_session(json!({}), |session| {
        let said = outcome(
            session,
            "attempt(lambda: socket.socket(40, socket.SOCK_STREAM))",
        );
        assert!(said.contains("PermissionError"), "{said}");
    });
    // With the operator's leave a session may ask for it.
    let kit = backend(json!({"allow_network": true}));
    for (network, expected) in [(true, "escaped"), (false, "held")] {
        let session = kit
            .session("worker", json!({ "network": network }))
            .unwrap();
        assert!(outcome(&session, &attempts[0]).starts_with(expected));
        session.close().unwrap();
    }
}

#[test]
fn other_processes_are_out_of_reach() {
    let victim = Victim::new();
    let pid = victim.pid();
    try_to(&[
        format!("attempt(lambda: os.kill({pid}, 0))"),
        format!("attempt(lambda: call(434, {pid}, 0))"), // pidfd_open
        // PTRACE_SEIZE, and DETACH by the program's end.
        format!("attempt(lambda: call(101, 0x4206, {pid}, 0, 0))"),
        format!("attempt(lambda: open('/proc/{pid}/mem', 'rb'))"),
        format!("attempt(lambda: os.listdir('/proc/{pid}'))"),
        format!("attempt(lambda: os.sched_setaffinity({pid}, os.sched_getaffinity(0)))"),
    ]);
    // Whoever can be signalled is inside.
    let kit = backend(json!({}));
    let (one, other) = (
        kit.session("one", json!({})).unwrap(),
        kit.session("other", json!({})).unwrap(),
    );
    let call = one.begin(
        "code:execute",
        &json!({"code": "open('f','w').write('x')\nimport time; time.sleep(2); print('lives')"}),
        None,
    );
    let killed = other.call("code:execute", json!({"code": "import os; os.kill(-1, 9)"}));
    assert!(killed.is_ok() || killed.unwrap_err().code == 2001);
    let lived =
        sandbox_plugin_api::testkit::success(&sandbox_plugin_api::testkit::wait(call)).unwrap();
    assert_eq!(lived.data["stdout"], "lives\n");
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    one.close().unwrap();
    other.close().unwrap();
}

#[test]
fn the_kernel_gives_nothing_that_leads_out() {
    if !rustix::process::geteuid().is_root() {
        return; // An ordinary user may do none of it without a sandbox either.
    }
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().display();
    try_to(&[
        // unshare, and mount where it can do no harm.
        format!("attempt(lambda: call(272, 0x00020000) or call(165, b'none', b'/', 0, 0x44000, 0) or call(165, b'x', b'{target}', b'tmpfs', 0, 0))"),
        "attempt(lambda: call(272, 0x10000000))".to_owned(), // a user namespace
        // clone with a user namespace: the child ends at once.
        "def child():\n    pid = call(56, 0x10000000 | 17, 0, 0, 0, 0)\n    if pid == 0: os._exit(0)\n    os.waitpid(pid, 0)\nattempt(child)".to_owned(),
        "attempt(lambda: os.chroot('/'))".to_owned(),
        "attempt(lambda: call(250, 0, -3, 1) > 0)".to_owned(), // keyctl: the session's keyring
        "attempt(lambda: call(248, b'user', b'code-test', b'x', 1, -1) > 0)".to_owned(), // add_key, to the thread's own
        "attempt(lambda: call(428, -100, b'/', 1) >= 0)".to_owned(), // open_tree
        "attempt(lambda: call(430, b'tmpfs', 0) >= 0)".to_owned(), // fsopen
        "attempt(lambda: call(103, 10, 0, 0) >= 0)".to_owned(), // syslog
        "attempt(lambda: os.mknod('device', 0o020666, os.makedev(1, 3)) or open('device', 'rb').read())".to_owned(),
    ]);
    in_session(json!({}), |session| {
        // Calls that a filter cannot see into do not exist.
        for number in [425, 435, 0x4000_0000 + 39] {
            let said = outcome(session, &format!("attempt(lambda: call({number}, 0, 0))"));
            assert!(said.contains("OSError(38"), "{number}: {said}");
        }
        let said = printed(
            session,
            "print(*[line for line in open('/proc/self/status') if line.startswith(('CapEff','CapBnd','NoNewPrivs','Seccomp:'))])",
        );
        let words: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(
            words,
            [
                "CapEff:",
                "0000000000000000",
                "CapBnd:",
                "0000000000000000",
                "NoNewPrivs:",
                "1",
                "Seccomp:",
                "2"
            ]
        );
    });
}

#[test]
fn sessions_do_not_see_each_others_files() {
    for (sandbox, found) in [("on", "False\n"), ("off", "True\n")] {
        let kit = backend(json!({ "sandbox": sandbox }));
        let (one, other) = (
            kit.session("one", json!({})).unwrap(),
            kit.session("other", json!({})).unwrap(),
        );
        python(&one, "open('unheard-of-name', 'w').write('x')");
        let code = "import os
roots = ['/tmp', '/workspace', '/home', '/run', '/dev/shm', os.environ.get('TMPDIR', '/tmp'), os.getcwd() + '/../..'] + [f'/proc/{p}/root/tmp' for p in os.listdir('/proc') if p.isdigit()][-1:]
print(any('unheard-of-name' in files for root in roots for _, _, files in os.walk(root)))";
        assert_eq!(printed(&other, code), found, "sandbox {sandbox}");
        one.close().unwrap();
        other.close().unwrap();
    }
}

/// Makes everything that could mislead a tool that reads and writes files.
const TRAPS: &str = "import os
os.symlink('/etc/passwd', 'absolute'); os.symlink('../' * 20 + 'etc/passwd', 'up'); os.symlink('/', 'root'); os.symlink('..', 'parent')
os.symlink('loop', 'loop'); os.symlink('inside.txt', 'good'); open('inside.txt', 'w').write('inside'); os.makedirs('deep/er')
os.symlink('../inside.txt', 'deep/good'); os.link('inside.txt', 'hard'); os.symlink('/proc/self/root/etc/passwd', 'magic')
os.mkfifo('pipe'); os.symlink('/workspace/inside.txt', 'own')
import socket; socket.socket(socket.AF_UNIX).bind('socket')
try: os.mknod('device', 0o020666, os.makedev(1, 5))
except OSError: pass
os.symlink('/dev/zero', 'zero'); os.mkdir('closed', 0)";

#[test]
fn no_path_leads_the_tools_out() {
    // What nobody but these calls would make.
    let stray = format!("stray-{}", std::process::id());
    let strays = ["parent", "root/tmp", "..", "deep/../.."].map(|path| format!("{path}/{stray}"));
    let strays = strays.each_ref().map(String::as_str);
    in_session(json!({}), |session| {
        python(session, TRAPS);
        let outside = [
            "absolute",
            "up",
            "root/etc/passwd",
            "magic",
            "zero",
            "own",
            "/etc/passwd",
            "/workspace/../etc/passwd",
        ];
        let odd = [
            "pipe",
            "socket",
            "loop",
            "deep",
            "",
            "inside.txt/x",
            "pipe/x",
        ];
        let calls = |path: &str| {
            [
                ("code:read", json!({"file_path": path})),
                ("code:write", json!({"file_path": path, "content": "x"})),
                (
                    "code:edit",
                    json!({"file_path": path, "old_string": "root", "new_string": "x"}),
                ),
            ]
        };
        for (paths, code) in [(&outside[..], 1006), (&strays, 1006), (&odd, 1002)] {
            for path in paths {
                for (tool, params) in calls(path) {
                    let failure = session.call(tool, params).unwrap_err();
                    assert_eq!(failure.code, code, "{tool} {path}: {failure:?}");
                    assert_eq!(failure.data["pointer"], "/file_path");
                }
            }
        }
        for path in ["root", "parent", "root/etc", "..", "/etc"] {
            for (tool, params) in [
                ("code:glob", json!({"pattern": "**", "path": path})),
                ("code:grep", json!({"pattern": ".", "path": path})),
            ] {
                let failure = session.call(tool, params).unwrap_err();
                assert_eq!(failure.code, 1006, "{tool} {path}: {failure:?}");
            }
        }
        for path in strays.into_iter().chain(["absolute"]) {
            let failure = session
                .call("code:execute", json!({"code": "1", "files": {path: "x"}}))
                .unwrap_err();
            assert_eq!(failure.code, 1006, "{path}: {failure:?}");
        }
        // What stays within is followed, and a walk goes past everything else.
        for path in ["good", "deep/good", "hard", "deep/../good"] {
            assert_eq!(
                session
                    .call("code:read", json!({ "file_path": path }))
                    .unwrap()["content"],
                "inside"
            );
        }
        let found = session.call("code:glob", json!({"pattern": "**"})).unwrap();
        let mut names: Vec<Value> = found["files"].as_array().unwrap().clone();
        names.sort_by_key(Value::to_string);
        assert_eq!(names, ["hard", "inside.txt"]);
        let found = session.call("code:grep", json!({"pattern": "."})).unwrap();
        assert_eq!(found["matches"].as_array().unwrap().len(), 2);
        // Nor is a picture a way to look at something else.
        let ran = python(
            session,
            "import os; os.symlink('/usr/share/pixmaps/debian-logo.png', 'a.png'); os.mkfifo('b.png')",
        );
        assert_eq!((&ran["images"], &ran["files"]), (&json!([]), &json!([])));
    });
    for folder in ["/", "/tmp"] {
        assert!(!Path::new(folder).join(&stray).exists());
    }
}

#[test]
fn a_link_that_changes_under_the_tools_leads_nowhere() {
    in_session(json!({}), |session| {
        python(session, "open('inside', 'w').write('inside')");
        // A program that makes `flip` a folder, a link out and a link in, as fast as it can.
        let code = "import os
os.makedirs('folder', exist_ok=True); open('folder/passwd', 'w').write('inside')
open('ready', 'w').close()
while not os.path.exists('stop'):
    for target in ('/etc', 'folder', '../../../../etc'):
        os.symlink(target, 'new'); os.rename('new', 'flip')";
        // It ends when it is told to.
        let params = json!({"code": code, "timeout": 600});
        let call = session.begin("code:execute", &params, None);
        eventually("it runs", || {
            session
                .call("code:read", json!({"file_path": "ready"}))
                .is_ok()
        });
        let mut seen = (0, 0);
        while seen.0 + seen.1 < 300 || seen.0 == 0 || seen.1 == 0 {
            assert!(
                seen.0 + seen.1 < 10_000,
                "the race did not take place: {seen:?}"
            );
            match session.call("code:read", json!({"file_path": "flip/passwd"})) {
                Ok(read) => {
                    assert_eq!(read["content"], "inside", "a tool was led out");
                    seen.0 += 1;
                }
                Err(failure) => {
                    assert!([1006, 1002].contains(&failure.code), "{failure:?}");
                    seen.1 += 1;
                }
            }
            let found = session
                .call("code:grep", json!({"pattern": "root:", "path": "."}))
                .unwrap();
            assert_eq!(found["matches"], json!([]));
        }
        let stop = json!({"file_path": "stop", "content": ""});
        session.call("code:write", stop).unwrap();
        sandbox_plugin_api::testkit::success(&sandbox_plugin_api::testkit::wait(call)).unwrap();
    });
}
