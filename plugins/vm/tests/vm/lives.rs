//! What belongs to a session and ends with it: recordings, views, and what a worker may ask for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use des::Des;
use des::cipher::{BlockEncrypt, KeyInit};
use serde_json::json;

use super::{backend, in_session, kill, processes_with};

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
    assert!(processes_with("823x623x24").is_empty());
}

/// A process that ends with its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An X server without a sandbox, and its socket.
fn bare_server() -> (Ended, PathBuf) {
    let mut server = Command::new("Xvfb")
        .args(["-displayfd", "1", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut number = String::new();
    let answers = server.stdout.take().unwrap();
    BufReader::new(answers).read_line(&mut number).unwrap();
    let socket = format!("/tmp/.X11-unix/X{}", number.trim());
    (Ended(server), socket.into())
}

#[test]
fn what_killed_servers_left_without_isolation_is_swept() {
    let (alive, used) = bare_server();
    let (mut dead, left) = bare_server();
    // The next server that starts may take the number, and the name, over.
    let inode = std::fs::metadata(&left).unwrap().ino();
    kill(&[dead.0.id().cast_signed()]);
    dead.0.wait().unwrap();
    let kit = backend(json!({ "sandbox": "off" }));
    assert!(std::fs::metadata(&left).map(|left| left.ino()).ok() != Some(inode));
    assert!(used.exists());
    kit.shutdown().unwrap();
    drop(alive);
    std::fs::remove_file(used).ok();
}
