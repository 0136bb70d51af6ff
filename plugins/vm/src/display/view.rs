//! The VNC view of a display: the password, and the loopback port in front of the socket in the sandbox.
//!
//! The X server (Xvnc) listens on a socket in its sandbox alone. The port is this server's own, so that it goes when
//! the desktop or the server goes, and the view works for sandboxes without a network.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, UnixStream};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::desktop::{Failure, View};

/// VNC looks at the first eight characters of a password and no others.
const PASSWORD_LENGTH: usize = 8;
/// Letters and digits that cannot be mistaken for each other: 32, so that a byte chooses evenly.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A password and the form in which the X server reads it.
pub(super) struct Password {
    pub(super) text: String,
    pub(super) file: Vec<u8>,
}

impl Password {
    /// A new one.
    pub(super) async fn new() -> Result<Self, Failure> {
        let mut bytes = [0; PASSWORD_LENGTH];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let text: String = bytes
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(byte % 32)]))
            .collect();
        let mut coder = Command::new("vncpasswd")
            .arg("-f")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = coder.stdin.take() {
            input.write_all(format!("{text}\n").as_bytes()).await?;
        }
        let file = coder.wait_with_output().await?.stdout;
        if file.is_empty() {
            return Err(Failure::Refused("vncpasswd made no password file".into()));
        }
        Ok(Self { text, file })
    }
}

/// An open view; dropping it closes the port.
#[derive(Debug)]
pub(super) struct OpenView {
    pub(super) view: View,
    door: JoinHandle<()>,
}

impl OpenView {
    /// Opens a port that leads to the socket.
    pub(super) async fn open(
        socket: PathBuf,
        keep: std::fs::File,
        password: String,
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let door = tokio::spawn(async move {
            // The socket's path leads through this open folder.
            let _keep = keep;
            let mut guests = tokio::task::JoinSet::new();
            while let Ok((mut guest, _)) = listener.accept().await {
                let socket = socket.clone();
                guests.spawn(async move {
                    let mut server = UnixStream::connect(socket).await?;
                    copy_bidirectional(&mut guest, &mut server).await.map(drop)
                });
                while guests.try_join_next().is_some() {}
            }
        });
        let view = View {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port,
            password,
        };
        Ok(Self { view, door })
    }
}

impl OpenView {
    /// Closes the port and returns when it is closed.
    pub(super) async fn close(&self) {
        self.door.abort();
        while !self.door.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for OpenView {
    fn drop(&mut self) {
        self.door.abort();
    }
}
