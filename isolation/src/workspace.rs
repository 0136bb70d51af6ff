//! Folders that last from program to program: a temporary filesystem of a limited size in a mount namespace of its own.
//!
//! A folder on the machine's disk has no limit that holds without quotas, and stays when the server is killed. So one
//! small process, the *keeper*, mounts a filesystem where nobody else sees it; programs are started from the keeper's
//! namespace, and the server reaches the folder through a descriptor. The keeper waits at a pipe whose other end only
//! the server holds: whatever ends the server ends the keeper, and with it the filesystem.
//!
//! Where the machine cannot do this and the operator does not insist, it is a plain folder without a limit.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdin, Command};

use crate::folder::Folder;
use crate::launch::INSTANCE;
use crate::machine::Machine;
use crate::{HOME, Mount, Program, Size, process, spawner};

/// Where programs see the folder.
pub const WORKSPACE: &str = "/workspace";
/// What lasts: the folder itself, and the home directory.
const PARTS: [&str; 2] = ["work", "home"];
/// A keeper is there in some milliseconds; one that takes this long hangs.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Every page of the filesystem holds this much.
const PAGE: u64 = 4096;

/// Mounts the filesystem on `$1` with the options `$2`, and what else is to be seen below it; then waits for the end.
const KEEP: &str = r#"umask 022; folder=$1
mount -t tmpfs -o "$2" sandbox "$folder" && mkdir -m 700 "$folder/work" "$folder/home" || exit
shift 2; number=0
for source; do
    target=$folder/mount-$number; number=$((number + 1))
    if [ -d "$source" ]; then mkdir "$target"; else : >"$target"; fi
    mount --rbind "$source" "$target" || exit
done
echo ready; exec cat >/dev/null"#;

/// How large a workspace may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The bytes of all its files.
    pub size: Size,
    /// Files and directories, the home directory's included.
    pub files: u64,
}

/// A folder that programs share, one after another or at once. Dropping it removes it.
#[derive(Debug)]
pub struct Workspace {
    keeper: Option<Keeper>,
    folder: OwnedFd,
    mounts: Vec<Mount>,
    owner: Option<u32>,
    /// Where the folder lies; in the keeper's namespace, if there is one.
    path: PathBuf,
    _folder: Folder,
}

/// The process that holds the mount namespace.
#[derive(Debug)]
struct Keeper {
    child: Child,
    pid: i32,
    started: Option<u64>,
    _lifeline: ChildStdin,
}

/// How a program enters the namespace of a workspace.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) keeper: i32,
    /// Whether the keeper has a user namespace, too: an ordinary user can mount in no other.
    pub(crate) user: bool,
}

impl Machine {
    /// Makes an empty workspace. Programs see `shown` as well, wherever on the machine it lies: the keeper has the
    /// server's rights, programs may have fewer.
    ///
    /// # Errors
    /// When the operating system refuses a step; the text names it.
    pub async fn workspace(&self, space: Space, shown: &[Mount]) -> io::Result<Workspace> {
        let folder = self.root.session()?;
        let path = folder.path().to_owned();
        let mut mounts = shown.to_vec();
        let keeper = if self.workspaces {
            let keeper = self.keeper(&path, space, shown).await?;
            for (number, mount) in mounts.iter_mut().enumerate() {
                let seen_as = path.join(format!("mount-{number}"));
                let source = std::mem::replace(&mut mount.source, seen_as);
                mount.target.get_or_insert(source);
            }
            Some(keeper)
        } else {
            for part in PARTS {
                DirBuilder::new().mode(0o700).create(path.join(part))?;
            }
            None
        };
        let place = match &keeper {
            Some(keeper) => {
                Path::new("/proc").join(format!("{}/root{}", keeper.pid, path.display()))
            }
            None => path.clone(),
        };
        let mut opened = Vec::new();
        for (part, target) in PARTS.iter().zip([WORKSPACE, HOME]) {
            let fd = rustix::fs::open(
                place.join(part),
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
                Mode::empty(),
            )?;
            self.give_to_programs(&fd)?;
            opened.push(fd);
            mounts.push(Mount {
                source: path.join(part),
                target: Some(target.into()),
                writable: true,
            });
        }
        Ok(Workspace {
            keeper,
            folder: opened.swap_remove(0),
            mounts,
            owner: self.run_as,
            path,
            _folder: folder,
        })
    }

