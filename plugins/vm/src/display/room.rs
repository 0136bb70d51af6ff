//! The sandbox of one desktop: its folder, the X server in it, and programs that are started beside that.
//!
//! Knows nothing of what the X server shows; that is `client`. The sandbox itself is `sandbox-isolation`'s.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandbox_isolation::{Machine, Mount, Policy, Sandbox, Stdio3};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use super::cookie::Cookie;
use crate::desktop::Failure;

/// Where X servers have their sockets.
pub(super) const X_SOCKETS: &str = "/tmp/.X11-unix";
/// The folder, within that of the desktop, where sockets are made.
const SOCKETS: &str = "sockets";
/// A started shell looks a program up and says so; more than this is a machine that does not work.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The most bytes of the last messages of the X server that are kept for the log.
const LAST_WORDS: usize = 4096;

/// A running sandbox with an X server.
#[derive(Debug)]
pub(super) struct Room {
    sandbox: Mutex<Option<Sandbox>>,
    supervisor: tokio::sync::Mutex<Supervisor>,
    folder: PathBuf,
    folder_inside: PathBuf,
    /// The number of the display.
    display: u32,
    private: bool,
    last_words: Arc<Mutex<Vec<u8>>>,
}

/// The conversation with the sandbox's first process.
#[derive(Debug)]
struct Supervisor {
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    asked: u64,
}

/// What the X server of a room is started with.
pub(super) struct Fitting<'a> {
    /// Program and arguments; the rest is added.
    pub(super) server: Vec<String>,
    /// Who may connect.
    pub(super) cookie: &'a Cookie,
    /// More files for the folder.
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
    /// Variables for every program.
    pub(super) variables: Vec<(&'static str, String)>,
}

/// Where the first process and what it starts make a socket: short enough for one, seen from the home directory.
pub(super) fn socket_inside(private: bool, name: &str) -> String {
    if private {
        format!("{X_SOCKETS}/{name}")
    } else {
        format!("../{SOCKETS}/{name}")
    }
}

/// What stands in a server's arguments and in variables for the folder, whose name is not known before.
pub(super) const FOLDER: &str = "@FOLDER@";

/// What a program answered to being started.
enum Started {
    Pid(u32),
    Missing,
}

impl Room {
    /// Starts a sandbox and the X server in it, and returns when that can be connected to.
    pub(super) async fn open(
        machine: &Machine,
        policy: &Policy,
        fitting: Fitting<'_>,
    ) -> Result<Self, Failure> {
        let private = machine.has_namespaces();
        let mut program = machine.prepare()?;
        let folder = program.folder().to_owned();
        let inside = machine.folder_inside(&program);
        let sockets = folder.join(SOCKETS);
        make_for_the_user(&folder, &sockets)?;
        put(&folder, "authority", &fitting.cookie.authority_file())?;
        put(&folder, "supervise", include_bytes!("supervise.sh"))?;
        for (name, contents) in &fitting.files {
            put(&folder, name, contents)?;
        }
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut policy = policy.clone();
        let home = if private {
            policy.mounts.push(Mount {
                source: sockets,
                target: Some(X_SOCKETS.into()),
                writable: true,
            });
            sandbox_isolation::HOME.to_owned()
        } else {
            let home = folder.join("home");
            make_for_the_user(&folder, &home)?;
            text(&home)
        };
        let placed = |text: &str| text.replace(FOLDER, &inside.to_string_lossy());
        program.argv = [
            "/bin/sh".into(),
            text(&inside.join("supervise")),
            text(&inside),
        ]
        .into_iter()
        .chain(fitting.server.iter().map(|word| placed(word)))
        .chain(["-auth".into(), text(&inside.join("authority"))])
        .map(Into::into)
        .collect();
        program.env = environment(&home, &inside, private);
        let variables = fitting.variables.into_iter();
        program
            .env
            .extend(variables.map(|(name, value)| (name.to_owned(), placed(&value))));
        let streams = Stdio3 {
            stdin: Stdio::piped(),
            stdout: Stdio::piped(),
            stderr: Stdio::piped(),
        };
        let launched = machine.launch(&policy, program, streams).await;
        let mut sandbox = launched.map_err(io::Error::other)?;
        let (Some(requests), Some(answers)) = (sandbox.take_stdin(), sandbox.take_stdout()) else {
            return Err(Failure::Dead("it did not start"));
        };
        let last_words = Arc::new(Mutex::new(Vec::new()));
        if let Some(stderr) = sandbox.take_stderr() {
            tokio::spawn(listen(stderr, Arc::clone(&last_words)));
        }
        let mut supervisor = Supervisor {
            requests,
            answers: BufReader::new(answers).lines(),
            asked: 0,
        };
        let number = supervisor.answers.next_line().await?;
        let Some(display) = number.and_then(|line| line.trim().parse().ok()) else {
            drop(sandbox.kill().await);
            let said = last_words.lock().unwrap_or_else(PoisonError::into_inner);
            tracing::warn!(said = %String::from_utf8_lossy(&said), "an X server did not start");
            return Err(Failure::Refused("the X server did not start".into()));
        };
        Ok(Self {
            sandbox: Mutex::new(Some(sandbox)),
            supervisor: tokio::sync::Mutex::new(supervisor),
            folder,
            folder_inside: inside,
            display,
            private,
            last_words,
        })
    }

