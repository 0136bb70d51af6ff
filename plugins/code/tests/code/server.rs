//! The backend in the real server: what a worker sees, what is left when a session, or the server, ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{LIMIT, eventually, processes_with, sooner_or_later};

/// The folder with the server and the plugin, built with the profile of these tests.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().to_owned();
    let profile = match folder.file_name().unwrap().to_str() {
        Some("debug") => "dev",
        other => other.unwrap(),
    };
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--profile",
            profile,
            "-p",
            "sandbox",
            "-p",
            "code",
            "--target-dir",
        ])
        .arg(folder.parent().unwrap())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .status()
        .unwrap();
    assert!(built.success());
    folder
});

struct Server {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        let text = json!({
            "server": {"port": 0},
            "resources": {"code": {"backend_class": PROGRAMS.join("libcode.so")}},
            "warmup": {"resources": ["code"]},
        });
        std::fs::write(&config, text.to_string()).unwrap();
        let mut child = Command::new(PROGRAMS.join("sandbox"))
            .args(["serve", "--log-format", "json", "--config"])
            .arg(&config)
            .env_remove("SANDBOX_INSTANCE")
            .env_remove("SANDBOX_RUNTIME_DIR")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .find_map(|entry| Some(entry["url"].as_str()?.strip_prefix("http://")?.to_owned()))
            .expect("the server says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    /// Posts a request and gives the answer.
    fn post(&self, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let body = body.to_string();
        write!(
            stream,
            "POST /api/v1/{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
    }

    fn execute(&self, worker: &str, action: &str, params: &Value) -> Value {
        self.post(
            "execute",
            &json!({"worker_id": worker, "action": action, "params": params}),
        )
    }

    fn session(&self, worker: &str) {
        let made = self.post(
            "session/create",
            &json!({"worker_id": worker, "resource_type": "code"}),
        );
        assert_eq!(made["code"], 0, "{made}");
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// What of this server is still on the machine: processes that carry its name, folders and control groups.
    fn traces(&self) -> Vec<String> {
        let mark = format!("SANDBOX_INSTANCE={}-", self.pid());
        let processes = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|entry| {
                std::fs::read(entry.path().join("environ")).is_ok_and(|environment| {
                    environment
                        .split(|byte| *byte == 0)
                        .any(|entry| entry.starts_with(mark.as_bytes()))
                })
            });
        let mut found: Vec<String> = processes
            .map(|entry| entry.path().display().to_string())
            .collect();
        // Only where they would be: the temporary folder is everybody's.
        let temporary = std::env::temp_dir();
        let user = rustix::process::getuid().as_raw();
        let servers = temporary.join(format!("sandbox-{user}"));
        let (server, trees) = (
            format!("{}-*", self.pid()),
            format!("sandbox-tree-{}-*", self.pid()),
        );
        for (folder, depth, names) in [
            (Path::new("/sys/fs/cgroup"), "6", &trees),
            (&temporary, "1", &trees),
            (&servers, "3", &trees),
            (&servers, "1", &server),
        ] {
            let output = Command::new("find")
                .arg(folder)
                .args(["-maxdepth", depth, "-name", names])
                .output()
                .unwrap();
            found.extend(
                String::from_utf8_lossy(&output.stdout)
                    .lines()
                    .map(str::to_owned),
            );
        }
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The keepers of the workspaces that this server has.
fn keepers(server: &Server) -> Vec<i32> {
    let mark = format!("sandbox-tree-{}-", server.pid());
    let mut keepers: Vec<i32> = processes_with("sandbox-keeper")
        .into_iter()
        .chain(processes_with("cat"))
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/mounts"))
                .is_ok_and(|mounts| mounts.contains(&mark))
        })
        .collect();
    // On its way from the one to the other, it has both names.
    keepers.sort_unstable();
    keepers.dedup();
    keepers
}

/// The keeper of the only workspace that this server has. In the middle of becoming `cat` it shows no name at all.
fn keeper(server: &Server) -> i32 {
    sooner_or_later("one session has one keeper", || {
        let [keeper] = keepers(server)[..] else {
            return None;
        };
        Some(keeper)
    })
}

#[test]
fn a_worker_works_and_leaves_nothing() {
    let server = Server::start();
    server.session("w");
    let ran = server.execute("w", "code:execute", &json!({"code": "open('f', 'w').write('kept')\nimport subprocess; subprocess.Popen(['setsid', '-f', 'sleep', '4001.25'])"}));
    assert_eq!(
        (&ran["code"], &ran["data"]["exit_code"]),
        (&json!(0), &json!(0)),
        "{ran}"
    );
    let read = server.execute("w", "code:read", &json!({"file_path": "f"}));
    assert_eq!(read["data"]["content"], "kept");
    keeper(&server);
    let ended = server.post(
        "session/destroy",
        &json!({"worker_id": "w", "resource_type": "code"}),
    );
    assert_eq!(ended["code"], 0, "{ended}");
    eventually("the workspace is gone", || keepers(&server).is_empty());
    assert_eq!(processes_with("4001.25"), [0; 0]);
    // Nor does a call without a session leave anything.
    let ran = server.execute("v", "code:execute", &json!({"code": "print(1)"}));
    assert_eq!(
        (&ran["data"]["stdout"], &ran["meta"]["temporary_session"]),
        (&json!("1\n"), &json!(true))
    );
    eventually("its workspace is gone", || keepers(&server).is_empty());
    let groups = || {
        server
            .traces()
            .into_iter()
            .filter(|path| path.contains("/cgroup/"))
            .count()
    };
    eventually("its groups are gone", || groups() == 0);
}

#[test]
fn twenty_workers_at_once_do_not_disturb_each_other() {
    let server = Server::start();
    std::thread::scope(|scope| {
        for worker in 0..20 {
            let server = &server;
            scope.spawn(move || {
                let name = format!("w{worker}");
                server.session(&name);
                let code =
                    format!("import os\nprint(os.listdir('.'))\nopen('mine', 'w').write('{name}')");
                let ran = server.execute(&name, "code:execute", &json!({ "code": code }));
                assert_eq!(ran["data"]["stdout"], "[]\n", "{ran}");
                let ran = server.execute(
                    &name,
                    "code:bash",
                    &json!({"command": "cat mine; ls /tmp; ps -e 2>/dev/null | grep -c python"}),
                );
                assert_eq!(ran["data"]["stdout"], format!("{name}0\n"), "{ran}");
            });
        }
    });
}

#[test]
fn a_killed_workspace_is_one_clear_error() {
    let server = Server::start();
    server.session("w");
    let keeper = keeper(&server);
    server.session("other");
    server.execute(
        "other",
        "code:write",
        &json!({"file_path": "f", "content": "safe"}),
    );
    assert!(
        Command::new("kill")
            .args(["-9", &keeper.to_string()])
            .status()
            .unwrap()
            .success()
    );
    eventually("the worker is told", || {
        let ran = server.execute("w", "code:execute", &json!({"code": "print(1)"}));
        ran["code"] == 1003
            && ran["message"]
                .as_str()
                .unwrap()
                .contains("create the session again")
    });
    let read = server.execute("other", "code:read", &json!({"file_path": "f"}));
    assert_eq!(read["data"]["content"], "safe");
    let ended = server.post(
        "session/destroy",
        &json!({"worker_id": "w", "resource_type": "code"}),
    );
    assert_eq!(ended["code"], 0, "{ended}");
    server.session("w");
    let ran = server.execute("w", "code:execute", &json!({"code": "print(1)"}));
    assert_eq!(ran["data"]["stdout"], "1\n", "{ran}");
}

#[test]
fn a_killed_server_leaves_nothing() {
    let mut server = Server::start();
    server.session("w");
    std::thread::scope(|scope| {
        let code = "import os, signal, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: os.execvp('sleep', ['sleep', '4002.25'])
    os._exit(0)
time.sleep(3600)";
        let address = &server.address;
        let body = json!({"worker_id": "w", "action": "code:execute", "params": {"code": code}})
            .to_string();
        scope.spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "POST /api/v1/execute HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            // Until the server is gone.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        eventually("the program runs", || processes_with("4002.25").len() == 1);
        assert!(server.traces().len() > 4, "{:?}", server.traces());
        server.child.kill().unwrap();
        server.child.wait().unwrap();
    });
    eventually("its programs are gone", || {
        processes_with("4002.25").is_empty()
    });
    eventually("all is gone", || server.traces().is_empty());
}
