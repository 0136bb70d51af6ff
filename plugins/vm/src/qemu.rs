//! Virtual machines as desktops: the crate `vm-qemu` behind this crate's interface.
//!
//! Only translation: what a machine is and does is written there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox_plugin_api::BackendEnv;
use vm_qemu::{End, Error, Guest, Input as Given, Qemu, Shape as Machine};

use crate::config::Config;
use crate::desktop::{Answer, Button, Desktop, Failure, Input, Picture, Provider, Shape, View};

/// Names of the guest's keyboard's limits in the tools' parameters.
const TEXT: &str = "/text";
const KEY: &str = "/key";

/// Makes virtual machines.
#[derive(Debug)]
pub(crate) struct Machines {
    qemu: Qemu,
    /// Where relative paths start.
    config_dir: PathBuf,
    launch_prefix: Vec<String>,
}

impl Machines {
    pub(crate) fn new(config: &Config, env: &BackendEnv) -> Self {
        let mut settings = config.qemu.clone();
        settings.network = config.network;
        let paths = [
            &mut settings.kernel,
            &mut settings.initrd,
            &mut settings.template_cache,
        ];
        for path in paths.into_iter().flatten() {
            *path = env.resolve(&*path);
        }
        Self {
            config_dir: env.config_dir().to_owned(),
            launch_prefix: settings.launch_prefix.clone(),
            qemu: Qemu::new(settings),
        }
    }

    fn machine(&self, shape: &Shape) -> Result<Machine, Failure> {
        let missing =
            || Failure::Unavailable("`vm_path`, the disk image, is not configured".into());
        Ok(Machine {
            image: self
                .config_dir
                .join(shape.image.as_ref().ok_or_else(missing)?),
            snapshot: shape.snapshot.clone(),
            screen_size: shape.screen_size,
            memory_mb: shape.memory_mb,
            cpus: whole(shape.cpus),
            view: shape.view,
        })
    }
}

impl Provider for Machines {
    fn prepare<'a>(&'a self, shape: &'a Shape) -> Answer<'a, ()> {
        Box::pin(async {
            self.qemu
                .prepare(&self.machine(shape)?)
                .await
                .map_err(failure)
        })
    }

    fn start<'a>(&'a self, shape: &'a Shape) -> Answer<'a, Box<dyn Desktop>> {
        Box::pin(async {
            let guest = self
                .qemu
                .start(&self.machine(shape)?)
                .await
                .map_err(failure)?;
            let launch_prefix = self.launch_prefix.clone();
            Ok(Box::new(VirtualMachine {
                guest,
                launch_prefix,
            }) as Box<dyn Desktop>)
        })
    }

    fn shutdown(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.qemu.shutdown();
            Ok(())
        })
    }
}

/// A virtual machine.
#[derive(Debug)]
struct VirtualMachine {
    guest: Guest,
    launch_prefix: Vec<String>,
}

impl VirtualMachine {
    /// The command as the user whose desktop it is runs it.
    fn prefixed(&self, command: &[String]) -> Vec<String> {
        self.launch_prefix.iter().chain(command).cloned().collect()
    }
}

impl Desktop for VirtualMachine {
    fn picture(&self) -> Answer<'_, Picture> {
        Box::pin(async {
            let picture = self.guest.picture().await.map_err(failure)?;
            Ok(Picture {
                width: picture.width,
                height: picture.height,
                rgba: picture.rgba,
            })
        })
    }

    fn pointer(&self) -> Answer<'_, (u16, u16)> {
        Box::pin(async { Ok(self.guest.pointer()) })
    }

    fn size(&self) -> Answer<'_, (u16, u16)> {
        Box::pin(async { Ok(self.guest.size()) })
    }

    fn act<'a>(&'a self, inputs: &'a [Input]) -> Answer<'a, ()> {
        Box::pin(async {
            let given = inputs.iter().map(given).collect::<Result<Vec<_>, _>>()?;
            let acted = self.guest.act(&given).await;
            acted.map_err(|error| match error {
                Error::Untypable(message) => {
                    let typed = inputs.iter().any(|input| matches!(input, Input::Text(_)));
                    Failure::param(if typed { TEXT } else { KEY }, message)
                }
                other => failure(other),
            })
        })
    }

    fn launch<'a>(&'a self, command: &'a [String]) -> Answer<'a, u32> {
        Box::pin(async {
            let command = self.prefixed(command);
            self.guest.launch(&command).await.map_err(failure)
        })
    }

    fn run<'a>(&'a self, command: &'a [String], limit: Duration) -> Answer<'a, i32> {
        Box::pin(async move {
            let command = self.prefixed(command);
            self.guest.run(&command, limit).await.map_err(failure)
        })
    }

    fn upload<'a>(&'a self, from: &'a Path, to: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            // The agent has no home directory.
            if !to.starts_with('/') && !to.contains(":\\") {
                let message =
                    format!("a file in a virtual machine has an absolute path, not {to:?}");
                return Err(Failure::param("/setup", message));
            }
            self.guest.upload(from, to).await.map_err(failure)
        })
    }

    fn snapshot<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async { self.guest.snapshot(name).await.map_err(failure) })
    }

    fn restore<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async { self.guest.restore(name).await.map_err(failure) })
    }

    fn view(&self) -> Option<View> {
        let view = self.guest.view()?;
        Some(View {
            host: "127.0.0.1".into(),
            port: view.port,
            password: view.password.clone(),
        })
    }

    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(async { self.guest.probe().await.map_err(failure) })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.guest.close().await;
            Ok(())
        })
    }
}

/// A part of a processor is a whole one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and 255 before it is cast"
)]
fn whole(cpus: f64) -> u32 {
    cpus.ceil().clamp(1.0, 255.0) as u32
}

fn given(input: &Input) -> Result<Given, Failure> {
    Ok(match input {
        Input::Move(x, y) => Given::Move(*x, *y),
        Input::Press(button) => Given::Press(pressed(*button)),
        Input::Release(button) => Given::Release(pressed(*button)),
        Input::Scroll(0, up) => Given::Scroll(*up),
        Input::Scroll(..) => {
            let message = "a virtual machine's mouse has no wheel that turns sideways";
            return Err(Failure::Unavailable(message.into()));
        }
        Input::KeyDown(key) => Given::KeyDown(key.keysym()),
        Input::KeyUp(key) => Given::KeyUp(key.keysym()),
        Input::Text(text) => Given::Text(text.clone()),
    })
}

const fn pressed(button: Button) -> vm_qemu::Button {
    match button {
        Button::Left => vm_qemu::Button::Left,
        Button::Middle => vm_qemu::Button::Middle,
        Button::Right => vm_qemu::Button::Right,
    }
}

/// In one place: what a machine says no with, as desktops do.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failure(error: Error) -> Failure {
    let message = error.to_string();
    match error {
        Error::Missing { .. } | Error::Config(_) | Error::Unsupported(_) => {
            Failure::Unavailable(message)
        }
        Error::Untypable(_) => Failure::param(TEXT, message),
        Error::Name(_) => Failure::param("/name", message),
        Error::Refused(_) | Error::System { .. } => Failure::Refused(message),
        Error::Timeout(_) => Failure::Timeout(message),
        Error::Dead(end) => Failure::Dead(match end {
            End::SwitchedOff => "the virtual machine was switched off",
            End::Failed(_) => "QEMU failed",
            End::Killed(_) => "QEMU was killed",
            End::Unknown => "QEMU is gone",
        }),
    }
}
