//! A server with virtual machines, and what can be seen of it from outside.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use sandbox_client::Client;
use serde_json::{Value, json};

/// Far longer than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);

/// The folder of the programs: the server is built, if it is not there.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap().to_owned();
    let name = profile.file_name().unwrap().to_string_lossy().into_owned();
    let name = if name == "debug" { "dev" } else { &name };
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
        .status()
        .unwrap();
    assert!(built.success(), "the server does not build: see above");
    profile
});

/// The guest's files, and a folder for templates without those of an earlier run, which other code may have made.
static GUEST: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (guest, templates) = (folder.join("vm-guest"), folder.join("vm-templates-served"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("qemu/guest/build");
    let built = Command::new(script).arg(&guest).status().unwrap();
    assert!(built.success(), "the guest's image was not built");
    let _ = fs::remove_dir_all(&templates);
    (guest, templates)
});

/// A running server; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// A server whose backend is warm: the image has been booted.
    pub(crate) async fn start() -> Self {
        Self::start_with(json!({})).await
    }

    /// One with more in the backend's configuration.
    pub(crate) async fn start_with(more: Value) -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let server = Self::launch(path.as_ref(), more);
        let outcome = server.client("warm").warmup(None).await.unwrap();
        assert!(outcome.errors.is_empty(), "{outcome:?}");
        server
    }

    /// A server that finds programs in these folders.
    pub(crate) fn start_with_path(path: &Path) -> Self {
        Self::launch(path, json!({}))
    }

    fn launch(path: &Path, mut more: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        let mut whole = configuration();
        let vm = whole["resources"]["vm"]["config"].as_object_mut().unwrap();
        vm.append(more.as_object_mut().unwrap());
        fs::write(&config, whole.to_string()).unwrap();
        let mut child = Command::new(PROGRAMS.join("sandbox"))
            .args(["serve", "--log-format", "json", "--config"])
            .arg(config)
            .env("PATH", path)
            .env_remove("SANDBOX_INSTANCE")
            .env_remove("SANDBOX_RUNTIME_DIR")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let entry: Value = serde_json::from_str(&line).ok()?;
            let url = entry["url"].as_str()?;
            (entry["message"] == "listening").then(|| url.to_owned())
        });
        // Somebody must read on, or the server stands still when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url: url.unwrap(),
            _folder: folder,
        }
    }

    pub(crate) fn client(&self, worker: &str) -> Client {
        let builder = Client::builder().url(&self.url).worker_id(worker);
        builder.timeout(LIMIT).build().unwrap()
    }

    /// A worker with a session.
    pub(crate) async fn worker(&self, name: &str) -> Client {
        let client = self.client(name);
        let session = serde_json::from_value(json!({ "resource_type": "vm" })).unwrap();
        client.create_session(session).await.unwrap();
        client
    }

    pub(crate) fn id(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The QEMU processes of this server, by the mark in their environment.
    pub(crate) fn machines(&self) -> Vec<i32> {
        let mark = format!("SANDBOX_INSTANCE={}-", self.child.id());
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter(|pid: &i32| {
                let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
                let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let marked = variables
                    .split(|byte| *byte == 0)
                    .any(|one| one.starts_with(mark.as_bytes()));
                name.starts_with(b"qemu-system") && marked
            })
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Kills a process, as `kill -9` does.
pub(crate) fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

fn configuration() -> Value {
    let (guest, templates) = &*GUEST;
    let vm = json!({
        "provider": "qemu",
        "vm_path": guest.join("disk.qcow2"),
        "screen_size": [800, 600],
        "memory_mb": 128,
        "cpus": 1,
        "qemu": {
            "kernel": guest.join("vmlinuz"),
            "initrd": guest.join("initrd"),
            "kernel_args": "quiet console=ttyS0 console=tty0",
            "ready_text": "guest-ready",
            "template_cache": templates,
        },
    });
    let library = PROGRAMS.join("libvm.so");
    json!({
        "server": { "port": 0 },
        "resources": { "vm": { "enabled": true, "backend_class": library, "config": vm } },
    })
}

/// Waits for something that no event tells.
pub(crate) async fn eventually(what: &str, there: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !there().await {
        assert!(begun.elapsed() < LIMIT, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A picture.
pub(crate) struct Seen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    rgb: Vec<u8>,
}

impl Seen {
    pub(crate) fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = usize::try_from((y * self.width + x) * 3).unwrap();
        self.rgb[at..at + 3].try_into().unwrap()
    }
}

/// What a worker's screen shows.
pub(crate) async fn screen(client: &Client) -> Seen {
    let answer = client
        .execute("vm:screenshot", &json!({}), None)
        .await
        .unwrap();
    assert!(answer.is_success(), "{answer:?}");
    let text = answer.data["image"].as_str().unwrap();
    let text = text.rsplit_once(',').map_or(text, |(_, bytes)| bytes);
    let bytes = BASE64_STANDARD.decode(text).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut rgb).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    Seen {
        width: info.width,
        height: info.height,
        rgb,
    }
}
