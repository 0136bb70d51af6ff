//! What this machine can give: the programs, namespaces and control groups that isolation needs, found out by trying.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::cgroup::{Cgroups, Sweeper};
use crate::folder::Root;
use crate::launch::{Program, Stdio3};
use crate::{Mode, Mount, Policy, Space};

/// The user that isolated programs of a root server run as, unless configured: `nobody` everywhere.
const NOBODY: u32 = 65_534;
/// A sandbox starts in some 10 ms; one that takes this long hangs.
const TRIAL_LIMIT: Duration = Duration::from_secs(10);
/// The folder that the server gives its plugins for what must not outlive it.
const RUNTIME_DIR: &str = "SANDBOX_RUNTIME_DIR";

/// A part of isolation that this machine cannot give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The part.
    pub part: &'static str,
    /// What was found instead.
    pub found: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.part, self.found, self.remedy)
    }
}

/// The machine cannot isolate as the policy asks.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "this machine cannot give the isolation that the configuration asks for. {}. To do without, set \"sandbox\" to \
     \"best_effort\" or \"off\"",
    .missing.iter().map(Missing::to_string).collect::<Vec<_>>().join("; ")
)]
pub struct Unavailable {
    /// Every part that is missing.
    pub missing: Vec<Missing>,
}

/// What this machine can give; made once, at warm-up.
#[derive(Debug)]
pub struct Machine {
    pub(crate) root: Arc<Root>,
    pub(crate) bwrap: Option<PathBuf>,
    pub(crate) cgroups: Option<(Cgroups, Sweeper)>,
    pub(crate) setpriv: Option<PathBuf>,
    pub(crate) prlimit: Option<PathBuf>,
    pub(crate) nsenter: Option<PathBuf>,
    /// The program `env`, where programs would inherit that this process ignores signals.
    pub(crate) unignore: Option<PathBuf>,
    /// Whether workspaces are filesystems of a limited size.
    pub(crate) workspaces: bool,
    /// The user that programs run as, when the server is root.
    pub(crate) run_as: Option<u32>,
    /// Isolation is off: no limits either.
    pub(crate) unlimited: bool,
    missing: Vec<Missing>,
}

impl Machine {
    /// Finds out what the machine can give, by starting a sandbox under `policy`, and sweeps what dead servers left.
    ///
    /// # Errors
    /// Every part that is missing, when the policy insists on all; or that there is no place for temporary folders.
    pub async fn probe(policy: &Policy) -> Result<Self, Unavailable> {
        let off = policy.mode == Mode::Off;
        let is_root = rustix::process::geteuid().is_root();
        let run_as = (is_root && !off).then(|| policy.run_as.unwrap_or(NOBODY));
        let runtime = std::env::var_os(RUNTIME_DIR).map(PathBuf::from);
        let root = Root::create(runtime.as_deref(), run_as).map_err(|error| Unavailable {
            missing: vec![missing(
                "temporary folder",
                &error,
                "free some disk space, or set TMPDIR to a writable folder",
            )],
        })?;
        let mut machine = Self {
            root,
            bwrap: None,
            cgroups: None,
            setpriv: on_path("setpriv"),
            prlimit: on_path("prlimit"),
            nsenter: on_path("nsenter"),
            unignore: on_path("env").filter(|_| ignores_signals()),
            workspaces: false,
            run_as,
            unlimited: off,
            missing: Vec::new(),
        };
        if off {
            return Ok(machine);
        }
        machine.find_cgroups();
        machine.find_bubblewrap(policy).await;
        if machine.missing.is_empty() || policy.mode == Mode::BestEffort {
            for missing in &machine.missing {
                tracing::warn!(
                    part = missing.part,
                    found = missing.found,
                    remedy = missing.remedy,
                    "running with less isolation"
                );
            }
            return Ok(machine);
        }
        Err(Unavailable {
            missing: std::mem::take(&mut machine.missing),
        })
    }

