//! Virtual machines through the real `sandbox serve`: the small guest of `qemu/guest/build`, typed and clicked into by
//! workers. What a machine can do is tested in its crate; here it is what a worker sees of it.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod server;

use std::{fs, path::PathBuf, process::Command};

use sandbox_client::Client;
use serde_json::{Value, json};
use server::{Server, eventually, screen};

/// The guest's colours.
const GREEN: [u8; 3] = [0, 170, 0];
const RED: [u8; 3] = [170, 0, 0];

/// Where no text is.
const EDGE: (u32, u32) = (799, 300);

async fn call(client: &Client, tool: &str, params: Value) -> Value {
    let answer = client.execute(tool, &params, None).await.unwrap();
    assert!(answer.is_success(), "{tool}: {answer:?}");
    answer.data
}

async fn refused(client: &Client, tool: &str, params: Value) -> (i32, String) {
    let answer = client.execute(tool, &params, None).await.unwrap();
    assert!(!answer.is_success(), "{tool}: {answer:?}");
    (answer.code.0, answer.message)
}

async fn shows(client: &Client, (x, y): (u32, u32), colour: [u8; 3]) {
    eventually("a colour on the screen", async || {
        screen(client).await.pixel(x, y) == colour
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_types_clicks_snapshots_and_restores() {
    let server = Server::start().await;
    let worker = server.worker("w").await;
    let before = screen(&worker).await;
    assert_eq!((before.width, before.height), (800, 600));
    let typed = call(&worker, "vm:type", json!({ "text": "green\n" })).await;
    assert_eq!(typed["length"], 6);
    shows(&worker, EDGE, GREEN).await;

    call(&worker, "vm:click", json!({ "x": 400, "y": 300 })).await;
    call(&worker, "vm:move", json!({ "x": 100, "y": 500 })).await;
    shows(&worker, (407, 307), [255, 0, 0]).await;
    // The guest draws no pointer: this is ours, its tip black, and the green round it.
    let seen = screen(&worker).await;
    assert_eq!((seen.pixel(100, 500), seen.pixel(99, 500)), ([0; 3], GREEN));

    call(&worker, "vm:snapshot", json!({ "name": "green" })).await;
    call(&worker, "vm:hotkey", json!({ "keys": ["ctrl", "u"] })).await;
    for key in ["r", "e", "d", "enter"] {
        call(&worker, "vm:key", json!({ "key": key })).await;
    }
    shows(&worker, EDGE, RED).await;
    call(&worker, "vm:restore", json!({ "name": "green" })).await;
    shows(&worker, EDGE, GREEN).await;

    let (code, message) = refused(&worker, "vm:restore", json!({ "name": "blue" })).await;
    assert!(
        code == 1002 && message.contains("there are: green"),
        "{message}"
    );
    let (code, message) = refused(&worker, "vm:type", json!({ "text": "red 世\n" })).await;
    assert!(code == 1002 && message.contains('世'), "{message}");
    let (code, message) = refused(&worker, "vm:key", json!({ "key": "f20" })).await;
    assert!(code == 1002 && message.contains("keyboard"), "{message}");

    let command = ["sh", "-c", "printf '\\033[41m\\033[2J' >/dev/tty1"];
    let launched = call(&worker, "vm:launch", json!({ "command": command })).await;
    assert!(launched["pid"].as_u64().unwrap() > 1);
    shows(&worker, EDGE, RED).await;
    worker.destroy_session("vm").await.unwrap();
    assert_eq!(server.machines().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_machine_costs_its_own_worker_one_clear_error() {
    let server = Server::start().await;
    let victim = server.worker("victim").await;
    let machine = server.machines()[0];
    let bystander = server.worker("bystander").await;
    server::kill(machine);
    let (code, message) = refused(&victim, "vm:screenshot", json!({})).await;
    assert_eq!(code, 1003, "{message}");
    assert!(
        message.contains("QEMU was killed") && message.contains("again"),
        "{message}"
    );
    call(&bystander, "vm:type", json!({ "text": "green\n" })).await;
    shows(&bystander, EDGE, GREEN).await;
    victim.destroy_session("vm").await.unwrap();
    let again = server.worker("victim").await;
    call(&again, "vm:type", json!({ "text": "green\n" })).await;
    shows(&again, EDGE, GREEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_survives_a_server_that_is_killed() {
    let server = Server::start().await;
    server.worker("one").await;
    server.worker("two").await;
    let machines = server.machines();
    assert_eq!(machines.len(), 2);
    let folder = |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    let folders: Vec<PathBuf> = machines.iter().map(folder).collect();
    assert!(
        folders
            .iter()
            .all(|folder| folder.join("disk.qcow2").exists())
    );
    server::kill(server.id());
    eventually("everything is gone", async || {
        server.machines().is_empty() && !folders.iter().any(|folder| folder.exists())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_from_a_snapshot_with_memory() {
    let first = Server::start().await;
    let worker = first.worker("w").await;
    call(&worker, "vm:type", json!({ "text": "green\n" })).await;
    shows(&worker, EDGE, GREEN).await;
    call(&worker, "vm:snapshot", json!({ "name": "green" })).await;
    let machine = first.machines()[0];
    let overlay = fs::read_link(format!("/proc/{machine}/cwd")).unwrap();
    let line = fs::read(format!("/proc/{machine}/cmdline")).unwrap();
    let line = String::from_utf8_lossy(&line);
    let mut files = line.split("\"filename\":\"").skip(1);
    let template = files
        .find_map(|rest| {
            rest.split('"')
                .next()
                .filter(|path| path.contains("templates"))
        })
        .expect("the disk below the overlay");
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("green.qcow2");
    fs::copy(overlay.join("disk.qcow2"), &image).unwrap();
    let rebased = Command::new("qemu-img")
        .args(["rebase", "-u", "-F", "qcow2", "-b", template])
        .arg(&image)
        .status();
    assert!(rebased.unwrap().success());
    drop(first);

    let config = json!({ "vm_path": image, "snapshot_name": "s green" });
    let second = Server::start_with(config).await;
    let worker = second.worker("w").await;
    shows(&worker, EDGE, GREEN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_machine_with_a_network_leaves_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "network": true, "recording": true, "recording_path": folder.path() });
    let server = Server::start_with(config).await;
    let worker = server.worker("w").await;
    let line = fs::read(format!("/proc/{}/cmdline", server.machines()[0])).unwrap();
    assert!(
        String::from_utf8_lossy(&line).contains("user,"),
        "no network"
    );
    call(&worker, "vm:type", json!({ "text": "green\n" })).await;
    shows(&worker, EDGE, GREEN).await;
    worker.destroy_session("vm").await.unwrap();

    let videos: Vec<PathBuf> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(videos.len(), 1, "{videos:?}");
    let frames = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-i"])
        .arg(&videos[0])
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap()
        .stdout;
    let size = 800 * 600 * 3;
    assert!(frames.len() >= 2 * size, "{} bytes of frames", frames.len());
    let last = &frames[frames.len() - size..];
    let (x, y) = EDGE;
    let place = 3 * (y * 800 + x) as usize;
    let near = |(have, want): (&u8, u8)| have.abs_diff(want) < 16;
    let pixel = &last[place..place + 3];
    assert!(pixel.iter().zip(GREEN).all(near), "{pixel:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_qemu_the_package_is_named() {
    let nothing = tempfile::tempdir().unwrap();
    let server = Server::start_with_path(nothing.path());
    let client = server.client("w");
    let (code, message) = refused(&client, "vm:screenshot", json!({})).await;
    assert_eq!(code, 2004, "{message}");
    assert!(
        message.contains("apt-get install qemu-system-x86"),
        "{message}"
    );
}
