//! What an operator and a worker may configure. No defaults are decided anywhere else.

use std::collections::BTreeMap;

use sandbox_isolation::{HOME, Limits, Mode, Mount, Policy};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::shell::Error;

/// The configuration of the backend.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-former" = crate::former::former()))]
pub struct Config {
    /// Seconds that a command may run when the call does not say.
    #[schemars(range(min = 0.001))]
    pub default_timeout: f64,
    /// The most seconds that a call may ask for, as a timeout or as a wait.
    #[schemars(range(min = 0.001))]
    pub max_timeout: f64,
    /// Where shells start; the home directory when left out.
    pub default_cwd: Option<String>,
    /// The most bytes of one output that an answer holds; the rest is counted and dropped.
    #[schemars(range(min = 1))]
    pub max_output_bytes: usize,
    /// The most bytes of a long command's output that are kept for reading; older ones are dropped.
    #[schemars(range(min = 1))]
    pub job_buffer_bytes: usize,
    /// Long commands per session, running ones and ended ones that were not yet forgotten.
    #[schemars(range(min = 1))]
    pub max_jobs: usize,
    /// Environment variables of every session, below those of the session itself.
    pub env: BTreeMap<String, String>,
    /// How much isolation is insisted on: `on`, `best_effort` or `off`.
    pub sandbox: Mode,
    /// Whether commands may use the machine's network.
    pub network: bool,
    /// What each session may use, all its processes together.
    pub limits: Limits,
    /// Files and directories of the machine that commands see besides the system's own.
    pub mounts: Vec<Mount>,
    /// The user id that commands run under when the server runs as root; `nobody` when left out.
    pub run_as: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_timeout: 30.0,
            max_timeout: 600.0,
            default_cwd: None,
            max_output_bytes: 256 * 1024,
            job_buffer_bytes: 1024 * 1024,
            max_jobs: 16,
            env: BTreeMap::new(),
            sandbox: Mode::default(),
            network: false,
            limits: Limits::default(),
            mounts: Vec::new(),
            run_as: None,
        }
    }
}

impl Config {
    /// The isolation that this configuration asks for.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            mode: self.sandbox,
            network: self.network,
            limits: self.limits.clone(),
            mounts: self.mounts.clone(),
            run_as: self.run_as,
        }
    }

    /// What no schema says.
    ///
    /// # Errors
    /// The first value that cannot work, with its key.
    pub(crate) fn check(&self) -> Result<(), String> {
        let seconds = [
            ("default_timeout", self.default_timeout),
            ("max_timeout", self.max_timeout),
        ];
        for (key, value) in seconds {
            if !value.is_finite() || value <= 0.0 {
                return Err(format!(
                    "{key} must be a positive number of seconds, not {value}"
                ));
            }
        }
        if self.default_timeout > self.max_timeout {
            return Err(format!(
                "default_timeout ({}) is over max_timeout ({})",
                self.default_timeout, self.max_timeout
            ));
        }
        if self.max_output_bytes == 0 || self.job_buffer_bytes == 0 || self.max_jobs == 0 {
            return Err(
                "max_output_bytes, job_buffer_bytes and max_jobs must be at least 1".into(),
            );
        }
        if !self.limits.cpus.is_finite() || self.limits.cpus <= 0.0 {
            return Err(format!(
                "limits.cpus must be a positive number, not {}",
                self.limits.cpus
            ));
        }
        if let Some(mount) = self.mounts.iter().find(|mount| !mount.source.is_absolute()) {
            return Err(format!(
                "mounts: {} is not an absolute path",
                mount.source.display()
            ));
        }
        if self.run_as == Some(0) {
            return Err("run_as must not be 0: root owns the machine even without rights".into());
        }
        check_names(&self.env).map_err(|name| format!("env: {name:?} is not a name of a variable"))
    }
}

/// The configuration of a session.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionConfig {
    /// Where the shell starts.
    pub cwd: Option<String>,
    /// Environment variables of the shell.
    pub env: BTreeMap<String, String>,
    /// The shell: `bash`, or the path of one.
    pub shell: String,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            cwd: None,
            env: BTreeMap::new(),
            shell: "bash".into(),
        }
    }
}

/// How a session's shell is started, every time it is.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    /// The shell's program.
    pub(crate) shell: String,
    /// Where it starts.
    pub(crate) cwd: String,
    /// What it exports.
    pub(crate) env: BTreeMap<String, String>,
    /// Its home directory.
    pub(crate) home: String,
}

impl Start {
    /// Puts the backend's and the session's configuration together.
    ///
    /// # Errors
    /// What of the session's configuration cannot work.
    pub(crate) fn new(
        config: &Config,
        session: SessionConfig,
        has_namespaces: bool,
    ) -> Result<Self, Error> {
        if let Err(name) = check_names(&session.env) {
            return Err(Error::Param {
                pointer: "/env".into(),
                message: format!("{name:?} is not a name of a variable"),
            });
        }
        let mut env = config.env.clone();
        env.extend(session.env);
        if let Some((name, _)) = env.iter().find(|(_, value)| value.contains('\0')) {
            return Err(Error::Param {
                pointer: format!("/env/{name}"),
                message: "a value cannot hold a zero byte".into(),
            });
        }
        let machine_home = || {
            std::env::var("HOME")
                .ok()
                .filter(|home| home.starts_with('/'))
        };
        let home = if has_namespaces {
            HOME.into()
        } else {
            machine_home().unwrap_or_else(|| "/".into())
        };
        let cwd = session
            .cwd
            .or_else(|| config.default_cwd.clone())
            .unwrap_or_else(|| home.clone());
        if cwd.contains('\0') || !cwd.starts_with('/') {
            return Err(Error::Param {
                pointer: "/cwd".into(),
                message: "it must be an absolute path".into(),
            });
        }
        let shell = session.shell;
        let is_name = shell == "bash";
        if !is_name && (!shell.starts_with('/') || shell.contains('\0')) {
            return Err(Error::Param {
                pointer: "/shell".into(),
                message: "it must be \"bash\" or the path of one".into(),
            });
        }
        Ok(Self {
            shell,
            cwd,
            env,
            home,
        })
    }
}

/// A name that the shell can export, or the first that it cannot.
fn check_names(env: &BTreeMap<String, String>) -> Result<(), String> {
    let good = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    env.keys()
        .find(|name| !good(name))
        .map_or(Ok(()), |name| Err(name.clone()))
}
