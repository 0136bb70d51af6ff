//! A long command: started by the session's shell, in its directory and environment, and followed through two or
//! three pipes in the session's folder, or through a terminal.
//!
//! The terminal is opened in the sandbox's own instance of devpts, through the root directory that `/proc` shows of the
//! shell: the sandbox has no way to a terminal of the machine.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::termios::Winsize;
use sandbox_isolation::{Signal, Tree, descendants, is_dead, namespace_pid};
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use super::Error;
use super::console::Console;
use crate::ring::Ring;
use sandbox_isolation::whole_characters;

/// The size of a job's terminal: wide, so that few lines are broken for a reader who sees no screen.
const SIZE: Winsize = Winsize {
    ws_row: 40,
    ws_col: 160,
    ws_xpixel: 0,
    ws_ypixel: 0,
};
/// What a terminal reads as the end of input at the beginning of a line.
const END_OF_TRANSMISSION: &[u8] = &[4];
/// How long a job may take to end after a signal that asks it to, before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long a job that was killed may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The shell has not yet said that it started it.
    Starting,
    /// It runs.
    Running,
    /// It ended, with this exit code unless something killed the shell that watched it.
    Ended(Option<i32>),
}

/// What a job printed since some point, and how far it is.
#[derive(Debug)]
pub(crate) struct Progress {
    /// What it printed.
    pub(crate) text: String,
    /// Where to go on reading.
    pub(crate) offset: u64,
    /// How many bytes before `text` were asked for and are no longer kept.
    pub(crate) dropped: u64,
    /// How far it is.
    pub(crate) state: State,
}

/// A long command and what it printed.
#[derive(Debug)]
pub(crate) struct Job {
    name: String,
    shared: Arc<Shared>,
    input: tokio::sync::Mutex<Option<Input>>,
    folder: PathBuf,
    tree: Tree,
    follower: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    ring: Mutex<Ring>,
    /// Where a reader that does not say goes on.
    cursor: Mutex<u64>,
    /// The pid, as the sandbox sees it, of the shell that watches the job.
    watcher: AtomicI32,
    state: watch::Sender<State>,
    /// Counts changes of the ring.
    printed: watch::Sender<u64>,
}

/// A job's input. A terminal serves as a pipe: all we do is read and write.
#[derive(Debug)]
struct Input {
    pipe: pipe::Sender,
    is_terminal: bool,
}

/// The pipes of a job that the shell is yet to start.
pub(super) struct Prepared {
    name: String,
    terminal: Option<String>,
    folder: PathBuf,
    tree: Tree,
    status: pipe::Receiver,
    output: pipe::Receiver,
    input: Input,
}

impl Prepared {
    /// Makes the folder, the pipes and perhaps the terminal of a job.
    pub(super) fn new(
        console: &Console,
        name: String,
        command: &str,
        pty: bool,
    ) -> Result<Self, Error> {
        let folder = console.folder().join(&name);
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("command"), command)?;
        let options = pipe::OpenOptions::new();
        let status = options.open_receiver(make_pipe(folder.join("status"))?)?;
        let (terminal, output, pipe) = if pty {
            let (master, path) = open_terminal(console)?;
            let output = pipe::Receiver::from_owned_fd_unchecked(master.try_clone()?)?;
            (
                Some(path),
                output,
                pipe::Sender::from_owned_fd_unchecked(master)?,
            )
        } else {
            let output = options.open_receiver(make_pipe(folder.join("out"))?)?;
            // Opened for both directions, so that it opens before the job reads, and the job never sees an end that
            // nobody asked for.
            let both = options
                .clone()
                .read_write(true)
                .open_sender(make_pipe(folder.join("in"))?)?;
            (None, output, both)
        };
        let input = Input {
            pipe,
            is_terminal: pty,
        };
        Ok(Self {
            name,
            terminal,
            folder,
            tree: console.tree().clone(),
            status,
            output,
            input,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn terminal(&self) -> Option<&str> {
        self.terminal.as_deref()
    }

    /// Follows the job from now on.
    pub(super) fn follow(self, capacity: usize) -> Job {
        let shared = Arc::new(Shared {
            ring: Mutex::new(Ring::new(capacity)),
            cursor: Mutex::new(0),
            watcher: AtomicI32::new(0),
            state: watch::Sender::new(State::Starting),
            printed: watch::Sender::new(0),
        });
        let follower = tokio::spawn(follow(Arc::clone(&shared), self.status, self.output));
        Job {
            name: self.name,
            shared,
            input: tokio::sync::Mutex::new(Some(self.input)),
            folder: self.folder,
            tree: self.tree,
            follower,
        }
    }
}

/// Makes a pipe with a name that the sandbox's user may open.
fn make_pipe(path: PathBuf) -> io::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )?;
    // The folder above admits only the server and that user; the umask shall not shut the user out.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    Ok(path)
}

