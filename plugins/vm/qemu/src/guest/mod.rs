//! A running guest: picture, input, snapshots, power, programs.
//!
//! Read `input` for what it can be given, `keyboard` and `tablet` for how that reaches it, `picture` and `pointer` for
//! what it shows, `snapshots`, `agent`, `view`.

mod agent;
mod input;
pub(crate) mod keyboard;
mod keys;
mod picture;
pub(crate) mod pointer;
mod snapshots;
pub(crate) mod tablet;
pub(crate) mod view;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use crate::{Error, Result, process::Process, template::Template};

pub use input::{Button, Input};
pub use picture::Picture;
pub use view::View;

use input::{Hands, Screen};

/// What a guest may take to read a key. Longer than any program blocks a kernel; shorter than a caller waits.
const ANSWER: Duration = Duration::from_secs(20);

/// A running virtual machine. Dropping it kills it, without waiting until it is gone.
#[derive(Debug)]
pub struct Guest {
    process: Process,
    /// Held by who gives input: one at a time, for as long as a text takes.
    hands: Mutex<Hands>,
    /// Not held across anything that waits, so that pictures can be taken while a text is typed.
    screen: StdMutex<Screen>,
    snapshots: Mutex<BTreeMap<String, (Hands, Screen)>>,
    view: Option<View>,
    /// Its memory and its disk lie over the template's.
    template: Arc<Template>,
}

/// What can be done with a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// The reset button.
    Reset,
    /// The power button: the guest may shut down or not.
    Button,
    /// The processors stand still.
    Pause,
    /// They go on.
    Resume,
}

#[derive(Debug, Deserialize)]
struct Status {
    running: bool,
    status: String,
}

impl Guest {
    pub(crate) fn new(process: Process, template: Arc<Template>, view: Option<View>) -> Self {
        let facts = template.facts();
        let screen = Screen {
            pointer: facts.pointer,
            size: facts.size,
        };
        Self {
            process,
            hands: Mutex::default(),
            screen: StdMutex::new(screen),
            snapshots: Mutex::default(),
            view,
            template,
        }
    }

    /// Takes a picture of the screen. The pointer is drawn into it if the guest does not do so itself.
    pub async fn picture(&self) -> Result<Picture> {
        let mut picture = Picture::take(&self.process).await?;
        let at = {
            let mut screen = self.screen();
            screen.size = picture.size();
            screen.pointer
        };
        if !self.template.facts().draws_pointer {
            pointer::draw(&mut picture, at);
        }
        Ok(picture)
    }

    /// Where the pointer was sent last.
    #[must_use]
    pub fn pointer(&self) -> (u16, u16) {
        self.screen().pointer
    }

    /// The size of the screen, as of the last picture.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        self.screen().size
    }

    /// Gives the guest input, one after another. Keys have been read by the guest when this returns; what the pointer
    /// does has been taken by its tablet.
    ///
    /// # Errors
    /// [`Error::Untypable`] when there is a character or key that the keyboard cannot give; nothing was done then.
    /// [`Error::Timeout`] when the guest does not read its keyboard.
    pub async fn act(&self, inputs: &[Input]) -> Result<()> {
        input::check(inputs)?;
        let mut hands = self.hands.lock().await;
        for input in inputs {
            hands.give(&self.process, &self.screen, input).await?;
        }
        Ok(())
    }

    /// Keeps memory, devices and disk under a name; what had that name is replaced.
    pub async fn snapshot(&self, name: &str) -> Result<()> {
        snapshots::check(name)?;
        let mut known = self.snapshots.lock().await;
        // No input in the middle.
        let hands = self.hands.lock().await;
        let now = (hands.clone(), *self.screen());
        known.remove(name);
        // There may be one that nobody knows of, of a call that was cancelled.
        snapshots::delete(&self.process, name).await?;
        snapshots::save(&self.process, name).await?;
        known.insert(name.to_owned(), now);
        Ok(())
    }

    /// Goes back to what was kept under a name.
    ///
    /// # Errors
    /// [`Error::Name`] with the names there are.
    pub async fn restore(&self, name: &str) -> Result<()> {
        let known = self.snapshots.lock().await;
        let Some(then) = known.get(name) else {
            return Err(snapshots::unknown(name, known.keys()));
        };
        let mut hands = self.hands.lock().await;
        snapshots::load(&self.process, name).await?;
        *hands = then.0.clone();
        *self.screen() = then.1;
        self.resume_and_probe().await
    }

    /// Does something with the power.
    pub async fn power(&self, power: Power) -> Result<()> {
        let command = match power {
            Power::Reset => "system_reset",
            Power::Button => "system_powerdown",
            Power::Pause => "stop",
            Power::Resume => "cont",
        };
        self.process.tell(command, json!({})).await
    }

    /// Whether it lives: it runs, and reads its keyboard.
    ///
    /// # Errors
    /// [`Error::Dead`], or what does not work.
    pub async fn probe(&self) -> Result<()> {
        let status: Status = self.process.ask("query-status", json!({})).await?;
        if !status.running {
            let message = format!("the virtual machine does not run: it is {}", status.status);
            return Err(Error::Refused(message));
        }
        let _no_input_meanwhile = self.hands.lock().await;
        keyboard::probe(&self.process, ANSWER).await
    }

    /// Starts a program in the guest and returns its process id there.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the guest has no agent, [`Error::Refused`] when it does not start the program.
    pub async fn launch(&self, command: &[String]) -> Result<u32> {
        agent::launch(self.process.agent(), command).await
    }

    /// Runs a program in the guest to its end and returns its exit code. After `limit` it is left to itself.
    pub async fn run(&self, command: &[String], limit: Duration) -> Result<i32> {
        agent::run(self.process.agent(), command, limit).await
    }

    /// Copies a file into the guest, to an absolute path there.
    pub async fn upload(&self, from: &Path, to: &str) -> Result<()> {
        agent::upload(self.process.agent(), from, to).await
    }

    /// Where a person can look at it.
    #[must_use]
    pub const fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// The process id of its QEMU on this machine.
    #[must_use]
    pub const fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Kills it and returns when nothing of it is left.
    pub async fn close(&self) {
        self.process.close().await;
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn resume_and_probe(&self) -> Result<()> {
        let status: Status = self.process.ask("query-status", json!({})).await?;
        if !status.running {
            self.process.tell("cont", json!({})).await?;
        }
        keyboard::probe(&self.process, ANSWER).await
    }
}
