//! What an operator and a worker may configure. No defaults are decided anywhere else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sandbox_isolation::{Limits, Mode, Mount, Policy, Size, Space};
use sandbox_plugin_api::Error;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::Language;

/// The configuration of the backend.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-former" = crate::former::former()))]
pub struct Config {
    /// Seconds that a program may run when the call does not say.
    #[schemars(range(min = 0.001))]
    pub default_timeout: f64,
    /// The most seconds that a call may ask for.
    #[schemars(range(min = 0.001))]
    pub max_timeout: f64,
    /// The language of programs when neither the call nor the session says.
    pub default_language: Language,
    /// The Python that runs programs, and what it belongs to is visible in sandboxes.
    pub python: PathBuf,
    /// The Node that runs programs; the machine's own when left out.
    pub node: Option<PathBuf>,

    /// Memory of a session's program when the session does not say, files that it writes included.
    pub memory_limit: Size,
    /// The other way to write it: in MiB, instead of `memory_limit`.
    #[schemars(range(min = 16))]
    pub memory_limit_mb: Option<u64>,
    /// The most memory that a session may ask for.
    pub max_memory: Size,
    /// Processors' worth of computing time when the session does not say.
    #[schemars(range(min = 0.01))]
    pub cpu_limit: f64,
    /// The most that a session may ask for.
    #[schemars(range(min = 0.01))]
    pub max_cpus: f64,
    /// Whether programs may use the machine's network when the session does not say.
    pub network: bool,
    /// Whether a session may ask for the network.
    pub allow_network: bool,
    /// Processes and threads of a program alive at once.
    #[schemars(range(min = 1))]
    pub processes: u32,
    /// Files that one process may hold open.
    #[schemars(range(min = 16))]
    pub open_files: u32,
    /// The largest file that a program may write.
    pub file_size: Size,
    /// The size of `/tmp`, which is empty for every program, and again of `/dev/shm` and `/run`.
    pub tmp_size: Size,
    /// All files of a session together: the workspace and the home directory.
    pub workspace_size: Size,
    /// How many files and directories these may be.
    #[schemars(range(min = 16))]
    pub workspace_files: u64,

    /// The most bytes of a call's code, input and files together.
    pub max_input_bytes: Size,
    /// The most bytes of one output that an answer holds; the rest is counted and dropped.
    #[schemars(range(min = 1))]
    pub max_output_bytes: usize,
    /// The most bytes of a file that one `code:read` answers, and the most that `code:edit` changes.
    pub max_file_bytes: Size,
    /// The most files that an answer lists, and lines that `code:grep` finds.
    #[schemars(range(min = 1))]
    pub max_results: usize,
    /// The most pictures that an answer holds.
    #[schemars(range(max = 16))]
    pub max_images: usize,
    /// The largest picture that an answer holds.
    pub max_image_bytes: Size,

    /// Directories below which a session's `source_dir` may lie.
    pub source_roots: Vec<PathBuf>,
    /// Environment variables of every program.
    pub env: BTreeMap<String, String>,
    /// How much isolation is insisted on: `on`, `best_effort` or `off`.
    pub sandbox: Mode,
    /// Files and directories of the machine that programs see besides the system's own.
    pub mounts: Vec<Mount>,
    /// The user id that programs run under when the server runs as root; `nobody` when left out.
    pub run_as: Option<u32>,
}

impl Default for Config {
    // Enough for a data scientist's script, little enough that a few dozen sessions fit on a small machine.
    fn default() -> Self {
        Self {
            default_timeout: 30.0,
            max_timeout: 600.0,
            default_language: Language::Python,
            python: "/usr/bin/python3".into(),
            node: None,
            memory_limit: DEFAULT_MEMORY,
            memory_limit_mb: None,
            max_memory: Size::mib(4096),
            cpu_limit: 1.0,
            max_cpus: 4.0,
            network: false,
            allow_network: false,
            processes: 128,
            open_files: 1024,
            file_size: Size::mib(256),
            tmp_size: Size::mib(256),
            workspace_size: Size::mib(256),
            workspace_files: 20_000,
            max_input_bytes: Size::mib(16),
            max_output_bytes: 256 * 1024,
            max_file_bytes: Size::mib(4),
            max_results: 1_000,
            max_images: 8,
            max_image_bytes: Size::mib(4),
            source_roots: Vec::new(),
            env: BTreeMap::new(),
            sandbox: Mode::default(),
            mounts: Vec::new(),
            run_as: None,
        }
    }
}

impl Config {
    /// The configuration with one way to write each setting.
    ///
    /// # Errors
    /// When a setting is written in both ways.
    pub(crate) fn settled(mut self) -> Result<Self, String> {
        if let Some(mib) = self.memory_limit_mb.take() {
            // Nobody who writes the default notices that the other way wins.
            if self.memory_limit != DEFAULT_MEMORY {
                return Err("memory_limit and memory_limit_mb are the same: keep one".into());
            }
            self.memory_limit = mib
                .checked_mul(1 << 20)
                .map(Size)
                .ok_or("memory_limit_mb is more than any memory")?;
        }
        Ok(self)
    }

