//! Virtual machines: from an image to a guest that answers, by booting it and from a template; what it shows; memory.
//!
//! The crate behind the vm backend's provider is driven as the backend drives it, on the small guest of its tests.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use vm_qemu::{Accelerator, Guest, Input, Qemu, Settings, Shape};

use crate::{
    memory,
    numbers::{count, median, range},
    row::{Goal, Row},
    workshop::Workshop,
};

/// The script that makes the guest.
const BUILD: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../plugins/vm/qemu/guest/build"
);
/// How often a guest is started, one after another.
const STARTS: usize = 11;
/// How many run at once when their memory is counted.
const GUESTS: usize = 4;
/// How many pictures are taken.
const PICTURES: usize = 25;
/// How many keys are pressed.
const KEYS: usize = 15;
/// The memory of a guest, in MiB.
const MEMORY: u32 = 256;

/// Measures all of it, in software emulation: what every machine has.
pub(crate) async fn measure(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let folder = workshop.programs.join("vm-guest");
    let built = tokio::process::Command::from(Command::new(BUILD))
        .arg(&folder)
        .status()
        .await?;
    ensure!(built.success(), "the guest was not built");
    let (settings, shape) = machine(&folder);
    let qemu = Qemu::new(settings);
    let cold = milliseconds(async { Ok(qemu.prepare(&shape).await?) }).await?;
    let mut rows = vec![starts(&qemu, &shape, cold).await?];
    let guest = qemu.start(&shape).await?;
    rows.extend(shown(&guest).await?);
    guest.close().await;
    rows.push(together(&qemu, &shape).await?);
    qemu.shutdown();
    Ok(rows)
}

fn machine(folder: &Path) -> (Settings, Shape) {
    let settings = Settings {
        accelerator: Accelerator::Tcg,
        kernel: Some(folder.join("vmlinuz")),
        initrd: Some(folder.join("initrd")),
        kernel_args: "quiet console=ttyS0 console=tty0".into(),
        ready_text: Some("guest-ready".into()),
        ..Settings::default()
    };
    let shape = Shape {
        image: PathBuf::from(folder).join("disk.qcow2"),
        snapshot: None,
        screen_size: (1920, 1080),
        memory_mb: MEMORY,
        cpus: 1,
        view: false,
    };
    (settings, shape)
}

async fn starts(qemu: &Qemu, shape: &Shape, cold: f64) -> anyhow::Result<Row> {
    let mut taken = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let guest = qemu.start(shape).await?;
        taken.push(begun.elapsed().as_secs_f64() * 1e3);
        guest.close().await;
    }
    let (low, high) = range(&taken);
    Ok(Row::new("qemu/ready", median(&taken), "ms")
        .against(cold)
        .goal(Goal::Below(500.0))
        .note(format!(
            "a guest from its template until it reads its keyboard, {low:.0} to {high:.0}; baseline: booting the image"
        )))
}

async fn shown(guest: &Guest) -> anyhow::Result<Vec<Row>> {
    let mut pictures = Vec::new();
    for _ in 0..PICTURES {
        pictures.push(milliseconds(async { Ok(guest.picture().await?) }).await?);
    }
    let mut keys = Vec::new();
    for _ in 0..KEYS {
        let before = guest.picture().await?;
        let changed = async {
            guest.act(&[Input::Text("x".into())]).await?;
            while guest.picture().await? == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        };
        keys.push(milliseconds(changed).await?);
    }
    Ok(vec![
        Row::new("qemu/screenshot", median(&pictures), "ms").note("1920x1080, as pixels"),
        Row::new("qemu/key-to-picture", median(&keys), "ms")
            .note("from a key to a picture with its letter"),
    ])
}

/// The memory of each of several guests at once: what is a template's is shared.
async fn together(qemu: &Qemu, shape: &Shape) -> anyhow::Result<Row> {
    let mut guests = Vec::new();
    for _ in 0..GUESTS {
        guests.push(qemu.start(shape).await?);
    }
    let mut total = 0;
    for guest in &guests {
        guest.act(&[Input::Text("ls -l /bin\n".into())]).await?;
        let process = guest.process_id().context("a guest without a process")?;
        total += memory::of_tree(process)?;
    }
    for guest in guests {
        guest.close().await;
    }
    let each = count(total) / count(GUESTS as u64) / f64::from(1 << 20);
    Ok(Row::new("qemu/memory/pss", each, "MiB")
        .against(f64::from(MEMORY))
        .note(format!(
            "a guest's of {GUESTS}, QEMU and all; baseline: the memory that the guest has"
        )))
}

async fn milliseconds<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<f64> {
    let begun = Instant::now();
    work.await?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
