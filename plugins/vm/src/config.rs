//! What an operator and a worker may configure. No defaults are decided anywhere else.

use std::path::PathBuf;

use sandbox_isolation::Mode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desktop::{Failure, Shape};
use crate::setup::Step;

/// X's coordinates are signed 16-bit numbers, and pictures of screens near that would not fit an answer.
const MOST_PIXELS: u16 = 8192;
/// Less, and no window fits.
const FEWEST_PIXELS: u16 = 64;
/// A window manager and an X server need most of this.
const LEAST_MEMORY: u32 = 96;

/// Who makes the desktops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A virtual X display with a window manager, in a sandbox.
    #[default]
    Display,
    /// A virtual machine from a disk image.
    Qemu,
}

/// The configuration of the backend.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-former" = crate::former::former()))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the keys of a file, independent of each other"
)]
pub struct Config {
    /// Who makes the desktops: `display` or `qemu`.
    pub provider: Kind,
    /// Width and height of a screen when the session does not say.
    pub screen_size: (u16, u16),
    /// Memory of a desktop with all its programs, in MiB, and the most that a session may ask for.
    #[schemars(range(min = 96))]
    pub memory_mb: u32,
    /// Processors' worth of computing time of a desktop, and the most that a session may ask for.
    #[schemars(range(min = 0.1))]
    pub cpus: f64,
    /// `false` gives every desktop a VNC view on a loopback port with a password of its own.
    pub headless: bool,
    /// What is done before a session is handed over, when the session does not say: steps, each a `type` and
    /// `parameters`.
    pub setup: Vec<Step>,
    /// Desktops kept ready for sessions that ask for nothing special.
    #[schemars(range(max = 256))]
    pub pool_size: usize,
    /// The disk image (qcow2) that virtual machines start from; read, never written.
    pub vm_path: Option<PathBuf>,
    /// The snapshot in the disk image that they start from.
    pub snapshot_name: Option<String>,
    /// Whether sessions are recorded to a video file each.
    pub recording: bool,
    /// The folder for the recordings.
    pub recording_path: Option<PathBuf>,
    /// Pictures per second of a recording.
    #[schemars(range(min = 1, max = 30))]
    pub recording_fps: u32,
    /// Folders of the machine that sessions may have files copied from.
    pub allowed_roots: Vec<PathBuf>,
    /// The most seconds that a call may ask for: a wait, a slow drag, all of the steps of a set-up together.
    #[schemars(range(min = 1.0))]
    pub max_seconds: f64,
    /// How much isolation of the display's programs is insisted on: `on`, `best_effort` or `off`.
    pub sandbox: Mode,
    /// Whether the desktop's programs may use the machine's network.
    pub network: bool,
    /// Processes and threads of a display's programs.
    #[schemars(range(min = 64))]
    pub max_processes: u32,
    /// Whether displays have a bus for accessibility, over which programs tell what their windows hold.
    pub accessibility: bool,
    /// What only virtual machines have.
    pub qemu: vm_qemu::Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            provider: Kind::default(),
            screen_size: (1920, 1080),
            // A browser with some pages fits.
            memory_mb: 2048,
            cpus: 2.0,
            headless: true,
            setup: Vec::new(),
            pool_size: 0,
            vm_path: None,
            snapshot_name: None,
            recording: false,
            recording_path: None,
            recording_fps: 5,
            allowed_roots: Vec::new(),
            max_seconds: 60.0,
            sandbox: Mode::default(),
            network: false,
            max_processes: 1024,
            accessibility: true,
            qemu: vm_qemu::Settings::default(),
        }
    }
}

impl Config {
    /// What no schema says.
    ///
    /// # Errors
    /// The first value that cannot work, with its key.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_size(self.screen_size).map_err(|wrong| format!("screen_size {wrong}"))?;
        if self.memory_mb < LEAST_MEMORY {
            return Err(format!("memory_mb must be at least {LEAST_MEMORY}"));
        }
        for (key, value) in [("cpus", self.cpus), ("max_seconds", self.max_seconds)] {
            if !value.is_finite() || value <= 0.0 {
                return Err(format!("{key} must be a positive number, not {value}"));
            }
        }
        if self.recording && self.recording_path.is_none() {
            return Err("recording needs recording_path, the folder for the videos".into());
        }
        if !(1..=30).contains(&self.recording_fps) {
            return Err("recording_fps must be from 1 to 30".into());
        }
        if self.provider == Kind::Qemu && self.vm_path.is_none() {
            return Err("provider \"qemu\" needs vm_path, the disk image to start from".into());
        }
        Ok(())
    }

    /// What a session gets that asks for nothing: what the pool keeps ready.
    pub(crate) fn shape(&self) -> Shape {
        Shape {
            screen_size: self.screen_size,
            memory_mb: self.memory_mb,
            cpus: self.cpus,
            view: !self.headless,
            image: self.vm_path.clone(),
            snapshot: self.snapshot_name.clone(),
        }
    }
}

