//! Starts a program in a sandbox: the chain of small programs that enter the control group, set limits, give up the
//! server's user and become bubblewrap.
//!
//! The chain is `env` (only where the server ignores signals) → `sh` (enters the group, limits files) → `setpriv` (another
//! user, if the server is root) → `bwrap` → `prlimit` (only without control groups) → the program. A program in a workspace
//! passes `nsenter` after `sh`. Each replaces the one before by exec, so no step costs a process, and no code of ours runs
//! between fork and exec.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::cgroup::Group;
use crate::folder::Folder;
use crate::machine::Machine;
use crate::sandbox::Sandbox;
use crate::tree::Boundary;
use crate::workspace::Door;
use crate::{Mount, Policy, SESSION_FOLDER, bubblewrap, folder, spawner};

/// Enters every control group named before `--`, sets the limits that are per process anyway, and becomes the rest.
/// `$1` is the file size in blocks of 512 bytes (POSIX), `$2` the number of open files, `$3` the filter of system calls
/// and `$4` the report, either of them perhaps empty.
const ENTER: &str = r#"ulimit -c 0; ulimit -f "$1"; ulimit -n "$2"
[ -z "$3" ] || exec 9<"$3"; [ -z "$4" ] || exec 8>"$4"; shift 4
while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done
shift; exec "$@""#;
/// The descriptor of the filter, as a word of bubblewrap's command line.
pub(crate) const FILTER_FD: &str = "9";
/// The descriptor of the report.
pub(crate) const REPORT_FD: &str = "8";

/// Names a tree of processes that no pid namespace holds together.
const TREE: &str = "SANDBOX_TREE";
/// The server's mark, by which what it left behind is found.
pub(crate) const INSTANCE: &str = "SANDBOX_INSTANCE";

/// A program to start, with a folder that it can read and the server can write.
#[derive(Debug)]
pub struct Program {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Its environment, and nothing besides. Other users of the machine can read it in the list of processes: hand
    /// secrets over in the folder.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub cwd: String,
    /// Whether bubblewrap writes a file `report` into the folder, which says whether the program was started.
    pub(crate) report: bool,
    /// What it sees besides what the policy names.
    pub(crate) mounts: Vec<Mount>,
    /// The namespace that the sandbox is made in, if not the server's.
    pub(crate) door: Option<Door>,
    folder: Folder,
}

impl Program {
    pub(crate) fn new(folder: Folder) -> Self {
        Self {
            argv: Vec::new(),
            env: Vec::new(),
            cwd: "/".into(),
            report: false,
            mounts: Vec::new(),
            door: None,
            folder,
        }
    }

    /// Has it noted whether the program itself was started; [`Sandbox::program_ended`] tells.
    pub fn report(&mut self) {
        self.report = true;
    }

    pub(crate) fn report_file(&self) -> PathBuf {
        self.folder().join("report")
    }

