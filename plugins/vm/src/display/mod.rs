//! The provider `display`: an X display with a window manager, in a sandbox of its own.
//!
//! Reading order: this file (how a desktop starts), `room` (its sandbox and programs), `client` (its display), `grab`
//! and `keyboard` (pictures and keys), `accessibility`, `view` (for people), `cookie`.

mod accessibility;
mod client;
mod cookie;
mod grab;
mod keyboard;
mod room;
mod view;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandbox_isolation::{Limits, Machine, Mode, Mount, Policy, Size};
use serde_json::Value;

use crate::config::Config;
use crate::desktop::{Answer, Desktop, Failure, Input, Picture, Provider, Shape, View};
use accessibility::Accessibility;
use client::Client;
use cookie::Cookie;
use room::{FOLDER, Fitting, Room, socket_inside};
use view::{OpenView, Password};

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

/// The socket of a desktop's VNC view.
const VIEW: &str = "view";
/// The socket of a desktop's bus.
const BUS: &str = "bus";

/// Makes X displays.
#[derive(Debug)]
pub(crate) struct Display {
    mode: Mode,
    network: bool,
    processes: u32,
    accessibility: bool,
    /// What the machine can give; known after the warm-up.
    machine: Mutex<Option<Arc<Machine>>>,
}

impl Display {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            mode: config.sandbox,
            network: config.network,
            processes: config.max_processes,
            accessibility: config.accessibility,
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

    /// Whether every program is there that such a desktop needs.
    fn check(&self, shape: &Shape) -> Result<(), Failure> {
        let mut needed = vec![("openbox", "openbox")];
        if shape.view {
            needed.push(("Xvnc", "tigervnc-standalone-server"));
            needed.push(("vncpasswd", "tigervnc-tools"));
        } else {
            needed.push(("Xvfb", "xvfb"));
        }
        if self.accessibility {
            needed.push(("dbus-daemon", "dbus-daemon"));
        }
        let missing = needed.iter().filter(|(program, _)| !on_path(program));
        let missing: Vec<String> = missing
            .map(|(program, package)| {
                format!("the program {program} is not installed (apt-get install {package})")
            })
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::Unavailable(missing.join("; ")))
    }

    async fn open(&self, shape: &Shape) -> Result<Box<dyn Desktop>, Failure> {
        // A session may ask for a view where the backend's own desktops have none.
        self.check(shape)?;
        let machine = self.machine()?;
        let cookie = Cookie::new()?;
        let password = if shape.view {
            Some(Password::new().await?)
        } else {
            None
        };
        let mut fitting = Fitting {
            server: server(shape, machine.has_namespaces()),
            cookie: &cookie,
            files: vec![
                ("openbox.xml", include_bytes!("openbox.xml").to_vec()),
                ("mimeapps.list", include_bytes!("mimeapps.list").to_vec()),
            ],
            // What programs open files is looked up there after the desktop's own home.
            variables: vec![("XDG_CONFIG_DIRS", format!("{FOLDER}:/etc/xdg"))],
        };
        if let Some(password) = &password {
            fitting.files.push(("password", password.file.clone()));
        }
        let bus = self
            .accessibility
            .then(|| Bus::new(machine.has_namespaces()))
            .transpose()?;
        if let Some(bus) = &bus {
            bus.furnish(&mut fitting);
        }
        let room = Room::open(&machine, &self.policy(shape), fitting).await?;
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
        let accessibility = match bus {
            Some(bus) => Some(bus.start(&room).await?),
            None => None,
        };
        let view = match password {
            Some(password) => {
                let (socket, folder) = room.socket(VIEW)?;
                Some(OpenView::open(socket, folder, password.text).await?)
            }
            None => None,
        };
        let screen = Screen {
            client: Arc::new(Mutex::new(client)),
            accessibility,
            view,
            room,
        };
        screen.ask(|client| client.await_window_manager()).await?;
        Ok(Box::new(screen))
    }
}

/// The command line of the X server.
fn server(shape: &Shape, private: bool) -> Vec<String> {
    let (width, height) = shape.screen_size;
    let screen = if shape.view {
        let socket = socket_inside(private, VIEW);
        // No port of its own: it would be open to the network. The size is what the worker asked for, whatever a
        // viewer would like.
        format!(
            "Xvnc -geometry {width}x{height} -depth 24 -AcceptSetDesktopSize=0 -AlwaysShared \
             -rfbport -1 -rfbunixpath {socket} -rfbunixmode 0600 -SecurityTypes VncAuth -PasswordFile {FOLDER}/password"
        )
    } else {
        format!("Xvfb -screen 0 {width}x{height}x24")
    };
    // Where the machine's `/tmp` is seen, the socket has no file there: one would outlive a server that is killed.
    let file = if private { "" } else { "-nolisten unix" };
    let words = format!("{screen} -nolisten tcp {file} -noreset -dpi 96");
    words.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The bus of a desktop, before it runs.
struct Bus {
    address: String,
    private: bool,
}

impl Bus {
    fn new(private: bool) -> Result<Self, Failure> {
        let address = if private {
            format!("unix:path={}", socket_inside(true, BUS))
        } else {
            // Programs have directories of their own, so that a relative path does not do; this leaves nothing behind.
            let mut salt = [0; 8];
            getrandom::fill(&mut salt).map_err(std::io::Error::other)?;
            format!("unix:abstract=sandbox-vm-{:016x}", u64::from_ne_bytes(salt))
        };
        Ok(Self { address, private })
    }

    fn furnish(&self, fitting: &mut Fitting<'_>) {
        let config = include_str!("bus.xml").replace("@ADDRESS@", &self.address);
        fitting.files.push(("bus.xml", config.into_bytes()));
        for name in ["DBUS_SESSION_BUS_ADDRESS", "AT_SPI_BUS_ADDRESS"] {
            fitting.variables.push((name, self.address.clone()));
        }
        fitting
            .variables
            .push(("QT_LINUX_ACCESSIBILITY_ALWAYS_ON", "1".into()));
    }

    async fn start(&self, room: &Room) -> Result<Accessibility, Failure> {
        let config = format!("--config-file={}", room.inside("bus.xml"));
        let daemon = ["dbus-daemon", &config, "--fork", "--nopidfile"].map(str::to_owned);
        // It forks when it can be connected to.
        if room.run(&daemon, START_LIMIT).await? != 0 {
            return Err(Failure::Refused("the desktop's bus did not start".into()));
        }
        let stream = if self.private {
            let (path, _folder) = room.socket(BUS)?;
            UnixStream::connect(path)?
        } else {
            let name = self.address.rsplit('=').next().unwrap_or_default();
            let address = SocketAddr::from_abstract_name(name)?;
            UnixStream::connect_addr(&address)?
        };
        Accessibility::connect(stream).await
    }
}

impl Provider for Display {
    fn prepare<'a>(&'a self, shape: &'a Shape) -> Answer<'a, ()> {
        Box::pin(async move {
            self.check(shape)?;
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
    client: Arc<Mutex<Client>>,
    accessibility: Option<Accessibility>,
    view: Option<OpenView>,
    room: Room,
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

    fn accessibility(&self) -> Answer<'_, Option<Value>> {
        Box::pin(async {
            match &self.accessibility {
                Some(accessibility) => Ok(accessibility.tree().await),
                None => Ok(None),
            }
        })
    }

    fn view(&self) -> Option<View> {
        self.view.as_ref().map(|open| open.view.clone())
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
        Box::pin(async {
            if let Some(view) = &self.view {
                view.close().await;
            }
            self.room.close().await
        })
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
