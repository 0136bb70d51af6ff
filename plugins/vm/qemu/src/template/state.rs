//! What of a machine is neither its memory file nor its disk: processors, devices, the screen's memory.
//!
//! It goes through a socket in the machine's folder, which every QEMU can do that this crate runs with; files by name
//! came with 8.2, and a command would need the right to start programs, which QEMU's sandbox takes away. With
//! `x-ignore-shared` the guest's memory stays where it is, in its file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::{sleep, timeout},
};

use crate::{Error, Result, process::Process};

/// The socket's name. QEMU runs in the folder, so that it need not be told where that is.
const SOCKET: &str = "state.socket";
const ADDRESS: &str = "unix:state.socket";

/// What writing or reading a state may take, on a machine that is busy.
const LIMIT: Duration = Duration::from_mins(1);

/// How often QEMU is asked how far it is. It has no word for it that it says by itself in every version.
const LOOK: Duration = Duration::from_millis(2);

#[derive(Debug, Deserialize)]
struct Progress {
    status: Option<String>,
}

/// Stops the machine and writes its state to `file`.
pub(crate) async fn save(process: &Process, file: &Path) -> Result<()> {
    process.tell("stop", json!({})).await?;
    leave_memory(process, true).await?;
    let listener = UnixListener::bind(socket(process))
        .map_err(Error::system("open a socket for a machine's state"))?;
    process.tell("migrate", json!({ "uri": ADDRESS })).await?;
    let received = timeout(LIMIT, async {
        let (mut stream, _) = listener.accept().await?;
        let mut state = Vec::new();
        stream.read_to_end(&mut state).await?;
        tokio::fs::write(file, state).await
    });
    received
        .await
        .map_err(|_| late())?
        .map_err(Error::system("write a machine's state"))?;
    completed(process).await
}

/// Gives a machine that waits for it the state in `file`.
pub(crate) async fn load(process: &Process, file: &Path) -> Result<()> {
    leave_memory(process, true).await?;
    // The answer comes when QEMU listens.
    process
        .tell("migrate-incoming", json!({ "uri": ADDRESS }))
        .await?;
    let sent = timeout(LIMIT, async {
        let state = tokio::fs::read(file).await?;
        let mut stream = UnixStream::connect(socket(process)).await?;
        stream.write_all(&state).await?;
        stream.shutdown().await
    });
    sent.await
        .map_err(|_| late())?
        .map_err(Error::system("read a machine's state"))?;
    completed(process).await?;
    // Snapshots of the clone are whole ones.
    leave_memory(process, false).await
}

async fn leave_memory(process: &Process, leave: bool) -> Result<()> {
    let capabilities = json!([{ "capability": "x-ignore-shared", "state": leave }]);
    process
        .tell(
            "migrate-set-capabilities",
            json!({ "capabilities": capabilities }),
        )
        .await
}

async fn completed(process: &Process) -> Result<()> {
    let wait = async {
        loop {
            let progress: Progress = process.ask("query-migrate", json!({})).await?;
            match progress.status.as_deref() {
                Some("completed") => return Ok(()),
                Some(status @ ("failed" | "cancelled")) => {
                    let message = format!("the virtual machine's state cannot be used: {status}");
                    return Err(Error::Refused(message));
                }
                _ => sleep(LOOK).await,
            }
        }
    };
    timeout(LIMIT, wait).await.map_err(|_| late())?
}

fn socket(process: &Process) -> PathBuf {
    process.folder().join(SOCKET)
}

fn late() -> Error {
    Error::Timeout("the virtual machine's state took too long".into())
}
