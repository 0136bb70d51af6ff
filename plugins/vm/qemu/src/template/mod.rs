//! A machine that was booted once and written down, for guests to start from.
//!
//! `boot` starts the image and decides when it is ready, `state` writes down and reads what is neither memory nor disk,
//! `cache` keeps templates and makes each only once.

mod boot;
mod cache;
pub(crate) mod state;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{
    Error, Result, Settings, Shape, disk,
    guest::{Picture, pointer},
    installation::Installation,
    settings::Accelerator,
};

pub(crate) use cache::Templates;

/// What a template is made from.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) installation: Installation,
    pub(crate) settings: Arc<Settings>,
    pub(crate) shape: Shape,
}

/// What was found out about a machine while it was booted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// What it runs with, and only with this.
    pub(crate) accelerator: Accelerator,
    /// Whether the guest's own picture shows the pointer.
    pub(crate) draws_pointer: bool,
    /// The size of its picture.
    pub(crate) size: (u16, u16),
    /// Where the pointer was left.
    pub(crate) pointer: (u16, u16),
}

/// The files of a template, and what is known of it.
#[derive(Debug)]
pub(crate) struct Template {
    folder: Folder,
    facts: Facts,
}

/// Where a template is.
#[derive(Debug)]
enum Folder {
    /// In a folder that goes with it.
    Own(TempDir),
    /// In the operator's cache.
    Kept(PathBuf),
}

/// What a machine that was told to quit may take.
const QUIT: Duration = Duration::from_secs(30);

const FACTS: &str = "template.json";

impl Template {
    pub(crate) const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The guest's memory.
    pub(crate) fn memory(&self) -> PathBuf {
        memory_in(self.path())
    }

    /// The guest's disk, over the image.
    pub(crate) fn disk(&self) -> PathBuf {
        disk_in(self.path())
    }

    /// An empty overlay of the disk.
    pub(crate) fn blank(&self) -> PathBuf {
        blank_in(self.path())
    }

    /// The state of its devices.
    pub(crate) fn state(&self) -> PathBuf {
        state_in(self.path())
    }

    fn path(&self) -> &Path {
        match &self.folder {
            Folder::Own(folder) => folder.path(),
            Folder::Kept(path) => path,
        }
    }

    /// A template that was written down in this folder, if it is whole.
    fn read(path: &Path) -> Option<Self> {
        // Written last.
        let facts = std::fs::read(path.join(FACTS)).ok()?;
        Some(Self {
            facts: serde_json::from_slice(&facts).ok()?,
            folder: Folder::Kept(path.to_owned()),
        })
    }
}

fn memory_in(folder: &Path) -> PathBuf {
    folder.join("memory")
}

fn disk_in(folder: &Path) -> PathBuf {
    folder.join("disk.qcow2")
}

fn blank_in(folder: &Path) -> PathBuf {
    folder.join("blank.qcow2")
}

fn state_in(folder: &Path) -> PathBuf {
    folder.join("state")
}

/// Boots the machine and writes it down in an empty folder.
async fn make(spec: &Spec, folder: &Path) -> Result<Facts> {
    let (process, accelerator) = boot::boot(spec, folder).await?;
    let (draws_pointer, pointer) = pointer::find_out(&process).await?;
    let size = Picture::take(&process).await?.size();
    state::save(&process, &state_in(folder)).await?;
    process.tell("quit", json!({})).await?;
    let ended = timeout(QUIT, process.ended()).await;
    ended.map_err(|_| Error::Timeout("the virtual machine did not stop".into()))?;
    disk::overlay(
        &spec.installation,
        &disk_in(folder),
        "qcow2",
        &blank_in(folder),
    )
    .await?;
    let facts = Facts {
        accelerator,
        draws_pointer,
        size,
        pointer,
    };
    write_down(folder.to_owned(), &facts).await?;
    tracing::info!(?facts, "a virtual machine is ready to be cloned");
    Ok(facts)
}

/// Writes the facts once everything else is on the disk: a template that outlives the server must be whole.
async fn write_down(folder: PathBuf, facts: &Facts) -> Result<()> {
    let text = serde_json::to_vec_pretty(facts).map_err(std::io::Error::from);
    let write = move || {
        let text = text?;
        for file in [memory_in(&folder), disk_in(&folder), state_in(&folder)] {
            std::fs::File::open(file)?.sync_all()?;
        }
        std::fs::write(folder.join(FACTS), text)
    };
    let written = tokio::task::spawn_blocking(write).await;
    written
        .unwrap_or_else(|lost| Err(lost.into()))
        .map_err(Error::system("write a template down"))
}
