//! What belongs to a session and ends with it: recordings, views, and what a worker may ask for.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::json;

use super::{backend, in_session, processes_with};

#[test]
fn a_recorded_session_leaves_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let kit =
        backend(json!({ "recording": true, "recording_path": folder.path(), "recording_fps": 10 }));
    let session = kit
        .session("worker", json!({ "custom_name": "../my run" }))
        .unwrap();
    session.call("vm:wait", json!({ "seconds": 0.5 })).unwrap();
    session.close().unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .collect();
    let [video] = &files[..] else {
        panic!("{files:?}")
    };
    assert!(
        video
            .file_name()
            .to_string_lossy()
            .starts_with("___my_run-"),
        "{video:?}"
    );
    let frames = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-i"])
        .arg(video.path())
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    let size = 800 * 600 * 3;
    assert!(frames.stdout.len() >= size, "no picture: {frames:?}");
    // The background's colour, as near as a video keeps it.
    let corner = &frames.stdout[..3];
    let near = |(have, want): (&u8, u8)| have.abs_diff(want) < 12;
    assert!(
        corner.iter().zip([0x33, 0x4d, 0x5c]).all(near),
        "{corner:?}"
    );
    assert!(processes_with(&folder.path().to_string_lossy()).is_empty());
}

#[test]
fn a_view_asks_for_a_password_and_closes_with_its_session() {
    let kit = backend(json!({ "headless": false, "screen_size": [821, 621] }));
    let session = kit.session("worker", json!({})).unwrap();
    let view = session.call("vm:info", json!({})).unwrap()["vnc"].take();
    assert_eq!(view["password"].as_str().unwrap().len(), 8);
    let port = u16::try_from(view["port"].as_u64().unwrap()).unwrap();
    let mut guest = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut read = |count: usize| {
        let mut bytes = vec![0; count];
        guest.read_exact(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(read(12), b"RFB 003.008\n");
    guest.write_all(b"RFB 003.008\n").unwrap();
    let mut read = |count: usize| {
        let mut bytes = vec![0; count];
        guest.read_exact(&mut bytes).unwrap();
        bytes
    };
    assert_eq!(read(2), [1, 2], "one way to come in: by password");
    guest.write_all(&[2]).unwrap();
    guest.read_exact(&mut [0; 16]).unwrap();
    guest.write_all(&[0; 16]).unwrap();
    let mut result = [0; 4];
    guest.read_exact(&mut result).unwrap();
    assert_ne!(result, [0; 4], "a wrong answer to the challenge was taken");
    session
        .call("vm:click", json!({ "x": 820, "y": 620 }))
        .unwrap();
    session.close().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(processes_with("821x621").is_empty());
}

#[test]
fn workers_get_no_more_than_the_operator_gives() {
    let kit = backend(json!({}));
    for (key, value) in [
        ("memory_mb", json!(100_000)),
        ("cpus", json!(64.0)),
        ("cpus", json!(0)),
        ("screen_size", json!([60_000, 10])),
        ("vm_path", json!("/etc/passwd")),
        ("recording", json!(true)),
        ("recording_path", json!("/tmp")),
        ("provider", json!("qemu")),
    ] {
        let refused = kit.session("worker", json!({ key: value })).err().unwrap();
        assert_eq!(refused.code, 1002, "{key}: {refused:?}");
        assert!(refused.message.contains(key), "{refused:?}");
    }
}

#[test]
fn snapshots_are_not_for_displays() {
    in_session(|session| {
        for tool in ["vm:snapshot", "vm:restore"] {
            assert_eq!(
                session.call(tool, json!({ "name": "x" })).unwrap_err().code,
                2004
            );
        }
    });
}

#[test]
fn every_other_tool_has_an_example_that_works() {
    let kit = backend(json!({}));
    let session = kit.session("worker", json!({})).unwrap();
    for tool in kit.description()["tools"].as_array().unwrap() {
        let name = tool["name"].as_str().unwrap();
        if matches!(name, "vm:snapshot" | "vm:restore") {
            continue;
        }
        let examples = tool["input_schema"]["examples"].as_array();
        let examples = examples.unwrap_or_else(|| panic!("{name} has no example"));
        for example in examples {
            session
                .call(name, example.clone())
                .unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        }
    }
    session.close().unwrap();
}

#[test]
fn without_isolation_a_desktop_leaves_nothing_either() {
    let kit = backend(json!({ "sandbox": "off", "screen_size": [823, 623] }));
    let locks = || {
        let entries = std::fs::read_dir("/tmp").unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with(".X") && name.ends_with("-lock"))
            .count()
    };
    let before = locks();
    let session = kit.session(
        "worker",
        json!({ "setup": [{ "type": "launch", "parameters": { "command": ["xterm"] } }] }),
    );
    let session = session.unwrap();
    session.call("vm:screenshot", json!({})).unwrap();
    session.close().unwrap();
    assert!(processes_with("823x623x24").is_empty());
    assert_eq!(locks(), before);
}
