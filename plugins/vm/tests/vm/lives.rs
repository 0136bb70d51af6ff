//! What belongs to a session and ends with it: recordings, views, and what a worker may ask for.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use des::Des;
use des::cipher::{BlockEncrypt, KeyInit};
use serde_json::json;

use super::{backend, eventually, in_session, processes_with, seen::Terminal};

/// Somebody who looks at a desktop, by RFB 3.8 (RFC 6143).
struct Viewer {
    server: TcpStream,
    size: (u16, u16),
}

impl Viewer {
    /// Comes in with a password, or not.
    fn log_in(port: u16, password: &str) -> Option<Self> {
        let mut viewer = Self {
            server: TcpStream::connect(("127.0.0.1", port)).unwrap(),
            size: (0, 0),
        };
        assert_eq!(&viewer.read::<12>(), b"RFB 003.008\n");
        viewer.write(b"RFB 003.008\n");
        assert_eq!(viewer.read(), [1, 2], "one way to come in: by password");
        viewer.write(&[2]);
        let challenge: [u8; 16] = viewer.read();
        viewer.write(&answer(password, challenge));
        if viewer.read() != [0; 4] {
            return None;
        }
        // Others may look as well.
        viewer.write(&[1]);
        let screen: [u8; 24] = viewer.read();
        let number = |at: usize| u16::from_be_bytes([screen[at], screen[at + 1]]);
        viewer.size = (number(0), number(2));
        let name = u32::from_be_bytes([screen[20], screen[21], screen[22], screen[23]]);
        for _ in 0..name {
            viewer.read::<1>();
        }
        Some(viewer)
    }

    /// A pixel of the screen, in the order of its bytes.
    fn pixel(&mut self, x: u16, y: u16) -> [u8; 4] {
        // As it is, not compressed.
        self.write(&[2, 0, 0, 1, 0, 0, 0, 0]);
        let mut request = vec![3, 0];
        for number in [x, y, 1, 1] {
            request.extend(number.to_be_bytes());
        }
        self.write(&request);
        assert_eq!(self.read(), [0, 0, 0, 1], "an update of one rectangle");
        let rectangle: [u8; 12] = self.read();
        assert_eq!(rectangle[4..], [0, 1, 0, 1, 0, 0, 0, 0]);
        self.read()
    }

    fn read<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.server.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn write(&mut self, bytes: &[u8]) {
        self.server.write_all(bytes).unwrap();
    }
}

/// What a password answers to a challenge: DES, with the bits of each byte of the key the other way round.
fn answer(password: &str, challenge: [u8; 16]) -> Vec<u8> {
    let mut key = [0; 8];
    for (bits, letter) in key.iter_mut().zip(password.bytes()) {
        *bits = letter.reverse_bits();
    }
    let cipher = Des::new(&key.into());
    let blocks = challenge.chunks_exact(8).flat_map(|block| {
        let mut block = <[u8; 8]>::try_from(block).unwrap().into();
        cipher.encrypt_block(&mut block);
        block.to_vec()
    });
    blocks.collect()
}

#[test]
fn a_recorded_session_leaves_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let kit =
        backend(json!({ "recording": true, "recording_path": folder.path(), "recording_fps": 1 }));
    let session = kit
        .session("worker", json!({ "custom_name": "../my run" }))
        .unwrap();
    let _terminal = Terminal::open(&session, "vm-test-recorded", "cat");
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
    // Colours are as near as a video keeps them.
    let near = |(have, want): (&u8, u8)| have.abs_diff(want) < 12;
    let background = &frames.stdout[..3];
    assert!(
        background.iter().zip([0x33, 0x4d, 0x5c]).all(near),
        "{background:?}"
    );
    // However rarely pictures are taken, the last shows the end: the terminal.
    let last = &frames.stdout[frames.stdout.len() - size..];
    let terminal = &last[3 * (200 * 800 + 300)..][..3];
    assert!(terminal.iter().zip([255; 3]).all(near), "{terminal:?}");
    assert!(processes_with(&folder.path().to_string_lossy()).is_empty());
}

#[test]
fn a_view_asks_for_a_password_and_closes_with_its_session() {
    let kit = backend(json!({ "headless": false, "screen_size": [821, 621] }));
    let session = kit.session("worker", json!({})).unwrap();
    let view = session.call("vm:info", json!({})).unwrap()["vnc"].take();
    assert_eq!(view["password"].as_str().unwrap().len(), 8);
    let port = u16::try_from(view["port"].as_u64().unwrap()).unwrap();
    let password = view["password"].as_str().unwrap();
    let mut viewer = Viewer::log_in(port, password).expect("the password of the session");
    assert_eq!(viewer.size, (821, 621));
    assert!(Viewer::log_in(port, "wrong123").is_none());
    // The background's colour, in the viewer's order: blue, green, red.
    assert_eq!(viewer.pixel(10, 600)[..3], [0x5c, 0x4d, 0x33]);
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
    let session = kit.session(
        "worker",
        json!({ "setup": [{ "type": "launch", "parameters": { "command": ["xterm"] } }] }),
    );
    let session = session.unwrap();
    session.call("vm:screenshot", json!({})).unwrap();
    session.close().unwrap();
    eventually("nothing is left", || {
        processes_with("823x623x24").is_empty().then_some(())
    });
}

/// The paths of the sockets that a process has; those without a file begin with `@`.
fn sockets_of(process: i32) -> Vec<String> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let links: Vec<_> = links
        .map(|link| link.to_string_lossy().into_owned())
        .collect();
    let all = std::fs::read_to_string("/proc/net/unix").unwrap();
    let paths = all.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(6);
        let (inode, path) = (words.next()?, words.next()?);
        let link = format!("socket:[{inode}]");
        links.contains(&link).then(|| path.to_owned())
    });
    paths.collect()
}

#[test]
fn without_isolation_no_socket_has_a_file_that_a_killed_server_could_leave() {
    let kit = backend(json!({ "sandbox": "off", "screen_size": [827, 627] }));
    let session = kit.session("worker", json!({})).unwrap();
    session.call("vm:screenshot", json!({})).unwrap();
    let servers = processes_with("Xvfb\0-screen\x000\x00827x627x24");
    let sockets: Vec<_> = servers.iter().flat_map(|it| sockets_of(*it)).collect();
    assert!(!sockets.is_empty());
    for socket in &sockets {
        assert!(socket.starts_with("@/tmp/.X11-unix/X"), "{socket}");
    }
    session.close().unwrap();
}
