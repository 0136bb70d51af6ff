//! What an operator may decide about isolation: the configuration types that backends embed in theirs.
//!
//! Nothing here looks at the machine.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Size;

/// How much isolation the operator insists on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything, or the backend refuses to start and names the part that this machine cannot give.
    #[default]
    On,
    /// Whatever this machine can give; what is missing is logged as a warning.
    BestEffort,
    /// None: programs run as the server's user and see what it sees.
    Off,
}

/// Limits that count the whole tree of processes of one sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of all processes together, files in `/tmp` and home included.
    pub memory: Size,
    /// Processes and threads alive at once.
    pub processes: u32,
    /// Processors' worth of computing time; 0.5 is half of one.
    #[schemars(range(min = 0.01))]
    pub cpus: f64,
    /// The largest file that a program may write.
    pub file_size: Size,
    /// The size of `/tmp`, and again of the home directory, of `/dev/shm` and of `/run`.
    pub tmp_size: Size,
    /// Files that one process may hold open.
    pub open_files: u32,
}

impl Default for Limits {
    // Enough for a compiler or a test run, little enough that a few dozen sessions fit on a small machine.
    fn default() -> Self {
        Self {
            memory: Size::mib(1024),
            processes: 256,
            cpus: 2.0,
            file_size: Size::mib(1024),
            tmp_size: Size::mib(256),
            open_files: 1024,
        }
    }
}

/// A file or directory of the machine that shows up inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The path on the machine.
    pub source: PathBuf,
    /// The path inside; the same as `source` when left out.
    #[serde(default)]
    pub target: Option<PathBuf>,
    /// Whether programs may change it, as far as its file permissions let user `run_as`.
    #[serde(default)]
    pub writable: bool,
}

/// The isolation of one backend.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// How much isolation the operator insists on.
    pub mode: Mode,
    /// Whether programs share the machine's network instead of having none.
    pub network: bool,
    /// Limits of each sandbox.
    pub limits: Limits,
    /// What else of the machine is visible inside.
    pub mounts: Vec<Mount>,
    /// The user id that programs run under when the server runs as root; `nobody` when left out.
    ///
    /// User 0 without capabilities still owns the machine's `/proc/sys` and its root-owned files, so a server that
    /// runs as root never runs isolated programs as root.
    pub run_as: Option<u32>,
}
