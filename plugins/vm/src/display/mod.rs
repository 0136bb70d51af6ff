//! The provider `display`: an X display with a window manager, in a sandbox of its own.
//!
//! Reading order: this file (how a desktop starts), `room` (its sandbox and programs), `client` (its display), `grab`
//! and `keyboard` (pictures and keys), `cookie`.

mod client;
mod cookie;
mod grab;
mod keyboard;
mod room;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandbox_isolation::{Limits, Machine, Mode, Mount, Policy, Size};

use crate::config::Config;
use crate::desktop::{Answer, Desktop, Failure, Input, Picture, Provider, Shape};
use client::Client;
use cookie::Cookie;
use room::{Fitting, Room};

/// A desktop is there in a fraction of a second; on a machine that is busy with many, in some.
const START_LIMIT: Duration = Duration::from_mins(1);
/// Folders of the machine that desktop programs look into, besides what every sandbox sees.
const DESKTOP_FILES: [&str; 4] = [
    "/etc/xdg",
    "/etc/X11",
    "/etc/gtk-3.0",
    "/var/cache/fontconfig",
];
/// Files that one program may hold open; browsers hold many.
const OPEN_FILES: u32 = 4096;

/// Makes X displays.
#[derive(Debug)]
pub(crate) struct Display {
    mode: Mode,
    network: bool,
    processes: u32,
    /// What the machine can give; known after the warm-up.
    machine: Mutex<Option<Arc<Machine>>>,
}

impl Display {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            mode: config.sandbox,
            network: config.network,
            processes: config.max_processes,
            machine: Mutex::default(),
        }
    }

    fn policy(&self, shape: &Shape) -> Policy {
        let mounts = DESKTOP_FILES.iter().filter(|path| Path::new(path).exists());
        Policy {
            mode: self.mode,
            network: self.network,
            limits: Limits {
                memory: Size::mib(shape.memory_mb.into()),
                cpus: shape.cpus,
                processes: self.processes,
                open_files: OPEN_FILES,
                ..Limits::default()
            },
            mounts: mounts.map(read_only).collect(),
            run_as: None,
        }
    }

    fn machine(&self) -> Result<Arc<Machine>, Failure> {
        let machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = || Failure::Unavailable("the vm backend is not warmed up".into());
        machine.clone().ok_or_else(missing)
    }

    async fn open(&self, shape: &Shape) -> Result<Box<dyn Desktop>, Failure> {
        let cookie = Cookie::new()?;
        let (width, height) = shape.screen_size;
        let screen = format!("{width}x{height}x24");
        let server = [
            "Xvfb",
            "-screen",
            "0",
            &screen,
            "-nolisten",
            "tcp",
            "-noreset",
            "-dpi",
            "96",
        ];
        let fitting = Fitting {
            server: server.map(Into::into).into(),
            cookie: &cookie,
            files: &[("openbox.xml", include_bytes!("openbox.xml").to_vec())],
        };
        let room = Room::open(&*self.machine()?, &self.policy(shape), fitting).await?;
        let socket = room.connect()?;
        let connected = tokio::task::spawn_blocking(move || {
            let client = Client::connect(socket, &cookie)?;
            client.furnish()?;
            Ok::<_, Failure>(client)
        });
        let client = connected
            .await
            .unwrap_or(Err(Failure::Dead("it did not start")))?;
        let config = room.inside("openbox.xml");
        let manager = ["openbox", "--sm-disable", "--config-file", &config];
        room.launch(&manager.map(Into::into)).await?;
        let screen = Screen {
            room,
            client: Arc::new(Mutex::new(client)),
        };
        screen.ask(|client| client.await_window_manager()).await?;
        Ok(Box::new(screen))
    }
}

impl Provider for Display {
    fn prepare<'a>(&'a self, shape: &'a Shape) -> Answer<'a, ()> {
        Box::pin(async move {
            let needed = [("Xvfb", "xvfb"), ("openbox", "openbox")];
            let missing = needed.iter().filter(|(program, _)| !on_path(program));
            let missing: Vec<String> = missing
                .map(|(program, package)| {
                    format!("the program {program} is not installed (apt-get install {package})")
                })
                .collect();
            if !missing.is_empty() {
                return Err(Failure::Unavailable(missing.join("; ")));
            }
            let probed = Machine::probe(&self.policy(shape)).await;
            let machine = probed.map_err(|missing| Failure::Unavailable(missing.to_string()))?;
            *self.machine.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(machine));
            Ok(())
        })
    }

    fn start<'a>(&'a self, shape: &'a Shape) -> Answer<'a, Box<dyn Desktop>> {
        Box::pin(async move {
            let late = Failure::Timeout("the desktop did not start in time".into());
            let started = tokio::time::timeout(START_LIMIT, self.open(shape)).await;
            started.unwrap_or(Err(late))
        })
    }

    fn shutdown(&self) -> Answer<'_, ()> {
        Box::pin(async {
            // The folder of this server on disk goes with the last desktop.
            self.machine
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            Ok(())
        })
    }
}

/// A desktop on an X display.
#[derive(Debug)]
struct Screen {
    room: Room,
    client: Arc<Mutex<Client>>,
}

impl Screen {
    /// Does something with the connection, on a thread that may wait.
    async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Client) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let client = Arc::clone(&self.client);
        let asked = tokio::task::spawn_blocking(move || {
            let mut client = client
                .lock()
                .map_err(|_| Failure::Dead("its connection is spoilt"))?;
            what(&mut client)
        });
        let answer = asked
            .await
            .unwrap_or(Err(Failure::Dead("its connection is spoilt")));
        if matches!(answer, Err(Failure::Dead(_))) {
            tracing::warn!(said = self.room.last_words(), "a display ended");
        }
        answer
    }
}

impl Desktop for Screen {
    fn picture(&self) -> Answer<'_, Picture> {
        Box::pin(self.ask(Client::picture))
    }

    fn pointer(&self) -> Answer<'_, (u16, u16)> {
        Box::pin(self.ask(|client| client.pointer()))
    }

    fn size(&self) -> Answer<'_, (u16, u16)> {
        Box::pin(self.ask(|client| client.size()))
    }

    fn act<'a>(&'a self, inputs: &'a [Input]) -> Answer<'a, ()> {
        let inputs = inputs.to_vec();
        Box::pin(self.ask(move |client| client.act(&inputs)))
    }

    fn launch<'a>(&'a self, command: &'a [String]) -> Answer<'a, u32> {
        Box::pin(self.room.launch(command))
    }

    fn run<'a>(&'a self, command: &'a [String], limit: Duration) -> Answer<'a, i32> {
        Box::pin(self.room.run(command, limit))
    }

    fn upload<'a>(&'a self, from: &'a Path, to: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let brought = self.room.bring(from, "upload").await?;
            let script = r#"mkdir -p "$(dirname "$2")" && cp "$1" "$2""#;
            let words = ["sh", "-c", script, "upload", &brought, to].map(str::to_owned);
            let code = self.room.run(&words, START_LIMIT).await;
            self.room.discard("upload").await;
            match code? {
                0 => Ok(()),
                _ => Err(Failure::Refused(format!("the desktop cannot write {to:?}"))),
            }
        })
    }

    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(self.ask(|client| client.probe()))
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(self.room.close())
    }
}

fn read_only(path: &&str) -> Mount {
    Mount {
        source: (*path).into(),
        target: None,
        writable: false,
    }
}

/// Whether a program is installed.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