    /// The folder on the machine's disk. It goes when the sandbox goes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The three standard streams of a program.
#[derive(Debug)]
pub struct Stdio3 {
    /// Where it reads.
    pub stdin: Stdio,
    /// Where it writes.
    pub stdout: Stdio,
    /// Where it writes errors.
    pub stderr: Stdio,
}

/// Why a sandbox could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The control group could not be made.
    #[error("the control group could not be made")]
    Group(#[source] io::Error),
    /// A process could not be started.
    #[error("the sandbox could not be started")]
    Spawn(#[source] io::Error),
}

impl Machine {
    /// Makes the folder of a new sandbox; fill it, complete the program, then [`launch`](Self::launch) it.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn prepare(&self) -> io::Result<Program> {
        Ok(Program::new(self.root.session()?))
    }

    /// Where the program will see its folder.
    pub fn folder_inside(&self, program: &Program) -> PathBuf {
        if self.bwrap.is_some() {
            SESSION_FOLDER.into()
        } else {
            program.folder().to_owned()
        }
    }

    /// Starts a program under `policy`.
    ///
    /// # Errors
    /// When the control group cannot be made or the first process cannot be started. What goes wrong later (a mount
    /// that does not exist) ends the process with a message on its standard error.
    pub async fn launch(
        &self,
        policy: &Policy,
        program: Program,
        streams: Stdio3,
    ) -> Result<Sandbox, LaunchError> {
        let group = match &self.cgroups {
            Some((place, names)) => {
                let group = Group::create(place, &names.name(), &policy.limits);
                Some(group.map_err(LaunchError::Group)?)
            }
            None => None,
        };
        let tree = folder::unique_name();
        let mut command = self.command(policy, &program, group.as_ref(), &tree);
        command
            .stdin(streams.stdin)
            .stdout(streams.stdout)
            .stderr(streams.stderr);
        let child = spawner::spawn(command).await.map_err(LaunchError::Spawn)?;
        let boundary = if self.bwrap.is_some() {
            Boundary::Namespace
        } else {
            Boundary::Marker(format!("{TREE}={tree}"))
        };
        Ok(Sandbox::new(child, boundary, group, program))
    }

    fn command(
        &self,
        policy: &Policy,
        program: &Program,
        group: Option<&Group>,
        tree: &str,
    ) -> Command {
        let mut chain: Vec<OsString> = Vec::new();
        if let Some(env) = &self.unignore {
            chain.extend([env.into(), "--default-signal".into()]);
        }
        if !self.unlimited {
            chain.extend(["/bin/sh", "-c", ENTER, "sandbox-enter"].map(OsString::from));
            chain.push((policy.limits.file_size.0 / 512).max(1).to_string().into());
            chain.push(policy.limits.open_files.to_string().into());
            let has_namespaces = self.bwrap.is_some();
            let filter = has_namespaces.then(|| self.root.filter());
            chain.push(filter.map(PathBuf::into_os_string).unwrap_or_default());
            let report = (has_namespaces && program.report).then(|| program.report_file());
            chain.push(report.map(PathBuf::into_os_string).unwrap_or_default());
            chain.extend(
                group
                    .into_iter()
                    .flat_map(Group::doors)
                    .map(PathBuf::into_os_string),
            );
            chain.push("--".into());
        }
        if let (Some(door), Some(nsenter)) = (&program.door, &self.nsenter) {
            chain.push(nsenter.into());
            chain.push(format!("--target={}", door.keeper).into());
            let user: &[&str] = if door.user {
                &["--user", "--preserve-credentials"]
            } else {
                &[]
            };
            chain.extend(user.iter().chain(&["--mount", "--"]).map(OsString::from));
        }
        self.give_up_rights(&mut chain);
        if let Some(bwrap) = &self.bwrap {
            chain.push(bwrap.into());
            chain.extend(bubblewrap::arguments(
                policy,
                program,
                &self.root.identity(),
            ));
        }
        if !self.unlimited
            && group.is_none()
            && let Some(prlimit) = &self.prlimit
        {
            chain.push(prlimit.into());
            chain.push(format!("--nproc={0}:{0}", policy.limits.processes).into());
            chain.push(format!("--data={0}:{0}", policy.limits.memory.0).into());
            chain.push("--".into());
        }
        chain.extend(program.argv.iter().cloned());
        let mut command = Command::new(&chain[0]);
        command.args(&chain[1..]).env_clear().process_group(0);
        if self.bwrap.is_none() {
            command
                .envs(program.env.iter().map(|(name, value)| (name, value)))
                .env(TREE, tree)
                .current_dir(&program.cwd);
        }
        if let Some(instance) = std::env::var_os(INSTANCE) {
            command.env(INSTANCE, instance);
        }
        command
    }

    /// The step that gives up the server's user, or at least ties the program's life to the server's.
    fn give_up_rights(&self, chain: &mut Vec<OsString>) {
        let Some(setpriv) = &self.setpriv else {
            return;
        };
        match (&self.bwrap, self.run_as) {
            (Some(_), Some(user)) => {
                let [user, group] =
                    ["--reuid", "--regid"].map(|option| OsString::from(format!("{option}={user}")));
                chain.extend([
                    setpriv.into(),
                    user,
                    group,
                    "--clear-groups".into(),
                    "--".into(),
                ]);
            }
            (Some(_), None) => {}
            (None, _) => {
                let words = ["--pdeathsig=KILL", "--no-new-privs", "--"];
                let kept = if self.unlimited {
                    &[words[0], words[2]][..]
                } else {
                    &words
                };
                chain.push(setpriv.into());
                chain.extend(kept.iter().map(OsStr::new).map(OsStr::to_owned));
            }
        }
    }
}
