//! The life of `sandbox serve`: start, stop in order, and what is left after it was killed.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use sandbox_client::protocol::request::Shutdown;
use serde_json::json;

use crate::{
    engine::{again, lines},
    server::{Server, command, session},
};

/// A shell without isolation, so that what it starts could outlive it.
fn bash() -> serde_json::Value {
    json!({ "bash": { "backend_class": "bash", "config": { "sandbox": "off" } } })
}

fn counter() -> serde_json::Value {
    json!({ "counter": { "backend_class": "counter", "config": { "journal": "journal" } } })
}

/// Waits until `gone` is true, as long as a loaded machine may need.
fn until(what: &str, mut gone: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !gone() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_running(pid: &str) -> bool {
    // A zombie has ended; only its parent has not looked yet.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_the_server_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&counter());
        let client = server.client("w");
        client
            .wait_until_ready(Duration::from_secs(30))
            .await
            .unwrap();
        let counted = client
            .execute("counter:add", &json!({}), None)
            .await
            .unwrap();
        assert_eq!(counted.code.0, 0, "{counted:?}");
        client.create_session(session("counter")).await.unwrap();
        let runtime_dir = server.runtime_dir();
        assert!(runtime_dir.is_dir());
        server.signal(signal);
        assert!(server.ended().success());
        let journal = lines(&server.directory.path().join("journal"));
        assert_eq!(
            journal
                .iter()
                .filter(|line| line.starts_with("cleanup"))
                .count(),
            2,
            "{journal:?}"
        );
        assert!(!runtime_dir.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait() {
    let mut server = Server::start_with(json!({ "grace_period": 60 }), &counter());
    let client = server.client("w");
    let call = tokio::spawn(async move {
        client
            .execute("counter:add", &json!({ "ms": 60_000 }), None)
            .await
    });
    let journal = server.directory.path().join("journal");
    until("the call", || !lines(&journal).is_empty());
    assert!(stopped_at_once(&mut server).success());
    let _ = call.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_waits_for_no_cleanup_either() {
    let hangs = json!({ "hangs": { "backend_class": "hangs", "config": { "at": ["cleanup"] } } });
    let limits = json!({ "limits": { "cleanup_timeout": 60 } });
    let mut server = Server::start_with(limits, &hangs);
    let client = server.client("w");
    client.create_session(session("hangs")).await.unwrap();
    assert!(stopped_at_once(&mut server).success());
}

/// Sends one signal, and then others until one of them is taken for a second.
fn stopped_at_once(server: &mut Server) -> ExitStatus {
    server.signal(Signal::TERM);
    server.wait_for("stopping; again to stop at once");
    loop {
        server.signal(Signal::TERM);
        if server.says_within("stopping at once", Duration::from_millis(10)) {
            return server.ended();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_signals_at_once_are_one() {
    let (mut server, call) = again("two signals at once", async |_| {
        let server = Server::start_with(json!({ "grace_period": 60 }), &counter());
        let client = server.client("w");
        let params = json!({ "until": server.directory.path().join("signalled") });
        let call = tokio::spawn(async move { client.execute("counter:add", &params, None).await });
        let journal = server.directory.path().join("journal");
        until("the call", || !lines(&journal).is_empty());
        // `timeout` signals its child and then its group.
        let started = Instant::now();
        server.signal(Signal::TERM);
        server.signal(Signal::INT);
        // A busy machine may have let half the time go by in which the second is an echo.
        (started.elapsed() < Duration::from_millis(50)).then_some((server, call))
    })
    .await;
    server.wait_for("stopping; again to stop at once");
    assert!(!server.says_within("stopping at once", Duration::from_millis(200)));
    std::fs::write(server.directory.path().join("signalled"), "").unwrap();
    assert_eq!(server.count_until("stopping at once", "stopped"), 0);
    assert!(server.ended().success());
    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.code.0, 0, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shutdown_route_stops_the_server() {
    let mut server = Server::start(&counter());
    let client = server.client("w");
    client.create_session(session("counter")).await.unwrap();
    let answer = client.shutdown(&Shutdown::default()).await.unwrap();
    assert_eq!(answer.sessions_cleaned, 1);
    assert!(server.ended().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shutdown_route_waits_once() {
    let hangs =
        json!({ "hangs": { "backend_class": "hangs", "config": { "journal": "journal" } } });
    let mut server = Server::start_with(json!({ "grace_period": 60 }), &hangs);
    let client = server.client("w");
    client.create_session(session("hangs")).await.unwrap();
    let held = server.client("w");
    let call = tokio::spawn(async move { held.execute("hangs:block", &json!({}), None).await });
    let journal = server.directory.path().join("journal");
    until("the call", || !lines(&journal).is_empty());
    let force = Shutdown {
        force: true,
        ..Shutdown::default()
    };
    client.shutdown(&force).await.unwrap();
    assert!(server.ended().success());
    let _ = call.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_survives_a_server_that_is_killed() {
    let mut server = Server::start(&bash());
    let client = server.client("w");
    client.create_session(session("bash")).await.unwrap();
    // One keeps the environment, the other has none.
    let command = "setsid sleep 10000 >/dev/null 2>&1 & echo $! $$
        setsid env -i sleep 10000 >/dev/null 2>&1 & echo $!";
    let answer = client
        .execute("bash:run", &json!({ "command": command }), None)
        .await
        .unwrap();
    let stdout = answer.data["stdout"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer:?}"));
    let pids: Vec<String> = stdout.split_whitespace().map(str::to_owned).collect();
    assert!(
        pids.len() == 3 && pids.iter().all(|pid| is_running(pid)),
        "{pids:?}"
    );
    let runtime_dir = server.runtime_dir();
    server.signal(Signal::KILL);
    server.ended();
    until("the processes to die", || {
        !pids.iter().any(|pid| is_running(pid))
    });
    until("the directory to go", || !runtime_dir.exists());
}

#[test]
fn what_another_server_holds_is_not_swept() {
    let directory = tempfile::tempdir().unwrap();
    let user = rustix::process::getuid().as_raw();
    // No process here has this name; one in another process-id namespace may.
    let other = directory.path().join(format!("sandbox-{user}/4194304-1"));
    std::fs::create_dir_all(&other).unwrap();
    let lock = std::fs::File::create(other.join("lock")).unwrap();
    lock.lock().unwrap();
    let begin = || serve(directory.path(), &["--host", "0.0.0.0", "--port", "0"]);
    begin();
    assert!(other.exists());
    drop(lock);
    let said = begin();
    assert!(!other.exists());
    assert!(
        said.contains("removing what a killed server left"),
        "{said}"
    );
}

#[test]
fn a_taken_port_is_explained() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let output = serve(directory.path(), &["--port", &port]);
    assert!(
        output.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{output}"
    );
    assert!(output.contains("--port 0"), "{output}");
}

#[test]
fn another_address_needs_keys_or_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let output = serve(directory.path(), &["--host", "0.0.0.0", "--port", "0"]);
    assert!(output.contains("--insecure"), "{output}");
}

/// Runs `serve` with an empty configuration; it must fail. What it says.
fn serve(directory: &Path, args: &[&str]) -> String {
    let config = directory.join("config.json");
    std::fs::write(&config, "{}").unwrap();
    let output = command()
        .args(["serve", "--config"])
        .arg(config)
        .args(args)
        .env("TMPDIR", directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_goes_on_failing_is_logged_once() {
    // No probe is slow here; the machine may be.
    let limits = json!({ "limits": { "probe_timeout": 60 } });
    let server = Server::start_with(limits, &json!({ "hybrid": { "backend_class": "hybrid" } }));
    let client = server.client("w");
    for _ in 0..3 {
        let touched = client.execute("hybrid:touch", &json!({}), None).await;
        assert_eq!(touched.unwrap().code.0, 0);
    }
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
        let ask = b"GET /ready?verbose HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(ask).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("touched too often"), "{answer}");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.count_until("the probe failed", "stopped"), 1);
}