/// Opens a terminal of the sandbox; gives its controlling side and the path of the other as the sandbox sees it.
fn open_terminal(console: &Console) -> io::Result<(OwnedFd, String)> {
    let dev = format!("/proc/{}/root/dev", console.shell_pid);
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let master = rustix::fs::open(format!("{dev}/pts/ptmx"), flags, Mode::empty())
        .or_else(|_| rustix::fs::open("/dev/ptmx", flags, Mode::empty()))?;
    rustix::pty::unlockpt(&master)?;
    rustix::termios::tcsetwinsize(&master, SIZE)?;
    let name = rustix::pty::ptsname(&master, Vec::new())?;
    let path = name.into_string().map_err(io::Error::other)?;
    if let Some(user) = rustix::fs::stat(format!("/proc/{}", console.shell_pid))
        .ok()
        .map(|stat| stat.st_uid)
        && user != rustix::process::geteuid().as_raw()
    {
        let inside = format!("/proc/{}/root{path}", console.shell_pid);
        std::os::unix::fs::chown(inside, Some(user), Some(user))?;
    }
    Ok((master, path))
}

impl Job {
    /// The handle.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How far it is.
    pub(crate) fn state(&self) -> State {
        *self.shared.state.borrow()
    }

    /// Waits until the shell has started it.
    pub(super) async fn started(&self) {
        let mut state = self.shared.state.subscribe();
        // The sender lives as long as this job.
        let _ = state.wait_for(|state| *state != State::Starting).await;
    }

    /// Waits until it has ended or the time is over; gives how far it is.
    async fn ended(&self, limit: Duration) -> State {
        let mut state = self.shared.state.subscribe();
        let ended = state.wait_for(|state| matches!(state, State::Ended(_)));
        let _ = tokio::time::timeout(limit, ended).await;
        self.state()
    }

    /// What it printed from `offset` on (from where the last read ended, if not given), at most `limit` bytes. If there
    /// is nothing yet, waits for something, or for the end, until `deadline`.
    pub(crate) async fn read(
        &self,
        offset: Option<u64>,
        limit: usize,
        deadline: Instant,
    ) -> Progress {
        let from = offset.unwrap_or_else(|| *lock(&self.shared.cursor));
        let mut printed = self.shared.printed.subscribe();
        let mut state = self.shared.state.subscribe();
        loop {
            let _ = (printed.borrow_and_update(), state.borrow_and_update());
            let progress = self.look(from, limit);
            if !progress.text.is_empty() || matches!(progress.state, State::Ended(_)) {
                return progress;
            }
            let changed = async {
                tokio::select! {
                    _ = printed.changed() => {}
                    _ = state.changed() => {}
                }
            };
            if timeout_at(deadline.into(), changed).await.is_err() {
                return self.look(from, limit);
            }
        }
    }

    fn look(&self, from: u64, limit: usize) -> Progress {
        // In this order: after the end nothing more is printed, so what is read then is all.
        let state = self.state();
        let part = lock(&self.shared.ring).read(from, limit);
        let ended = matches!(state, State::Ended(_));
        let whole = whole_characters(&part.bytes);
        // A character at the end may be half written; one that never gets whole is shown at the end.
        let length = if whole == 0 && part.bytes.len() >= limit || ended && part.bytes.len() < limit
        {
            part.bytes.len()
        } else {
            whole
        };
        let offset = part.start + length as u64;
        *lock(&self.shared.cursor) = offset;
        Progress {
            text: String::from_utf8_lossy(&part.bytes[..length]).into_owned(),
            offset,
            dropped: part.start.saturating_sub(from),
            state,
        }
    }

