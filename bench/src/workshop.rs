//! Where a run takes place: the folder of the programs that are measured, a folder for what they write,
//! and the configuration that a newcomer starts with.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

/// What every measurement is given.
pub(crate) struct Workshop {
    /// Where `sandbox`, the plugins and the fixtures are: beside this program.
    pub(crate) programs: PathBuf,
    /// The default configuration.
    pub(crate) config: PathBuf,
    scratch: TempDir,
}

impl Workshop {
    /// A workshop with a new, empty folder.
    pub(crate) fn new(config: &Path) -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let programs = own.parent().context("this program is in no folder")?;
        Ok(Self {
            programs: programs.to_owned(),
            config: config.to_owned(),
            scratch: TempDir::with_prefix("sandbox-bench-")?,
        })
    }

    /// A new folder for one server, gone when the run ends.
    pub(crate) fn folder(&self) -> anyhow::Result<PathBuf> {
        Ok(TempDir::new_in(self.scratch.path())?.keep())
    }
}
