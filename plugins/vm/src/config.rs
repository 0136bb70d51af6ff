//! What an operator and a worker may configure. No defaults are decided anywhere else.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
pub struct Config {
    /// Who makes the desktops: `display` or `qemu`.
    pub provider: Kind,
    /// Width and height of a screen when the session does not say.
    pub screen_size: (u16, u16),
    /// Memory of a desktop with all its programs, in MiB, and the most that a session may ask for.
    #[schemars(range(min = 64))]
    pub memory_mb: u32,
    /// Processors' worth of computing time of a desktop, and the most that a session may ask for.
    #[schemars(range(min = 0.1))]
    pub cpus: f64,
    /// `false` gives every desktop a VNC view on a loopback port with a password of its own.
    pub headless: bool,
    /// Desktops kept ready.
    pub pool_size: usize,
    /// The disk image (qcow2) that virtual machines start from; read, never written.
    pub vm_path: Option<PathBuf>,
    /// The snapshot in the disk image that they start from.
    pub snapshot_name: Option<String>,
    /// Whether sessions are recorded to a video file each.
    pub recording: bool,
    /// The folder for the recordings.
    pub recording_path: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            provider: Kind::default(),
            screen_size: (1920, 1080),
            memory_mb: 2048,
            cpus: 2.0,
            headless: true,
            pool_size: 0,
            vm_path: None,
            snapshot_name: None,
            recording: false,
            recording_path: None,
        }
    }
}
