//! What a desktop is to the tools, whoever provides it: a picture, input, programs, snapshots.
//!
//! The interface is small on purpose: everything that can be composed of it (clicks, drags, hotkeys, pyautogui calls,
//! recordings, the pool) is written once, above it. Nothing here knows a provider. Read `input` for what a desktop
//! can be given, `failure` for how it says no.

mod failure;
mod input;
mod picture;

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

pub use failure::Failure;
pub use input::{Button, Input};
pub use picture::Picture;

/// What a desktop answers.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// What a desktop is to be like. Two desktops of equal shape can stand in for each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Width and height in pixels.
    pub screen_size: (u16, u16),
    /// Memory of everything in the desktop together.
    pub memory_mb: u32,
    /// Processors' worth of computing time; a virtual machine has as many whole ones.
    pub cpus: f64,
    /// Whether a person can look at it, through VNC.
    pub view: bool,
    /// The disk image that a virtual machine starts from.
    pub image: Option<std::path::PathBuf>,
    /// The snapshot in the image that it starts from.
    pub snapshot: Option<String>,
}

/// Makes desktops of one kind.
pub trait Provider: Debug + Send + Sync + 'static {
    /// Finds out whether everything that desktops need is on this machine; sweeps what dead servers left.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] with the package to install.
    fn prepare<'a>(&'a self, shape: &'a Shape) -> Answer<'a, ()>;

    /// Starts a desktop and returns when it can be used: a picture can be taken, a window manager answers.
    ///
    /// Dropping the future stops what was started.
    fn start<'a>(&'a self, shape: &'a Shape) -> Answer<'a, Box<dyn Desktop>>;

    /// Stops what desktops share. The desktops are closed before.
    fn shutdown(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A running desktop. Dropping it stops it too, without waiting until it is gone.
pub trait Desktop: Debug + Send + Sync + 'static {
    /// Takes a picture of the screen as a person sees it: with the pointer.
    fn picture(&self) -> Answer<'_, Picture>;

    /// Where the pointer is.
    fn pointer(&self) -> Answer<'_, (u16, u16)>;

    /// The size of the screen now.
    fn size(&self) -> Answer<'_, (u16, u16)>;

    /// Gives the desktop input, one after another, and returns when the display has taken all of it.
    ///
    /// # Errors
    /// [`Failure::Refused`] when the display did not take one: what came before it was taken.
    fn act<'a>(&'a self, inputs: &'a [Input]) -> Answer<'a, ()>;

    /// What programs say about their windows, if any does.
    fn accessibility(&self) -> Answer<'_, Option<Value>> {
        Box::pin(async { Ok(None) })
    }

    /// Starts a program and returns its process id inside the desktop.
    ///
    /// # Errors
    /// [`Failure::Param`] when there is no such program.
    fn launch<'a>(&'a self, command: &'a [String]) -> Answer<'a, u32>;

    /// Runs a program to its end and returns its exit code; it is killed after `limit`.
    fn run<'a>(&'a self, command: &'a [String], limit: Duration) -> Answer<'a, i32>;

    /// Copies a file of the machine into the desktop. A path that is not absolute starts at the home directory.
    fn upload<'a>(&'a self, from: &'a Path, to: &'a str) -> Answer<'a, ()>;

    /// Keeps the desktop's state under a name.
    fn snapshot<'a>(&'a self, _name: &'a str) -> Answer<'a, ()> {
        Box::pin(async { Err(Failure::no_snapshots()) })
    }

    /// Goes back to a state that was kept.
    fn restore<'a>(&'a self, _name: &'a str) -> Answer<'a, ()> {
        Box::pin(async { Err(Failure::no_snapshots()) })
    }

    /// Where a person can look at it.
    fn view(&self) -> Option<View> {
        None
    }

    /// Whether it still works: cheap, asked before a desktop of the pool is given out.
    fn probe(&self) -> Answer<'_, ()>;

    /// Stops it and returns when nothing of it is left.
    fn close(&self) -> Answer<'_, ()>;
}

/// A VNC server that shows one desktop.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    /// The address; loopback.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The password of this desktop alone.
    pub password: String,
}
