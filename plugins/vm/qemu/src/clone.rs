//! From a template to a running guest, in about a tenth of a second.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    Error, Guest, Result,
    guest::{keyboard, view},
    hardware::{Machine, Role},
    process::{self, Process},
    template::{Spec, Template, state},
};

/// What a clone may take to answer to its keyboard: its processors may have to wait for the machine's.
const ANSWER: Duration = Duration::from_secs(30);

/// Starts a clone and makes sure that it lives.
pub(crate) async fn start(spec: &Spec, template: Arc<Template>) -> Result<Guest> {
    let process = restored(spec, &template).await?;
    process.tell("cont", json!({})).await?;
    keyboard::probe(&process, ANSWER).await?;
    let view = if spec.shape.view {
        Some(view::open(&process).await?)
    } else {
        None
    };
    Ok(Guest::new(process, template, view))
}

async fn restored(spec: &Spec, template: &Template) -> Result<Process> {
    let folder = process::folder()?;
    let disk = folder.path().join("disk.qcow2");
    // Empty, and the same for all: a copy is quicker than making one.
    let copied = tokio::fs::copy(template.blank(), &disk).await;
    copied.map_err(Error::system("make the disk of a virtual machine"))?;
    let machine = Machine {
        shape: &spec.shape,
        settings: &spec.settings,
        accelerator: template.facts().accelerator,
        memory: &template.memory(),
        disk: &disk,
        role: Role::Clone {
            below: &template.disk(),
        },
    };
    let process = Process::start(&spec.installation, folder, machine.arguments()?).await?;
    state::load(&process, &template.state()).await?;
    Ok(process)
}
