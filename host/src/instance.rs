//! What a server leaves behind when it is killed, and how that goes away.
//!
//! Every server has a name (process id and start time), a directory of its own, and both in its
//! environment, which all that its plugins start inherits; the name is a limit of theirs, too. While it lives, a second process, the
//! *reaper*, waits for it to die; then it kills what still carries the name and removes the
//! directory. A server that starts does the same for dead servers whose reaper died too.

use std::{
    env,
    fs::{self, File},
    io::{self, Read},
    os::unix::{
        fs::{DirBuilderExt, MetadataExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// The environment variable that names the server that started a process.
pub const INSTANCE: &str = "SANDBOX_INSTANCE";

/// The environment variable that names the server's own directory.
pub const RUNTIME_DIR: &str = "SANDBOX_RUNTIME_DIR";

/// The file in a server's directory that is locked while the server lives.
const LOCK: &str = "lock";

/// The hidden command that runs the reaper.
pub const REAP: &str = "reap";

/// A server's name, directory and reaper.
pub struct Instance {
    directory: PathBuf,
    /// Closing this is what the reaper waits for; the system closes it whatever kills the server.
    lifeline: Option<ChildStdin>,
    reaper: Option<Child>,
    /// Locked while this lives.
    _lock: File,
}

impl Instance {
    /// Gives this process its name, in its environment and in its limits. The first thing that a server does.
    ///
    /// The environment of a process that has threads cannot be changed safely, so the process
    /// replaces itself by itself, with the two variables set: the same process id, a millisecond
    /// later.
    ///
    /// # Errors
    ///
    /// When this user's directory cannot be made.
    pub fn enter() -> io::Result<()> {
        let name = own_name();
        if env::var(INSTANCE).is_ok_and(|current| current == name) {
            mark(&name);
            return Ok(());
        }
        let directory = base()?.join(&name);
        let error = Command::new("/proc/self/exe")
            .arg0(env::args_os().next().unwrap_or_else(|| "sandbox".into()))
            .args(env::args_os().skip(1))
            .env(INSTANCE, &name)
            .env(RUNTIME_DIR, directory)
            .exec();
        Err(error)
    }

    /// Makes the server's directory, cleans up after dead servers, starts the reaper.
    ///
    /// # Errors
    ///
    /// When the directory or the reaper cannot be made.
    pub fn begin() -> io::Result<Self> {
        sweep();
        let name = own_name();
        let directory = base()?.join(&name);
        make(&directory)?;
        let lock = File::create(directory.join(LOCK))?;
        // It is free, or looked at for an instant by a server that sweeps. Where nothing can be locked, ids must do.
        let _ = flock(&lock, FlockOperation::LockExclusive);
        let mut reaper = Command::new("/proc/self/exe")
            .arg(REAP)
            .arg(&name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env_remove(INSTANCE)
            .current_dir("/")
            // Out of reach of a Ctrl-C or a kill that is meant for the server's group.
            .process_group(0)
            .spawn()?;
        Ok(Self {
            directory,
            lifeline: reaper.stdin.take(),
            reaper: Some(reaper),
            _lock: lock,
        })
    }

    /// Removes everything; called when the server has stopped by itself.
    pub fn leave(mut self) {
        let _ = fs::remove_dir_all(&self.directory);
        drop(self.lifeline.take());
        if let Some(mut reaper) = self.reaper.take() {
            let _ = reaper.wait();
        }
    }
}

/// The reaper: waits for its parent to go, then removes what the parent left.
pub fn reap(name: &str) {
    let mut nothing = [0];
    while io::stdin().read(&mut nothing).is_ok_and(|read| read > 0) {}
    remove(name);
}

/// Removes what dead servers of this user left.
fn sweep() {
    let entries = base()
        .and_then(fs::read_dir)
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    for name in names.filter(|name| is_dead(name) && !is_locked(name)) {
        tracing::warn!(server = name, "removing what a killed server left");
        remove(&name);
    }
}

/// Kills what carries the name, its server apart, until nothing does; removes the directory.
fn remove(name: &str) {
    // A process may start another between two looks; each look kills a generation.
    for _ in 0..100 {
        if kill_marked(name) == 0 {
            break;
        }
    }
    if let Ok(base) = base() {
        let _ = fs::remove_dir_all(base.join(name));
    }
}

fn kill_marked(name: &str) -> usize {
    let variable = format!("{INSTANCE}={name}");
    let limit = limit_of(name).map(|limit| limit.to_string());
    // A server that stops in order waits for its reaper, and carries the name too.
    let spared = [Some(std::process::id()), owner(name)];
    let mut killed = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|text| text.parse::<u32>().ok())
        else {
            continue;
        };
        let process = entry.path();
        let carries_it = has_variable(&process, &variable)
            || limit
                .as_deref()
                .is_some_and(|limit| has_limit(&process, limit));
        if carries_it && !spared.contains(&Some(pid)) && kill(pid) {
            killed += 1;
        }
    }
    killed
}

fn has_variable(process: &Path, variable: &str) -> bool {
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|found| found == variable.as_bytes())
}

fn has_limit(process: &Path, limit: &str) -> bool {
    let limits = fs::read_to_string(process.join("limits")).unwrap_or_default();
    let of_locks = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max file locks"));
    of_locks.and_then(|values| values.split_whitespace().next()) == Some(limit)
}

/// Marks this process, and with it all that it starts, by a limit that the kernel has not heeded since Linux 2.4.25:
/// it goes from process to process like the environment, and unlike that is not cleared by `env -i` or `sudo`.
fn mark(name: &str) {
    let Some(limit) = limit_of(name) else {
        return;
    };
    let now = getrlimit(Resource::Locks);
    let marked = Rlimit {
        current: Some(limit),
        ..now
    };
    // Under a lower limit, which nobody sets, the environment alone has to do.
    let _ = setrlimit(Resource::Locks, marked);
}

/// A number that stands for a server's name.
fn limit_of(name: &str) -> Option<u64> {
    /// Start times are counted in hundredths of a second: 700 years fit. Process ids have 22 bits at most.
    const BITS: u32 = 41;
    let (pid, started) = name.split_once('-')?;
    let (pid, started): (u64, u64) = (pid.parse().ok()?, started.parse().ok()?);
    (started < 1 << BITS && pid < 1 << 22).then_some(pid << BITS | started)
}

fn kill(pid: u32) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}

