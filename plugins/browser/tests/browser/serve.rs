//! The real command `sandbox serve` with this plugin: what a client sees when the browser dies, and what is left when the
//! server is killed.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    life::{Program, eventually, kill},
    site::Site,
};

/// The folder with `sandbox` and the plugin, built as these tests are.
fn built() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.ancestors().nth(2).unwrap().to_owned();
        let profile = folder.file_name().unwrap().to_str().unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "-p",
                "sandbox",
                "-p",
                "browser",
                "--profile",
            ])
            .arg(if profile == "debug" { "dev" } else { profile })
            .arg("--target-dir")
            .arg(folder.parent().unwrap())
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .status()
            .unwrap();
        assert!(status.success(), "the server does not build");
        folder
    })
}

/// A running server; killed when dropped.
struct Server {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(config: &Value) -> Self {
        Self::start_on(config, None)
    }

    /// A server with a display in its environment, or none.
    fn start_on(config: &Value, display: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        let text = json!({
            "server": { "port": 0, "plugin_dirs": [built()] },
            "resources": { "browser": { "backend_class": "browser", "config": config } },
        });
        std::fs::write(&file, text.to_string()).unwrap();
        let mut command = Command::new(built().join("sandbox"));
        match display {
            Some(display) => command.env("DISPLAY", display),
            None => command.env_remove("DISPLAY"),
        };
        let mut child = command
            .args(["serve", "--log-format", "json", "--config"])
            .arg(&file)
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
            .find(|entry| entry["message"] == "listening")
            .and_then(|entry| {
                entry["url"]
                    .as_str()
                    .map(|url| url.trim_start_matches("http://").to_owned())
            })
            .unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (address, body) = (&self.address, body.to_string());
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    fn create(&self, worker: &str) -> Value {
        self.post(
            "/api/v1/session/create",
            &json!({ "worker_id": worker, "resource_type": "browser" }),
        )
    }

    fn call(&self, worker: &str, tool: &str, params: Value) -> Value {
        let action = format!("browser:{tool}");
        self.post(
            "/api/v1/execute",
            &json!({ "worker_id": worker, "action": action, "params": params }),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_killed_browser_is_one_error_and_a_killed_server_leaves_nothing() {
    let (program, site) = (Program::new(), Site::start());
    let mut server =
        Server::start(&json!({ "executable": program.path, "allowed_hosts": ["127.0.0.1"] }));
    assert_eq!(server.create("w")["code"], 0);
    let landed = server.call("w", "goto", json!({ "url": site.url("/second") }));
    assert_eq!(
        (&landed["code"], &landed["data"]["title"]),
        (&json!(0), &json!("Second")),
        "{landed}"
    );
    let picture = server.call("w", "screenshot", json!({}));
    assert!(
        picture["data"]["image"]
            .as_str()
            .unwrap()
            .starts_with("iVBOR"),
        "{picture}"
    );

    let first = program.process().unwrap();
    let answer = std::thread::scope(|scope| {
        let params = json!({ "script": "fetch('/slow').then(answer => answer.text())" });
        let call = scope.spawn(|| server.call("w", "evaluate", params));
        eventually("the script runs", || {
            site.lines().iter().any(|line| line.contains("/slow"))
        });
        kill(first);
        call.join().unwrap()
    });
    assert_eq!(answer["code"], 1003, "{answer}");
    assert_eq!(
        answer["message"],
        "the browser died, create the session again"
    );
    assert_eq!(server.create("w")["code"], 0);
    let landed = server.call("w", "goto", json!({ "url": site.url("/second") }));
    assert_eq!(landed["data"]["title"], "Second", "{landed}");

    let second = program.process().unwrap();
    let (family, profile) = (Program::family(second), Program::profile(second));
    assert!(second != first && family.len() > 3 && profile.exists());
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    eventually("the browser is gone", || Program::family(second).is_empty());
    eventually("its profile is gone", || !profile.exists());
    site.open_gate();
}

#[test]
fn many_workers_do_not_disturb_each_other() {
    let site = Site::start();
    let server =
        Server::start(&json!({ "allowed_hosts": ["127.0.0.1"], "action_timeout": 20_000 }));
    std::thread::scope(|scope| {
        for worker in 0..12 {
            let (server, site) = (&server, &site);
            scope.spawn(move || {
                let (worker, name) = (format!("w{worker}"), format!("Name {worker}"));
                let call = |tool: &str, params: Value| {
                    let answer = server.call(&worker, tool, params);
                    assert_eq!(answer["code"], 0, "{tool}: {answer}");
                    answer["data"].clone()
                };
                assert_eq!(server.create(&worker)["code"], 0);
                call("goto", json!({ "url": site.url("/form") }));
                let typed = call(
                    "type",
                    json!({ "selector": "[name=name]", "text": name, "submit": true }),
                );
                assert_eq!(typed["url"], site.url("/submit"));
                let sent = call("get_text", json!({ "selector": "#sent" }));
                let wanted = format!("name={}&", name.replace(' ', "+"));
                assert!(
                    sent["text"].as_str().unwrap().starts_with(&wanted),
                    "{sent}"
                );
                let ended = server.post(
                    "/api/v1/session/destroy",
                    &json!({ "worker_id": worker, "resource_type": "browser" }),
                );
                assert_eq!(ended["code"], 0, "{ended}");
            });
        }
    });
}

/// The ports on which this process listens.
fn ports(process: u32) -> Vec<u16> {
    let own: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|file| Some(std::fs::read_link(file.path()).ok()?.to_str()?.to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let rows = table
        .lines()
        .skip(1)
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[3] == "0A" && own.contains(&format!("socket:[{}]", row[9])))
        .filter_map(|row| u16::from_str_radix(row[1].split(':').nth(1)?, 16).ok())
        .collect()
}

/// Of a server in a process of its own, as every listener here is asked: one of another test would note it as its own.
#[test]
fn nobody_else_gets_through_the_proxy() {
    let site = Site::start();
    let server = Server::start(&json!({ "allowed_hosts": ["127.0.0.1"] }));
    assert_eq!(server.create("w")["code"], 0);
    let landed = server.call("w", "goto", json!({ "url": site.url("/second") }));
    assert_eq!(landed["code"], 0, "{landed}");
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        site.url("/stolen"),
        site.address
    );
    let ports = ports(server.child.id());
    assert!(
        ports.len() > 1,
        "the server's own, and the proxy's: {ports:?}"
    );
    for port in ports {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read(&mut [0; 16]);
    }
    let lines = site.lines();
    assert!(
        !lines.iter().any(|line| line.contains("stolen")),
        "{lines:?}"
    );
}

/// A process that ends with its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_browser_with_a_window_lives_and_dies_with_its_display() {
    let mut display = Command::new("Xvfb")
        .args(["-displayfd", "1", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let answers = display.stdout.take().unwrap();
    let display = Ended(display);
    let mut number = String::new();
    BufReader::new(answers).read_line(&mut number).unwrap();
    let (name, site) = (format!(":{}", number.trim()), Site::start());
    let config = json!({ "headless": false, "allowed_hosts": ["127.0.0.1"] });

    let server = Server::start_on(&config, None);
    let refused = server.create("w");
    assert_eq!(refused["code"], 2004, "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("DISPLAY"));
    drop(server);

    let server = Server::start_on(&config, Some(&name));
    let created = server.create("w");
    assert_eq!(created["code"], 0, "{created}");
    let landed = server.call("w", "goto", json!({ "url": site.url("/second") }));
    assert_eq!(landed["data"]["title"], "Second", "{landed}");
    let script = json!({ "script": "[navigator.userAgent, outerHeight - innerHeight]" });
    let seen = server.call("w", "evaluate", script)["data"]["result"].take();
    assert!(!seen[0].as_str().unwrap().contains("Headless"), "{seen}");
    assert!(
        seen[1].as_f64().unwrap() > 0.0,
        "no window round it: {seen}"
    );
    let picture = server.call("w", "screenshot", json!({}));
    assert_eq!(picture["code"], 0, "{picture}");

    drop(display);
    std::fs::remove_file(format!("/tmp/.X11-unix/X{}", number.trim())).ok();
    eventually("the browser died with its display", || {
        server.call("w", "snapshot", json!({}))["code"] == 1003
    });
}