    /// Finds out whether [workspaces](Self::workspace) can be limited in size, by running a program in one.
    ///
    /// # Errors
    /// When they cannot and the policy insists.
    pub async fn probe_workspaces(
        &mut self,
        policy: &Policy,
        space: Space,
        shown: &[Mount],
    ) -> Result<(), Unavailable> {
        if !self.has_namespaces() {
            return Ok(());
        }
        self.workspaces = true;
        let Err(reason) = self.try_workspace(policy, space, shown).await else {
            return Ok(());
        };
        self.workspaces = false;
        let missing = Missing {
            part: "a workspace of a limited size (a mount namespace of its own)",
            found: reason,
            remedy: "check that every path under \"mounts\" exists; apt-get install mount util-linux; a server that runs as root needs the capability CAP_SYS_ADMIN, \
                     one that does not needs user namespaces"
                .into(),
        };
        if policy.mode == Mode::BestEffort {
            tracing::warn!(found = missing.found, "workspaces have no limit of size");
            self.missing.push(missing);
            return Ok(());
        }
        Err(Unavailable {
            missing: vec![missing],
        })
    }

    async fn try_workspace(
        &self,
        policy: &Policy,
        space: Space,
        shown: &[Mount],
    ) -> Result<(), String> {
        if self.nsenter.is_none() {
            return Err("the program nsenter is not installed".into());
        }
        let told = |error: io::Error| error.to_string();
        let workspace = self.workspace(space, shown).await.map_err(told)?;
        let program = workspace.prepare(self).map_err(told)?;
        self.try_program(policy, program).await?;
        workspace.close().await.map_err(told)
    }

    /// The parts that are missing, when the policy did not insist.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Whether programs live in namespaces of their own.
    pub fn has_namespaces(&self) -> bool {
        self.bwrap.is_some()
    }

    /// Whether limits count the whole tree of processes.
    pub fn has_groups(&self) -> bool {
        self.cgroups.is_some()
    }

    fn find_cgroups(&mut self) {
        match Cgroups::find() {
            Ok(found) => {
                let names = Sweeper::start(&found.parents());
                self.cgroups = Some((found, names));
            }
            Err(reason) => self.missing.push(Missing {
                part: "limits on the whole tree of processes (control groups)",
                found: reason,
                remedy: "run the server as root, or in a systemd unit with Delegate=yes, \
                         or with the control groups mounted writable"
                    .into(),
            }),
        }
    }

    async fn find_bubblewrap(&mut self, policy: &Policy) {
        let Some(bwrap) = on_path("bwrap") else {
            self.missing.push(Missing {
                part: "private namespaces (bubblewrap)",
                found: "the program bwrap is not installed".into(),
                remedy: "apt-get install bubblewrap".into(),
            });
            return;
        };
        if self.run_as.is_some() && self.setpriv.is_none() {
            self.missing.push(Missing {
                part: "another user than root (setpriv)",
                found: "the program setpriv is not installed".into(),
                remedy: "apt-get install util-linux, or run the server as an ordinary user".into(),
            });
            return;
        }
        self.bwrap = Some(bwrap.clone());
        if let Err(reason) = self.try_sandbox(policy).await {
            self.bwrap = None;
            self.missing.push(explain(
                &bwrap,
                self.run_as,
                self.setpriv.as_deref(),
                &reason,
            ));
        }
    }

    /// Starts a sandbox exactly as sessions will and sees whether a program runs in it.
    async fn try_sandbox(&self, policy: &Policy) -> Result<(), String> {
        let program = self.prepare().map_err(|error| error.to_string())?;
        self.try_program(policy, program).await
    }

    async fn try_program(&self, policy: &Policy, mut program: Program) -> Result<(), String> {
        program.argv = ["/bin/sh", "-c", "cd && : >file"].map(Into::into).into();
        program.env = vec![("HOME".into(), crate::HOME.into())];
        let streams = Stdio3 {
            stdin: Stdio::null(),
            stdout: Stdio::null(),
            stderr: Stdio::piped(),
        };
        let mut sandbox = self
            .launch(policy, program, streams)
            .await
            .map_err(|error| error.to_string())?;
        let mut message = String::new();
        let stderr = sandbox.take_stderr();
        let trial = async {
            if let Some(mut stderr) = stderr {
                stderr.read_to_string(&mut message).await?;
            }
            sandbox.wait().await
        };
        let ended = tokio::time::timeout(TRIAL_LIMIT, trial).await;
        drop(sandbox.kill().await);
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("{} ({status})", message.trim())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("a trial run did not end".into()),
        }
    }
}