    /// The isolation that the warm-up has to prove possible.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            mode: self.sandbox,
            network: self.network,
            limits: Limits {
                memory: self.memory_limit,
                processes: self.processes,
                cpus: self.cpu_limit,
                file_size: self.file_size,
                tmp_size: self.tmp_size,
                open_files: self.open_files,
            },
            mounts: Vec::new(),
            run_as: self.run_as,
        }
    }

    /// How large a session's files may grow.
    pub(crate) fn space(&self) -> Space {
        Space {
            size: self.workspace_size,
            files: self.workspace_files,
        }
    }

    /// What no schema says.
    ///
    /// # Errors
    /// The first value that cannot work, with its key.
    pub(crate) fn check(&self) -> Result<(), String> {
        let positive = [
            ("default_timeout", self.default_timeout),
            ("max_timeout", self.max_timeout),
            ("cpu_limit", self.cpu_limit),
            ("max_cpus", self.max_cpus),
        ];
        if let Some((key, value)) = positive
            .iter()
            .find(|(_, value)| !value.is_finite() || *value <= 0.0)
        {
            return Err(format!("{key} must be a positive number, not {value}"));
        }
        if self.default_timeout > self.max_timeout {
            return Err(format!(
                "default_timeout ({}) is over max_timeout ({})",
                self.default_timeout, self.max_timeout
            ));
        }
        if self.memory_limit > self.max_memory {
            return Err(format!(
                "memory_limit ({}) is over max_memory ({})",
                self.memory_limit, self.max_memory
            ));
        }
        if self.memory_limit < LEAST_MEMORY {
            return Err(format!("memory_limit must be at least {LEAST_MEMORY}"));
        }
        if self.cpu_limit > self.max_cpus {
            return Err(format!(
                "cpu_limit ({}) is over max_cpus ({})",
                self.cpu_limit, self.max_cpus
            ));
        }
        let counts = [
            ("max_output_bytes", self.max_output_bytes),
            ("max_results", self.max_results),
            ("processes", self.processes as usize),
        ];
        if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(format!("{key} must be at least 1"));
        }
        let most = crate::pictures::KEYS.len();
        if self.max_images > most {
            return Err(format!("max_images must be at most {most}"));
        }
        let sources = self.mounts.iter().map(|mount| ("mounts", &mount.source));
        let roots = self.source_roots.iter().map(|root| ("source_roots", root));
        let interpreters = std::iter::once(("python", &self.python))
            .chain(self.node.iter().map(|node| ("node", node)));
        if let Some((key, path)) = sources
            .chain(roots)
            .chain(interpreters)
            .find(|(_, path)| !path.is_absolute())
        {
            return Err(format!("{key}: {} is not an absolute path", path.display()));
        }
        if self.run_as == Some(0) {
            return Err("run_as must not be 0: root owns the machine even without rights".into());
        }
        let bad = |(name, value): &(&String, &String)| {
            name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
        };
        match self.env.iter().find(bad) {
            Some((name, _)) => Err(format!("env: {name:?} is not a variable")),
            None => Ok(()),
        }
    }
}

/// Enough for a data scientist's script.
const DEFAULT_MEMORY: Size = Size::mib(512);

/// An interpreter alone needs some of it.
const LEAST_MEMORY: Size = Size::mib(16);

/// The configuration of a session: the backend's, overlaid by what the worker asks for.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionConfig {
    /// The language of programs when a call does not say.
    pub default_language: Option<Language>,
    /// Memory of a program and everything it starts, files that it writes included: "256m".
    pub memory_limit: Option<Size>,
    /// Processors' worth of computing time; 0.5 is half of one.
    pub cpu_limit: Option<f64>,
    /// Whether programs may use the machine's network, if the backend allows sessions to ask.
    pub network: Option<bool>,
    /// A directory of the server that the workspace starts as a copy of.
    pub source_dir: Option<PathBuf>,
}

impl SessionConfig {
    /// The isolation of this session.
    ///
    /// # Errors
    /// What is over the backend's limits.
    pub(crate) fn policy(&self, config: &Config) -> Result<Policy, Error> {
        let mut policy = config.policy();
        if let Some(memory) = self.memory_limit {
            if memory > config.max_memory || memory < LEAST_MEMORY {
                let message = format!(
                    "expected a size from {LEAST_MEMORY} to {}, found {memory}",
                    config.max_memory
                );
                return Err(Error::param("/memory_limit", message));
            }
            policy.limits.memory = memory;
        }
        if let Some(cpus) = self.cpu_limit {
            if !cpus.is_finite() || cpus < 0.01 || cpus > config.max_cpus {
                let message = format!(
                    "expected a number from 0.01 to {}, found {cpus}",
                    config.max_cpus
                );
                return Err(Error::param("/cpu_limit", message));
            }
            policy.limits.cpus = cpus;
        }
        if let Some(network) = self.network {
            if network && !config.network && !config.allow_network {
                return Err(Error::forbidden(
                    "parameter /network: this server gives sessions no network; its operator can set \"allow_network\"",
                ));
            }
            policy.network = network;
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use sandbox_plugin_api::prelude::{Value, json};

    use super::*;

    fn memory(config: Value) -> Result<Size, String> {
        let config: Config = serde_json::from_value(config).unwrap();
        config.settled().map(|config| config.memory_limit)
    }

    #[test]
    fn memory_is_written_in_one_of_two_ways() {
        assert_eq!(memory(json!({})), Ok(Size::mib(512)));
        assert_eq!(memory(json!({"memory_limit_mb": 768})), Ok(Size::mib(768)));
        assert_eq!(memory(json!({"memory_limit": "768m"})), Ok(Size::mib(768)));
        assert!(memory(json!({"memory_limit": "1g", "memory_limit_mb": 768})).is_err());
        assert!(memory(json!({"memory_limit_mb": u64::MAX})).is_err());
    }
}