/// Whether `name` is a server's that does not live any more.
fn is_dead(name: &str) -> bool {
    owner(name).is_some_and(|pid| name_of(pid).is_none_or(|living| living != name))
}

/// Whether the server's directory is held by a process, which may be one of another process-id namespace: containers
/// can share a directory for temporary files. One that has just been made is about to be.
fn is_locked(name: &str) -> bool {
    const BEGINNING: Duration = Duration::from_secs(2);
    let Ok(directory) = base().map(|base| base.join(name)) else {
        return false;
    };
    if let Ok(lock) = File::open(directory.join(LOCK)) {
        return flock(lock, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    }
    let made = fs::metadata(directory).and_then(|metadata| metadata.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < BEGINNING))
}

/// The process id in a server's name.
fn owner(name: &str) -> Option<u32> {
    name.split_once('-')?.0.parse().ok()
}

fn own_name() -> String {
    name_of(std::process::id()).unwrap_or_default()
}

/// Process id and start time: together they never come again while the machine is up.
fn name_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in parentheses and may hold anything; the start time is the
    // 20th field after it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let started = fields.split(' ').nth(19)?;
    Some(format!("{pid}-{started}"))
}

/// Where servers of this user have their directories. It must be this user's own.
fn base() -> io::Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let base = env::temp_dir().join(format!("sandbox-{user}"));
    make(&base).map_err(|error| io::Error::other(format!("{}: {error}", base.display())))?;
    if is_own(&base, user) {
        return Ok(base);
    }
    let message = format!("{} belongs to somebody else; remove it", base.display());
    Err(io::Error::other(message))
}

/// A directory that others may pass through but not list: isolated programs run as another user
/// and have their own directories below.
fn make(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .mode(0o711)
        .recursive(true)
        .create(directory)
}

fn is_own(path: &Path, user: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir() && meta.uid() == user)
}