    fn give_to_programs(&self, fd: &OwnedFd) -> io::Result<()> {
        let Some(user) = self.run_as else {
            return Ok(());
        };
        let (user, group) = (
            rustix::fs::Uid::from_raw(user),
            rustix::fs::Gid::from_raw(user),
        );
        Ok(rustix::fs::fchown(fd, Some(user), Some(group))?)
    }

    async fn keeper(&self, path: &Path, space: Space, shown: &[Mount]) -> io::Result<Keeper> {
        let owner = match self.run_as {
            Some(user) => format!(",uid={user},gid={user}"),
            None => String::new(),
        };
        let options = format!(
            "size={},nr_inodes={},mode=0700,nosuid,nodev{owner}",
            space.size.0.max(PAGE),
            // The filesystem's own folders, and the places of what is shown, count too.
            space
                .files
                .saturating_add(1 + (PARTS.len() + shown.len()) as u64),
        );
        let mut command = Command::new("unshare");
        if self.run_as.is_none() {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args([
                "--mount",
                "--propagation",
                "private",
                "/bin/sh",
                "-c",
                KEEP,
                "sandbox-keeper",
            ])
            .arg(path)
            .arg(options)
            .args(shown.iter().map(|mount| &mount.source))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(instance) = std::env::var_os(INSTANCE) {
            command.env(INSTANCE, instance);
        }
        let mut child = spawner::spawn(command).await?;
        let lifeline = child
            .stdin
            .take()
            .ok_or_else(|| io::Error::other("no pipe"))?;
        let mut said = Vec::new();
        tokio::time::timeout(START_LIMIT, hear(&mut child, &mut said))
            .await
            .map_err(|_| io::Error::other("the workspace's keeper did not start"))??;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| io::Error::other("the workspace's keeper ended"))?;
        Ok(Keeper {
            child,
            pid,
            started: process::start_time(pid),
            _lifeline: lifeline,
        })
    }
}

/// Waits until the keeper is ready; what it complains of is the error.
async fn hear(child: &mut Child, said: &mut Vec<u8>) -> io::Result<()> {
    if let Some(stdout) = &mut child.stdout {
        while !said.ends_with(b"\n") {
            let mut byte = [0];
            if stdout.read(&mut byte).await? == 0 {
                break;
            }
            said.push(byte[0]);
        }
    }
    if said == b"ready\n" {
        child.stdout = None;
        child.stderr = None;
        return Ok(());
    }
    let mut complaint = String::new();
    if let Some(stderr) = &mut child.stderr {
        stderr.read_to_string(&mut complaint).await?;
    }
    Err(io::Error::other(complaint.trim().to_owned()))
}

impl Workspace {
    /// Makes the folder of a new program that will run in the workspace, where it also starts.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn prepare(&self, machine: &Machine) -> io::Result<Program> {
        let mut program = machine.prepare()?;
        program.cwd = self.seen_as(machine, WORKSPACE, PARTS[0]);
        program.mounts.clone_from(&self.mounts);
        program.door = self.keeper.as_ref().map(|keeper| Door {
            keeper: keeper.pid,
            user: self.owner.is_none(),
        });
        Ok(program)
    }

    /// The path under which programs know the workspace.
    pub fn seen_by_programs(&self, machine: &Machine) -> String {
        self.seen_as(machine, WORKSPACE, PARTS[0])
    }

    /// The path under which programs know the home directory that lasts with the workspace.
    pub fn home_seen_by_programs(&self, machine: &Machine) -> String {
        self.seen_as(machine, HOME, PARTS[1])
    }

    fn seen_as(&self, machine: &Machine, inside: &str, part: &str) -> String {
        if machine.has_namespaces() {
            inside.to_owned()
        } else {
            self.path.join(part).to_string_lossy().into_owned()
        }
    }

    /// The workspace, to be used with the `…at` functions only: programs may put links into it at any moment.
    pub fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    /// Gives a file that the server made to the user that programs run as.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn give_to_programs(&self, file: &File) -> io::Result<()> {
        match self.owner {
            Some(user) => std::os::unix::fs::fchown(file, Some(user), Some(user)),
            None => Ok(()),
        }
    }

    /// Whether the workspace is still there; it goes when its keeper is killed.
    pub fn is_alive(&self) -> bool {
        self.keeper.as_ref().is_none_or(|keeper| {
            process::start_time(keeper.pid) == keeper.started && !process::is_dead(keeper.pid)
        })
    }

    /// Ends the keeper and waits until it is gone.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub async fn close(mut self) -> io::Result<()> {
        match &mut self.keeper {
            Some(keeper) => keeper.child.kill().await,
            None => Ok(()),
        }
    }
}