    /// Writes to its input until `deadline`; then ends the input, if asked to. A pipe and a terminal would take it also
    /// when nobody is there to read it any more.
    pub(crate) async fn write(
        &self,
        text: &str,
        end: bool,
        deadline: Instant,
    ) -> Result<usize, Error> {
        let Ok(mut input) = timeout_at(deadline.into(), self.input.lock()).await else {
            return Err(Error::InputRefused(0));
        };
        if let State::Ended(code) = self.state() {
            return Err(self.has_ended(code, "takes no input"));
        }
        let Some(channel) = input.as_mut() else {
            return Err(Error::Param {
                pointer: "/handle".into(),
                message: "its input was ended".into(),
            });
        };
        let mut written = 0;
        let whole = async {
            let bytes = text.as_bytes();
            while written < bytes.len() {
                written += channel.pipe.write(&bytes[written..]).await?;
            }
            if end && channel.is_terminal {
                channel.pipe.write_all(END_OF_TRANSMISSION).await?;
            }
            io::Result::Ok(())
        };
        match timeout_at(deadline.into(), whole).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(Error::InputRefused(written)),
        }
        if end && !channel.is_terminal {
            // Closing it is the end.
            *input = None;
        }
        Ok(written)
    }

    /// Sends a signal. One that asks to end is followed by a kill of everything that the job started; any other needs
    /// somebody to take it.
    pub(crate) async fn stop(&self, signal: Signal) -> Result<State, Error> {
        let asks_to_end = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT].contains(&signal);
        if signal == Signal::KILL {
            self.kill();
            return Ok(self.ended(KILL_LIMIT).await);
        }
        let processes = self.processes();
        for pid in &processes {
            self.tree.signal(*pid, signal);
        }
        if !asks_to_end {
            return match self.state() {
                State::Ended(code) if processes.is_empty() => {
                    Err(self.has_ended(code, "takes no signals"))
                }
                state => Ok(state),
            };
        }
        self.ended(GRACE).await;
        self.kill();
        Ok(self.ended(KILL_LIMIT).await)
    }

    /// The refusal of what a job that has ended cannot do.
    fn has_ended(&self, code: Option<i32>, therefore: &str) -> Error {
        let code = code.map_or_else(String::new, |code| format!(" with exit code {code}"));
        Error::Param {
            pointer: "/handle".into(),
            message: format!("{} has ended{code} and {therefore}", self.name),
        }
    }

    fn kill(&self) {
        self.tree.kill_each(|| self.processes());
    }

    /// Its processes: what descends from the shell that watches it, without that shell, and what bears its mark.
    fn processes(&self) -> Vec<i32> {
        let all = self.tree.processes();
        let watcher = self.shared.watcher.load(Ordering::Acquire);
        let watching = all
            .iter()
            .map(|process| process.pid)
            .find(|pid| namespace_pid(*pid) == Some(watcher));
        let mut found: Vec<i32> = watching
            .map(|pid| descendants(pid).iter().map(|process| process.pid).collect())
            .unwrap_or_default();
        let mark = format!("SANDBOX_JOB={}", self.name);
        for process in all {
            let is_marked = || {
                environment_of(process.pid)
                    .split(|byte| *byte == 0)
                    .any(|entry| entry == mark.as_bytes())
            };
            if !found.contains(&process.pid) && Some(process.pid) != watching && is_marked() {
                found.push(process.pid);
            }
        }
        found
    }
}

/// What a process was started with. While it becomes another program, the kernel shows nothing for a moment: a look that
/// falls into it would miss the process.
fn environment_of(pid: i32) -> Vec<u8> {
    const MOMENT: Duration = Duration::from_millis(10);
    let started = Instant::now();
    loop {
        let shown = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if !shown.is_empty() || is_dead(pid) || started.elapsed() > MOMENT {
            return shown;
        }
        std::thread::yield_now();
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.follower.abort();
        if !matches!(self.state(), State::Ended(_)) {
            self.kill();
        }
        // The session's folder may be gone already.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Reads a job's output and status until both have ended. A terminal whose other side is closed answers with an
/// error: that is its end.
async fn follow(shared: Arc<Shared>, mut status: pipe::Receiver, mut output: pipe::Receiver) {
    let mut buffer = vec![0; 16 * 1024].into_boxed_slice();
    let mut said = Vec::new();
    let mut open = true;
    let exit_code = loop {
        tokio::select! {
            read = output.read(&mut buffer), if open => {
                let count = read.unwrap_or(0);
                open = count > 0;
                shared.print(&buffer[..count]);
            }
            read = status.read_buf(&mut said) => {
                if let Some(code) = shared.note(&mut said) {
                    break Some(code);
                }
                if matches!(read, Ok(0) | Err(_)) {
                    break None;
                }
            }
        }
    };
    // What the job itself has printed is in the pipe now. Something that it left behind may go on printing.
    let waiting = rustix::io::ioctl_fionread(&output);
    let mut left = waiting
        .ok()
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(0);
    while open && left > 0 {
        let count = output.read(&mut buffer).await.unwrap_or(0);
        open = count > 0;
        left = left.saturating_sub(count);
        shared.print(&buffer[..count]);
    }
    shared.state.send_replace(State::Ended(exit_code));
    while open {
        let count = output.read(&mut buffer).await.unwrap_or(0);
        open = count > 0;
        shared.print(&buffer[..count]);
    }
}

impl Shared {
    fn print(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        lock(&self.ring).add(bytes);
        self.printed.send_modify(|count| *count += 1);
    }

    /// Takes the records of the status pipe apart; gives the exit code once it is there.
    fn note(&self, said: &mut Vec<u8>) -> Option<i32> {
        while let Some(end) = said.iter().position(|byte| *byte == 0) {
            let record: Vec<u8> = said.drain(..=end).collect();
            let text = String::from_utf8_lossy(&record[..end]).into_owned();
            match text
                .split_once(' ')
                .map(|(word, number)| (word, number.parse::<i32>()))
            {
                Some(("pid", Ok(pid))) => {
                    self.watcher.store(pid, Ordering::Release);
                    self.state.send_replace(State::Running);
                }
                Some(("exit", Ok(code))) => return Some(code),
                _ => {}
            }
        }
        None
    }
}

/// A lock whose holder panicked holds whole values all the same: each change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
