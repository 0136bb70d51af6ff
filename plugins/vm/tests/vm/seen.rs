//! What can be seen of a desktop from outside: its pictures, and the files of its programs.

use sandbox_plugin_api::testkit::TestSession;
use serde_json::json;
use vm::Vm;

use super::{eventually, processes_with};

/// A picture of the screen.
pub(crate) struct Seen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    rgb: Vec<u8>,
}

impl Seen {
    pub(crate) fn of(session: &TestSession<'_, Vm>) -> Self {
        let answer = session.call_whole("vm:screenshot", json!({})).unwrap();
        let (key, media_type, bytes) = &answer.blobs[0];
        assert_eq!((key.as_str(), media_type.as_str()), ("image", "image/png"));
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        assert_eq!(answer.data["size"], json!([info.width, info.height]));
        Self {
            width: info.width,
            height: info.height,
            rgb,
        }
    }

    pub(crate) fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = usize::try_from((y * self.width + x) * 3).unwrap();
        self.rgb[at..at + 3].try_into().unwrap()
    }

    /// Pixels within `reach` of a place that differ from those of another picture.
    pub(crate) fn changed_near(&self, other: &Self, x: u32, y: u32, reach: u32) -> usize {
        let rows = y.saturating_sub(reach)..(y + reach).min(self.height);
        rows.flat_map(|row| {
            let columns = x.saturating_sub(reach)..(x + reach).min(self.width);
            columns.map(move |column| (column, row))
        })
        .filter(|(column, row)| self.pixel(*column, *row) != other.pixel(*column, *row))
        .count()
    }
}

/// A terminal in which `script` runs, that has the keyboard's focus. The script writes to files whose names begin
/// with the token.
pub(crate) struct Terminal {
    token: String,
    pid: i32,
}

impl Terminal {
    /// `script` is for `sh`; `$1` is the beginning of the names of its files.
    pub(crate) fn open(session: &TestSession<'_, Vm>, token: &str, script: &str) -> Self {
        Self::open_when(session, token, ":", script)
    }

    /// The terminal gets the click that gives it the focus when `ready` has ended.
    pub(crate) fn open_when(
        session: &TestSession<'_, Vm>,
        token: &str,
        ready: &str,
        script: &str,
    ) -> Self {
        let script = format!("{ready}; echo >$1-ready; {script}");
        let file = format!("/tmp/{token}");
        let command = [
            "xterm",
            "-geometry",
            "80x24+0+0",
            "-e",
            "sh",
            "-c",
            &script,
            token,
            &file,
        ];
        session
            .call("vm:launch", json!({ "command": command }))
            .unwrap();
        let pid = eventually("the terminal runs", || {
            let pid = processes_with(token).into_iter().min()?;
            let ready = format!("/proc/{pid}/root/tmp/{token}-ready");
            std::path::Path::new(&ready).exists().then_some(pid)
        });
        // White where the background was: the window is there, and a click gives it the focus.
        eventually("the terminal shows", || {
            (Seen::of(session).pixel(100, 200) == [255; 3]).then_some(())
        });
        session
            .call("vm:click", json!({ "x": 100, "y": 200 }))
            .unwrap();
        Self {
            token: token.into(),
            pid,
        }
    }

    /// The contents of one of its files.
    pub(crate) fn file(&self, name: &str) -> Option<String> {
        let path = format!("/proc/{}/root/tmp/{}{name}", self.pid, self.token);
        std::fs::read_to_string(path).ok()
    }

    /// Waits until a file holds exactly this.
    pub(crate) fn expect(&self, name: &str, contents: &str) {
        let mut last = None;
        let started = std::time::Instant::now();
        while last.as_deref() != Some(contents) {
            assert!(
                started.elapsed() < super::LIMIT,
                "expected {contents:?}, found {last:?}"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
            last = self.file(name);
        }
    }
}