    /// Connects to the X server.
    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        let name = format!("X{}", self.display);
        if !self.private {
            let name = SocketAddr::from_abstract_name(format!("{X_SOCKETS}/{name}"))?;
            return UnixStream::connect_addr(&name);
        }
        let (path, _folder) = self.socket(&name)?;
        UnixStream::connect(path)
    }

    /// The path of a socket that a program made, and the open folder that it leads through: the folder's own path is
    /// longer than the 107 bytes that a socket's may have.
    pub(super) fn socket(&self, name: &str) -> io::Result<(PathBuf, fs::File)> {
        let sockets = fs::File::open(self.folder.join(SOCKETS))?;
        let folder = PathBuf::from(format!("/proc/self/fd/{}", sockets.as_raw_fd()));
        Ok((folder.join(name), sockets))
    }

    /// Where programs see a file of the folder.
    pub(super) fn inside(&self, name: &str) -> String {
        self.folder_inside.join(name).to_string_lossy().into_owned()
    }

    /// Writes a file that programs can read, and returns the path they see it under.
    pub(super) async fn bring(&self, from: &Path, name: &str) -> Result<String, Failure> {
        let to = self.folder.join(name);
        tokio::fs::copy(from, &to).await?;
        tokio::fs::set_permissions(&to, Permissions::from_mode(0o644)).await?;
        Ok(self.inside(name))
    }

    /// Takes a file away again.
    pub(super) async fn discard(&self, name: &str) {
        // It goes with the folder at the latest.
        drop(tokio::fs::remove_file(self.folder.join(name)).await);
    }

    /// Starts a program in a process group of its own and returns its process id inside.
    pub(super) async fn launch(&self, command: &[String]) -> Result<u32, Failure> {
        let words = quoted(command)?;
        let script = format!("{}exec {words} 3>&-\n", self.prelude(command)?);
        let mut supervisor = self.supervisor.lock().await;
        let id = self.ask(&mut supervisor, &script).await?;
        supervisor.started(&id, &command[0]).await
    }

    /// Runs a program to its end, or to the end of its time.
    pub(super) async fn run(&self, command: &[String], limit: Duration) -> Result<i32, Failure> {
        let words = quoted(command)?;
        let script = format!(
            "{}timeout -k 1 {} {words} 3>&-\necho \"$id exit $?\" >&3\n",
            self.prelude(command)?,
            limit.as_secs_f64(),
        );
        let mut supervisor = self.supervisor.lock().await;
        let id = self.ask(&mut supervisor, &script).await?;
        supervisor.started(&id, &command[0]).await?;
        let end = supervisor.answer(&id, limit + ANSWER_LIMIT).await?;
        let code = end.strip_prefix("exit ").and_then(|code| code.parse().ok());
        match code {
            // What `timeout` says when it had to end the program.
            Some(124 | 137) => Err(Failure::Timeout(format!(
                "{:?} was stopped after {} s",
                command[0],
                limit.as_secs_f64()
            ))),
            Some(code) => Ok(code),
            None => Err(Failure::Dead("its first process answers strangely")),
        }
    }

    /// Kills everything and returns when nothing is left.
    pub(super) async fn close(&self) -> Result<(), Failure> {
        let sandbox = (self.sandbox.lock())
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(sandbox) = sandbox {
            sandbox.kill().await?;
        }
        Ok(())
    }

    /// The last messages of the X server and the window manager, for the log.
    pub(super) fn last_words(&self) -> String {
        let said = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).into_owned()
    }

    /// The lines before a program's own: where it belongs, and whether it is there.
    fn prelude(&self, command: &[String]) -> Result<String, Failure> {
        let program = quoted(&command[..1])?;
        Ok(format!(
            "export DISPLAY=:{}\ncommand -v {program} >/dev/null || {{ echo \"$id missing\" >&3; exit; }}\n\
             echo \"$id started $$\" >&3\n",
            self.display
        ))
    }

    async fn ask(&self, supervisor: &mut Supervisor, script: &str) -> Result<String, Failure> {
        supervisor.asked += 1;
        let id = format!("request-{}", supervisor.asked);
        put(&self.folder, &id, format!("id={id}\n{script}").as_bytes())?;
        let line = format!("{id}\n");
        let sent = supervisor.requests.write_all(line.as_bytes()).await;
        sent.map_err(|_| Failure::Dead("its display ended"))?;
        Ok(id)
    }
}