fn missing(part: &'static str, found: &io::Error, remedy: &str) -> Missing {
    Missing {
        part,
        found: found.to_string(),
        remedy: remedy.into(),
    }
}

/// Tries the parts of bubblewrap one by one, to name the one that failed.
fn explain(bwrap: &Path, run_as: Option<u32>, setpriv: Option<&Path>, reason: &str) -> Missing {
    const NEEDS_USERNS: &str = "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, \
        kernel.apparmor_restrict_unprivileged_userns=0, user.max_user_namespaces=10000; in a container, give it \
        the system calls unshare and mount";
    const NEWER: &str = "install bubblewrap 0.8 or newer";
    let ladder: [(&'static str, &[&str], &str); 7] = [
        ("private user namespace", &["--unshare-user"], NEEDS_USERNS),
        (
            "private pid namespace",
            &["--unshare-user", "--unshare-pid"],
            "allow pid namespaces: sysctl user.max_pid_namespaces=10000",
        ),
        (
            "private ipc namespace",
            &["--unshare-user", "--unshare-ipc"],
            "allow ipc namespaces: sysctl user.max_ipc_namespaces=10000",
        ),
        (
            "private uts namespace",
            &["--unshare-user", "--unshare-uts"],
            "allow uts namespaces: sysctl user.max_uts_namespaces=10000",
        ),
        (
            "private network namespace",
            &["--unshare-user", "--unshare-net"],
            "allow network namespaces: sysctl user.max_net_namespaces=10000, or set \"network\" to true",
        ),
        (
            "private /proc",
            &["--unshare-user", "--unshare-pid", "--proc", "/proc"],
            "unmask /proc for the server: containers hide parts of it",
        ),
        (
            "temporary filesystems of a limited size, no nested namespaces",
            &[
                "--unshare-user",
                "--unshare-pid",
                "--disable-userns",
                "--size",
                "65536",
                "--tmpfs",
                "/tmp",
            ],
            NEWER,
        ),
    ];
    for (part, arguments, remedy) in ladder {
        let mut command = match (run_as, setpriv) {
            (Some(user), Some(setpriv)) => {
                let mut command = Command::new(setpriv);
                command
                    .args([format!("--reuid={user}"), format!("--regid={user}")])
                    .args(["--clear-groups", "--"])
                    .arg(bwrap);
                command
            }
            _ => Command::new(bwrap),
        };
        command
            .args(arguments)
            .args(["--ro-bind", "/", "/", "true"]);
        match first_complaint(&mut command) {
            Ok(None) => {}
            Ok(Some(complaint)) => {
                return Missing {
                    part,
                    found: complaint,
                    remedy: remedy.into(),
                };
            }
            Err(error) => return missing(part, &error, remedy),
        }
    }
    Missing {
        part: "the sandbox as configured",
        found: reason.to_owned(),
        remedy: "check that every path under \"mounts\" exists and may be read".into(),
    }
}

fn first_complaint(command: &mut Command) -> io::Result<Option<String>> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut text)?;
    }
    let failed = !child.wait()?.success();
    Ok(failed.then(|| {
        text.lines()
            .next()
            .unwrap_or("it ended without a message")
            .to_owned()
    }))
}

/// Whether this process ignores signals, as one does that a script started in the background, or `nohup`. Programs inherit
/// that, and then nothing but a kill interrupts them.
fn ignores_signals() -> bool {
    /// SIGPIPE: every Rust program ignores it, and none hands that on.
    const BROKEN_PIPE: u64 = 1 << (13 - 1);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & !BROKEN_PIPE != 0)
}

/// The absolute path of a program, if it is installed.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|file| {
            fs::metadata(file)
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}
