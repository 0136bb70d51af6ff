//! The guest of these tests: its image, its clones, and how it talks back.
#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use tokio::{io::AsyncReadExt, net::TcpStream, runtime::Runtime};
use vm_qemu::{Guest, Input, Qemu, Settings, Shape};

/// How long anything may take on a machine that is busy.
const LONG: Duration = Duration::from_mins(1);

/// The screen's green.
pub(crate) const GREEN: [u8; 4] = [0, 170, 0, 255];
/// The screen's red.
pub(crate) const RED: [u8; 4] = [170, 0, 0, 255];

/// One runtime for all tests: the machines of one are known to all.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

static QEMU: LazyLock<Qemu> = LazyLock::new(|| {
    let (settings, _) = configuration();
    // Nothing of an earlier run, which may have been made by other code.
    let _ = fs::remove_dir_all(templates());
    Qemu::new(settings)
});

/// Builds the image, the first time.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm-guest");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/build");
    let built = Command::new(script).arg(&folder).status().unwrap();
    assert!(built.success(), "the guest's image was not built");
    folder
});

fn templates() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("vm-templates")
}

/// The image of the disk.
pub(crate) fn image() -> PathBuf {
    FOLDER.join("disk.qcow2")
}

/// The machine of these tests.
pub(crate) fn configuration() -> (Settings, Shape) {
    let settings = Settings {
        kernel: Some(FOLDER.join("vmlinuz")),
        initrd: Some(FOLDER.join("initrd")),
        kernel_args: "quiet console=ttyS0 console=tty0".into(),
        ready_text: Some("guest-ready".into()),
        template_cache: Some(templates()),
        ..Settings::default()
    };
    let shape = Shape {
        image: image(),
        snapshot: None,
        screen_size: (800, 600),
        memory_mb: 128,
        cpus: 1,
        view: false,
    };
    (settings, shape)
}

/// Runs a test on the shared runtime.
pub(crate) fn run(test: impl Future<Output = ()>) {
    RUNTIME.block_on(test);
}

/// What starts guests for all tests.
pub(crate) fn qemu() -> &'static Qemu {
    &QEMU
}

/// A guest.
pub(crate) async fn start() -> Guest {
    let (_, shape) = configuration();
    qemu().start(&shape).await.unwrap()
}

/// Types into the guest.
pub(crate) async fn say(guest: &Guest, text: &str) {
    guest.act(&[Input::Text(text.into())]).await.unwrap();
}

/// Waits until the guest's screen has this colour at its right edge, where no text is. (The last rows have none: too few
/// for a line.)
pub(crate) async fn shows(guest: &Guest, colour: [u8; 4]) {
    until(&format!("the colour {colour:?}"), || async {
        let picture = guest.picture().await.unwrap();
        picture.rgba[..800 * 4 * 300].ends_with(&colour)
    })
    .await;
}

/// Waits until `there` is true.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, there: impl Fn() -> F) {
    let begun = Instant::now();
    while !there().await {
        assert!(begun.elapsed() < LONG, "not seen in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a VNC server says first.
pub(crate) async fn vnc_greeting(port: u16) -> String {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut greeting = [0; 12];
    server.read_exact(&mut greeting).await.unwrap();
    String::from_utf8_lossy(&greeting).into_owned()
}

/// A digest as `sha256sum` writes it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat()
}
