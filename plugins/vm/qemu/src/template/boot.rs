//! Booting an image: with what, and when it is ready.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{Spec, disk_in, memory_in};
use crate::{
    Error, Result,
    disk::{self, Start},
    guest::{Picture, keyboard, tablet},
    hardware::{Machine, Role, SERIAL},
    process::{self, Process},
    settings::Accelerator,
};

/// How often a booting machine is looked at: a picture takes QEMU a few milliseconds, in which the guest stands still.
const LOOK: Duration = Duration::from_millis(500);
/// How often its serial port is.
const LISTEN: Duration = Duration::from_millis(20);
/// How long a picture must have been still to be that of a machine that is ready.
const STILL: Duration = Duration::from_secs(4);
/// What of a still picture may change, one of so many pixels: a clock, a cursor that blinks.
const BLINKS: usize = 1000;
/// What a guest that is ready may take to read a key.
const ANSWER: Duration = Duration::from_secs(30);

/// Boots the image of `spec`; its memory file and disk are made in `folder`.
///
/// Whether KVM works is decided by this very boot: a device that opens proves nothing, as some run a boot loader and
/// hang on a kernel.
pub(super) async fn boot(spec: &Spec, folder: &Path) -> Result<(Process, Accelerator)> {
    let seconds = Duration::from_secs;
    let settings = &spec.settings;
    let wanted = settings.accelerator;
    if wanted == Accelerator::Auto && kvm_opens() {
        let limit = seconds(settings.kvm_boot_seconds.min(settings.boot_seconds));
        match attempt(spec, folder, Accelerator::Kvm, limit).await {
            Ok(process) => return Ok((process, Accelerator::Kvm)),
            Err(error) => {
                tracing::info!(%error, "the image does not boot with KVM, using software emulation");
            }
        }
    }
    let accelerator = match wanted {
        Accelerator::Kvm if !kvm_opens() => {
            return Err(Error::Unsupported(
                "KVM is not usable on this machine; set `accelerator` to `auto`".into(),
            ));
        }
        Accelerator::Kvm => Accelerator::Kvm,
        Accelerator::Auto | Accelerator::Tcg => Accelerator::Tcg,
    };
    let process = attempt(spec, folder, accelerator, seconds(settings.boot_seconds)).await?;
    Ok((process, accelerator))
}

/// Whether this process may use the device at all.
pub(super) fn kvm_opens() -> bool {
    let mut device = std::fs::OpenOptions::new();
    device.read(true).write(true).open("/dev/kvm").is_ok()
}

async fn attempt(
    spec: &Spec,
    folder: &Path,
    accelerator: Accelerator,
    limit: Duration,
) -> Result<Process> {
    let (memory, disk) = (memory_in(folder), disk_in(folder));
    for file in [&memory, &disk] {
        // An earlier attempt may have left them.
        let _ = tokio::fs::remove_file(file).await;
    }
    let shape = &spec.shape;
    let snapshot = shape.snapshot.as_deref();
    let start = disk::template(&spec.installation, &shape.image, snapshot, &disk).await?;
    let snapshot = match &start {
        Start::Boot => None,
        Start::Resume(name) => Some(&**name),
    };
    let machine = Machine {
        shape,
        settings: &spec.settings,
        accelerator,
        memory: &memory,
        disk: &disk,
        role: Role::Template { snapshot },
    };
    let begun = Instant::now();
    let boot = async {
        let arguments = machine.arguments()?;
        let process = Process::start(&spec.installation, process::folder()?, arguments).await?;
        match &spec.settings.ready_text {
            // It will not say it again.
            Some(text) if start == Start::Boot => says(&process, text).await?,
            _ => is_still(&process).await?,
        }
        keyboard::probe(&process, ANSWER).await?;
        Ok(process)
    };
    let process = match timeout(limit, boot).await {
        Ok(Err(Error::Dead(end))) => {
            let message = format!("the image does not boot: {end}; the log says more");
            return Err(Error::Refused(message));
        }
        Ok(booted) => booted?,
        Err(_) => {
            let message = format!("the image was not ready after {} s", limit.as_secs());
            return Err(Error::Timeout(message));
        }
    };
    let ms = begun.elapsed().as_millis();
    tracing::info!(?accelerator, ms, "the image has booted");
    Ok(process)
}

/// Waits until the guest has written `text` to its serial port.
async fn says(process: &Process, text: &str) -> Result<()> {
    let file = process.folder().join(SERIAL);
    loop {
        let said = tokio::fs::read(&file).await.unwrap_or_default();
        if said.windows(text.len()).any(|part| part == text.as_bytes()) {
            return Ok(());
        }
        // Asking for anything finds out whether it still lives.
        tablet::listens(process).await?;
        sleep(LISTEN).await;
    }
}

/// Waits until the guest listens to its tablet and shows a picture that stays.
async fn is_still(process: &Process) -> Result<()> {
    let mut before = Picture::take(process).await?;
    let mut since = Instant::now();
    loop {
        sleep(LOOK).await;
        let now = Picture::take(process).await?;
        let changed = now.difference(&before) > now.pixels() / BLINKS;
        if changed || now.is_plain() || !tablet::listens(process).await? {
            (before, since) = (now, Instant::now());
        } else if since.elapsed() >= STILL {
            return Ok(());
        }
    }
}
