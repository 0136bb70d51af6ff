//! Desktops of a real server that is killed.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sandbox_client::Client;
use serde_json::{Value, json};

use super::{LIMIT, displays_with, eventually, kill, processes_with};

/// The folder of the programs: the server is built, if it is not there.
fn programs() -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let name = profile.file_name().unwrap().to_str().unwrap();
    let name = if name == "debug" { "dev" } else { name };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--profile",
            name,
            "-p",
            "sandbox",
            "-p",
            "vm",
            "--target-dir",
        ])
        .arg(profile.parent().unwrap())
        .status();
    assert!(
        built.unwrap().success(),
        "the server does not build: see above"
    );
    profile.to_owned()
}

/// A running server; killed when it is dropped.
struct Served {
    process: Child,
    client: Client,
    folder: tempfile::TempDir,
}

impl Served {
    /// A server that finds programs on this path.
    fn start(config: &Value, path: &OsStr) -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().unwrap();
        let vm = json!({ "backend_class": programs.join("libvm.so"), "config": config });
        let config = json!({ "server": { "port": 0 }, "resources": { "vm": vm } });
        let file = folder.path().join("config.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let mut process = Command::new(programs.join("sandbox"))
            .args(["serve", "--log-format", "json", "--config"])
            .arg(file)
            .env("TMPDIR", folder.path())
            .env("PATH", path)
            .env_remove("SANDBOX_INSTANCE")
            .env_remove("SANDBOX_RUNTIME_DIR")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = log.by_ref().map_while(Result::ok).find_map(|line| {
            let entry: Value = serde_json::from_str(&line).ok()?;
            entry["url"].as_str().map(str::to_owned)
        });
        // Somebody must read on, or the server stands still when the pipe is full.
        std::thread::spawn(move || log.for_each(drop));
        let builder = Client::builder().url(url.unwrap()).worker_id("w");
        Self {
            process,
            client: builder.timeout(LIMIT).build().unwrap(),
            folder,
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_survives_a_server_that_is_killed() {
    let config = json!({ "sandbox": "best_effort", "screen_size": [831, 631], "pool_size": 1 });
    let served = Served::start(&config, &env::var_os("PATH").unwrap());
    let session = serde_json::from_value(json!({ "resource_type": "vm" })).unwrap();
    served.client.create_session(session).await.unwrap();
    // It leaves its process group and its parent.
    let program = json!({ "command": ["setsid", "-f", "sleep", "98765.75"] });
    let launched = served
        .client
        .execute("vm:launch", &program, None)
        .await
        .unwrap();
    assert!(launched.is_success(), "{launched:?}");
    eventually("a desktop in use and one in the pool", || {
        (displays_with("831x631x24").len() == 2 && processes_with("98765.75").len() == 1)
            .then_some(())
    });
    kill(&[served.process.id().cast_signed()]);
    eventually("every process is gone", || {
        (processes_with("831x631x24").is_empty() && processes_with("98765.75").is_empty())
            .then_some(())
    });
    // The folder of all servers of a user stays.
    let left = || {
        let own = std::fs::read_dir(served.folder.path()).unwrap().flatten();
        let inner = own.filter_map(|entry| std::fs::read_dir(entry.path()).ok());
        inner.flatten().count()
    };
    eventually("its folders are gone", || (left() == 0).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_is_named_with_its_package() {
    let nothing = tempfile::tempdir().unwrap();
    let served = Served::start(&json!({}), nothing.path().as_os_str());
    let answer = served
        .client
        .execute("vm:screenshot", &json!({}), None)
        .await
        .unwrap();
    assert_eq!(answer.code.0, 2004, "{answer:?}");
    assert!(
        answer.message.contains("apt-get install xvfb"),
        "{answer:?}"
    );
}