impl Supervisor {
    async fn started(&mut self, id: &str, program: &str) -> Result<u32, Failure> {
        let answer = self.answer(id, ANSWER_LIMIT).await?;
        match read_started(&answer) {
            Some(Started::Pid(pid)) => Ok(pid),
            Some(Started::Missing) => Err(Failure::param(
                "/command/0",
                format!("there is no program {program:?} in the desktop"),
            )),
            None => Err(Failure::Dead("its first process answers strangely")),
        }
    }

    /// The next answer to this request. Answers to requests that were given up are skipped.
    async fn answer(&mut self, id: &str, limit: Duration) -> Result<String, Failure> {
        let find = async {
            while let Some(line) = self.answers.next_line().await? {
                if let Some(answer) = line
                    .strip_prefix(id)
                    .and_then(|rest| rest.strip_prefix(' '))
                {
                    return Ok(answer.to_owned());
                }
            }
            Err(Failure::Dead("its display ended"))
        };
        let late = || Failure::Timeout("the desktop did not start the program in time".into());
        tokio::time::timeout(limit, find)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}

fn read_started(answer: &str) -> Option<Started> {
    if answer == "missing" {
        return Some(Started::Missing);
    }
    let pid = answer.strip_prefix("started ")?.parse().ok()?;
    Some(Started::Pid(pid))
}

/// Keeps the end of what is said.
async fn listen(mut stderr: ChildStderr, last_words: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let mut said = last_words.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend(&buffer[..count]);
        let surplus = said.len().saturating_sub(LAST_WORDS);
        said.drain(..surplus);
    }
}

/// The environment of every process: nothing of the server's.
fn environment(home: &str, folder: &Path, private: bool) -> Vec<(String, String)> {
    let user = sandbox_isolation::USER;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games";
    let inherited = std::env::var("PATH").ok().filter(|_| !private);
    [
        ("PATH", inherited.unwrap_or_else(|| path.into())),
        ("HOME", home.into()),
        ("USER", user.into()),
        ("LOGNAME", user.into()),
        ("SHELL", "/bin/bash".into()),
        ("LANG", "C.UTF-8".into()),
        (
            "XAUTHORITY",
            folder.join("authority").to_string_lossy().into_owned(),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// A folder for the user that the desktop's programs run as, who owns `folder`.
fn make_for_the_user(folder: &Path, path: &Path) -> Result<(), Failure> {
    fs::create_dir(path)?;
    let owner = fs::metadata(folder)?;
    if owner.uid() != fs::metadata(path)?.uid() {
        chown(path, Some(owner.uid()), None)?;
    }
    // X servers want the folder of their sockets like this; nobody else gets as far as here.
    fs::set_permissions(path, Permissions::from_mode(0o1777))?;
    Ok(())
}

fn put(folder: &Path, name: &str, contents: &[u8]) -> Result<(), Failure> {
    let path = folder.join(name);
    fs::write(&path, contents)?;
    // The folder is closed to others; its user must be able to read what the server writes.
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    Ok(())
}

/// The words of a command as a shell reads them back.
fn quoted(command: &[String]) -> Result<String, Failure> {
    if command.is_empty() || command[0].is_empty() {
        return Err(Failure::param("/command", "there is no program in it"));
    }
    if command.iter().any(|word| word.contains('\0')) {
        return Err(Failure::param("/command", "a word cannot hold a zero byte"));
    }
    let words: Vec<String> = command
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
        .collect();
    Ok(words.join(" "))
}
