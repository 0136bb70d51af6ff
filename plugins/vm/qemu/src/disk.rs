//! Disk images: what is in one, and overlays that keep what is written away from it.

use std::{ffi::OsStr, path::Path};

use serde::Deserialize;
use tokio::process::Command;

use crate::{Error, Result, installation::Installation};

/// What `qemu-img info` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Info {
    /// `qcow2`, `raw`, …
    pub(crate) format: String,
    #[serde(default)]
    snapshots: Vec<Snapshot>,
}

/// A state that an image keeps.
#[derive(Debug, Deserialize)]
pub(crate) struct Snapshot {
    name: String,
    /// Zero when only the disk was kept.
    #[serde(rename = "vm-state-size")]
    memory: u64,
}

/// From what a machine starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// It boots.
    Boot,
    /// It goes on from a state that the disk keeps.
    Resume(String),
}

/// Reads what is in an image.
pub(crate) async fn info(installation: &Installation, image: &Path) -> Result<Info> {
    let arguments = ["info", "--force-share", "--output=json"].map(OsStr::new);
    let output = run(
        installation,
        arguments.into_iter().chain([image.as_os_str()]),
    )
    .await?;
    serde_json::from_slice(&output).map_err(|error| {
        tracing::warn!(%error, "qemu-img's answer was not understood");
        Error::Refused("qemu-img's answer was not understood".into())
    })
}

/// Makes an empty image that takes what it lacks from another.
pub(crate) async fn overlay(
    installation: &Installation,
    below: &Path,
    format: &str,
    file: &Path,
) -> Result<()> {
    let arguments = ["create", "-q", "-f", "qcow2", "-F", format, "-b"].map(OsStr::new);
    let files = [below.as_os_str(), file.as_os_str()];
    run(installation, arguments.into_iter().chain(files)).await?;
    Ok(())
}

/// Makes the disk of a template: an overlay, or for a snapshot inside the image a copy with that snapshot's contents.
pub(crate) async fn template(
    installation: &Installation,
    image: &Path,
    snapshot: Option<&str>,
    file: &Path,
) -> Result<Start> {
    let info = info(installation, image).await?;
    let Some(name) = snapshot else {
        overlay(installation, image, &info.format, file).await?;
        return Ok(Start::Boot);
    };
    let Some(found) = info.snapshots.iter().find(|there| there.name == name) else {
        let known: Vec<_> = info.snapshots.iter().map(|there| &*there.name).collect();
        return Err(Error::Config(format!(
            "the disk image has no snapshot {name:?}; it has: {}",
            if known.is_empty() {
                "none".into()
            } else {
                known.join(", ")
            }
        )));
    };
    let copied = tokio::fs::copy(image, file).await;
    copied.map_err(Error::system("copy the disk image"))?;
    if found.memory > 0 {
        return Ok(Start::Resume(name.into()));
    }
    let arguments = ["snapshot", "-q", "-a", name].map(OsStr::new);
    run(
        installation,
        arguments.into_iter().chain([file.as_os_str()]),
    )
    .await?;
    Ok(Start::Boot)
}

async fn run<'a>(
    installation: &Installation,
    arguments: impl Iterator<Item = &'a OsStr>,
) -> Result<Vec<u8>> {
    let output = Command::new(&installation.image)
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::system("run qemu-img"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    tracing::warn!(said = said.trim(), "qemu-img failed");
    Err(Error::Config(
        "the disk image cannot be used; the log says why".into(),
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// An image that held `a`, then was kept as `first`, then held `b`.
    async fn image(installation: &Installation, folder: &Path) -> PathBuf {
        let image = folder.join("image.qcow2");
        let create = ["create", "-q", "-f", "qcow2"].map(OsStr::new);
        let rest = [image.as_os_str(), OsStr::new("1M")];
        run(installation, create.into_iter().chain(rest))
            .await
            .unwrap();
        write(&image, 'a').await;
        let keep = ["snapshot", "-q", "-c", "first"].map(OsStr::new);
        run(installation, keep.into_iter().chain([image.as_os_str()]))
            .await
            .unwrap();
        write(&image, 'b').await;
        image
    }

    async fn qemu_io(image: &Path, command: &str) -> bool {
        let run = Command::new("qemu-io")
            .arg("-c")
            .arg(command)
            .arg(image)
            .output()
            .await;
        // It says what it found, and ends with 0 either way.
        let output = run.expect("qemu-io is missing: apt-get install qemu-utils");
        output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("failed")
    }

    async fn write(image: &Path, letter: char) {
        let command = format!("write -q -P {} 0 4k", u32::from(letter));
        assert!(qemu_io(image, &command).await);
    }

    async fn holds(image: &Path, letter: char) -> bool {
        qemu_io(image, &format!("read -P {} 0 4k", u32::from(letter))).await
    }

    #[tokio::test]
    async fn a_template_has_the_snapshots_disk_and_leaves_the_image_alone() {
        let installation = Installation::find().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let image = image(&installation, folder.path()).await;
        let before = std::fs::read(&image).unwrap();

        let newest = folder.path().join("newest.qcow2");
        let start = template(&installation, &image, None, &newest)
            .await
            .unwrap();
        assert_eq!(start, Start::Boot);
        assert!(holds(&newest, 'b').await);
        write(&newest, 'c').await;

        let kept = folder.path().join("kept.qcow2");
        let start = template(&installation, &image, Some("first"), &kept)
            .await
            .unwrap();
        assert_eq!(start, Start::Boot);
        assert!(holds(&kept, 'a').await && !holds(&kept, 'b').await);
        assert_eq!(std::fs::read(&image).unwrap(), before);
    }

    #[tokio::test]
    async fn an_unknown_snapshot_is_answered_with_those_there_are() {
        let installation = Installation::find().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let image = image(&installation, folder.path()).await;
        let file = folder.path().join("disk.qcow2");
        let refused = template(&installation, &image, Some("frist"), &file).await;
        let message = "the disk image has no snapshot \"frist\"; it has: first";
        assert_eq!(refused.unwrap_err().to_string(), message);
    }
}