/// The configuration of a session: the backend's, overlaid by what the worker asks for.
///
/// The worker is not trusted with what is the operator's: what it names must be the operator's value or less.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionConfig {
    /// Width and height of the screen.
    pub screen_size: Option<(u16, u16)>,
    /// What is done before the session is handed over.
    pub setup: Vec<Step>,
    /// A name for the session in answers and recordings.
    pub custom_name: Option<String>,
    /// Memory in MiB.
    pub memory_mb: Option<u32>,
    /// Processors' worth of computing time.
    pub cpus: Option<f64>,
    /// Whether there is no VNC view.
    pub headless: Option<bool>,
    /// Whether the session is recorded.
    pub recording: Option<bool>,
    /// The snapshot that a virtual machine starts from.
    pub snapshot_name: Option<String>,
    /// Who makes the desktop: the backend's `provider`.
    pub provider: Option<Kind>,
    /// The disk image: the backend's `vm_path`.
    pub vm_path: Option<PathBuf>,
    /// The folder for recordings: the backend's `recording_path`.
    pub recording_path: Option<PathBuf>,
}

impl SessionConfig {
    /// The desktop that the session wants.
    ///
    /// # Errors
    /// What the worker asked for and may not have.
    pub(crate) fn shape(&self, config: &Config) -> Result<Shape, Failure> {
        let mut shape = config.shape();
        if let Some(size) = self.screen_size {
            check_size(size).map_err(|wrong| Failure::param("/screen_size", wrong))?;
            shape.screen_size = size;
        }
        if let Some(memory) = self.memory_mb {
            if !(LEAST_MEMORY..=config.memory_mb).contains(&memory) {
                let range = format!("expected {LEAST_MEMORY} to {}", config.memory_mb);
                return Err(Failure::param("/memory_mb", range));
            }
            shape.memory_mb = memory;
        }
        if let Some(cpus) = self.cpus {
            if !(cpus > 0.0 && cpus <= config.cpus) {
                let range = format!("expected more than 0 and at most {}", config.cpus);
                return Err(Failure::param("/cpus", range));
            }
            shape.cpus = cpus;
        }
        if let Some(headless) = self.headless {
            shape.view = !headless;
        }
        if self.snapshot_name.is_some() {
            shape.snapshot.clone_from(&self.snapshot_name);
        }
        self.check_operators(config)?;
        Ok(shape)
    }

    /// What only the operator decides may be said again, and nothing else.
    fn check_operators(&self, config: &Config) -> Result<(), Failure> {
        let others = [
            (
                "/provider",
                self.provider.is_none_or(|kind| kind == config.provider),
            ),
            (
                "/vm_path",
                same(self.vm_path.as_ref(), config.vm_path.as_ref()),
            ),
            (
                "/recording_path",
                same(self.recording_path.as_ref(), config.recording_path.as_ref()),
            ),
            (
                "/recording",
                self.recording != Some(true) || config.recording_path.is_some(),
            ),
        ];
        match others.iter().find(|(_, fine)| !fine) {
            Some((pointer, _)) => Err(Failure::param(
                pointer,
                "the server's configuration decides this, and has it otherwise",
            )),
            None => Ok(()),
        }
    }
}

fn same(asked: Option<&PathBuf>, given: Option<&PathBuf>) -> bool {
    asked.is_none() || asked == given
}

fn check_size((width, height): (u16, u16)) -> Result<(), String> {
    let fits = |pixels: u16| (FEWEST_PIXELS..=MOST_PIXELS).contains(&pixels);
    if fits(width) && fits(height) {
        return Ok(());
    }
    Err(format!(
        "must be two numbers from {FEWEST_PIXELS} to {MOST_PIXELS}, not {width} and {height}"
    ))
}
