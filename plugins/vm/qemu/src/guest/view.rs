//! A VNC server in the guest's QEMU, for a person to look at it.

use serde::Deserialize;
use serde_json::json;

use crate::{Error, Result, process::Process};

/// VNC's passwords have eight characters; more are ignored.
const LENGTH: usize = 8;
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Where a person can look at a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The port on loopback.
    pub port: u16,
    /// The password of this guest alone.
    pub password: String,
}

#[derive(Debug, Deserialize)]
struct Server {
    service: Option<String>,
}

/// Sets a password, without which nobody gets in, and asks for the port.
pub(crate) async fn open(process: &Process) -> Result<View> {
    let password = password()?;
    process
        .tell(
            "set_password",
            json!({ "protocol": "vnc", "password": password }),
        )
        .await?;
    let server: Server = process.ask("query-vnc", json!({})).await?;
    let port = server.service.and_then(|port| port.parse().ok());
    let port = port.ok_or_else(|| Error::Refused("QEMU's VNC server has no port".into()))?;
    Ok(View { port, password })
}

fn password() -> Result<String> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::warn!(%error, "no random numbers for a password");
        Error::Refused("there are no random numbers for a password".into())
    })?;
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
    Ok(bytes.into_iter().map(letter).collect())
}
