//! What of QEMU is on this machine, and what of the environment its processes get.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::{Error, Result};

/// The emulator's program and the Debian package that has it.
const SYSTEM: (&str, &str) = ("qemu-system-x86_64", "qemu-system-x86");
/// The image tool's.
const IMAGE: (&str, &str) = ("qemu-img", "qemu-utils");

/// `snapshot-save` came with QEMU 6.0, JSON for `-object` too.
const OLDEST_MAJOR: u32 = 6;

/// What the server's reaper knows our processes by, and where its processes have their folders.
const KEPT: [&str; 2] = ["SANDBOX_INSTANCE", "SANDBOX_RUNTIME_DIR"];

/// The programs that were found.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    pub(crate) system: PathBuf,
    pub(crate) image: PathBuf,
    /// What `--version` says: a state is only loaded by the QEMU that wrote it.
    pub(crate) version: String,
}

impl Installation {
    /// Finds the programs and asks for their version.
    ///
    /// # Errors
    /// [`Error::Missing`] names the package.
    pub(crate) async fn find() -> Result<Self> {
        let system = find(SYSTEM)?;
        let image = find(IMAGE)?;
        let asked = Command::new(&system).arg("--version").output().await;
        let answer = asked.map_err(Error::system("ask QEMU for its version"))?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let version = text.lines().next().unwrap_or_default().to_owned();
        let major = version
            .split_ascii_whitespace()
            .find_map(|word| word.split_once('.')?.0.parse::<u32>().ok());
        if major.is_some_and(|major| major >= OLDEST_MAJOR) {
            return Ok(Self {
                system,
                image,
                version,
            });
        }
        tracing::warn!(%version, "this QEMU cannot be used");
        Err(Error::Config(format!(
            "QEMU {OLDEST_MAJOR}.0 or newer is needed"
        )))
    }
}

fn find((program, package): (&'static str, &'static str)) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or(Error::Missing { program, package })
}

/// The variables that QEMU gets. Not the server's: they may hold secrets, and a guest that breaks out would read them.
pub(crate) fn environment(temporary: &Path) -> Vec<(OsString, OsString)> {
    let kept = KEPT.iter().filter_map(|name| {
        let value = env::var_os(name)?;
        Some((OsString::from(name), value))
    });
    kept.chain([("TMPDIR".into(), temporary.into())]).collect()
}

/// Where the folders of machines are made: the server's own directory, which its reaper removes.
pub(crate) fn runtime_folder() -> PathBuf {
    env::var_os("SANDBOX_RUNTIME_DIR").map_or_else(env::temp_dir, PathBuf::from)
}
