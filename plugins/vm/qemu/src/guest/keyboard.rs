//! The guest's keyboard: a PS/2 one, because with it QEMU can say whether the guest has read a key.
//!
//! QEMU answers to a key as soon as it is in the keyboard's queue. The queue holds 16 bytes, about five keys, and what
//! comes when it is full is lost without a word: a guest that is slow, as under emulation on a busy machine, would lose
//! part of a text. So after every key the controller's status port is read, which has no effect on the guest: the bit
//! "output buffer full" goes out when the guest has read the last byte.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::input::key;
use crate::{Error, Result, process::Process};

/// Reads one byte of the keyboard controller's status port, in QEMU's language for people.
const STATUS: &str = "i /b 0x64";
const OUTPUT_BUFFER_FULL: u32 = 1;

/// What a guest may take to read a key.
const LIMIT: Duration = Duration::from_secs(20);

/// A guest's drivers have queues of their own, which nobody can look into: a text goes no faster than they are sure to
/// be read, 200 characters a second.
const PACE: Duration = Duration::from_millis(5);

/// Gives the keyboard events and returns when the guest has read them.
pub(super) async fn give(process: &Process, events: &[Value]) -> Result<()> {
    process
        .tell("input-send-event", json!({ "events": events }))
        .await?;
    taken(process, LIMIT).await
}

/// Waits between two characters of a text.
pub(super) async fn pace() {
    sleep(PACE).await;
}

/// Presses and releases shift, which does nothing, to see that the guest reads its keyboard.
pub(crate) async fn probe(process: &Process, limit: Duration) -> Result<()> {
    let events = [key("shift", true), key("shift", false)];
    process
        .tell("input-send-event", json!({ "events": events }))
        .await?;
    taken(process, limit).await
}

async fn taken(process: &Process, limit: Duration) -> Result<()> {
    let read = async {
        let mut pause = Duration::ZERO;
        loop {
            let status = process.tell_line(STATUS).await?;
            let Some(status) = status_in(&status) else {
                tracing::warn!(status, "the keyboard's status was not understood");
                return Err(Error::Refused("the keyboard's status is not known".into()));
            };
            if status & OUTPUT_BUFFER_FULL == 0 {
                return Ok(());
            }
            sleep(pause).await;
            pause = (pause + Duration::from_micros(200)).min(Duration::from_millis(10));
        }
    };
    let late = || Error::Timeout("the virtual machine does not read its keyboard".into());
    timeout(limit, read).await.map_err(|_| late())?
}

/// The number in `portb[0x0064] = 0x1c`.
fn status_in(line: &str) -> Option<u32> {
    let (_, number) = line.trim().rsplit_once("0x")?;
    u32::from_str_radix(number, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_qemus_line() {
        assert_eq!(status_in("portb[0x0064] = 0x1c\r\n"), Some(0x1c));
        assert_eq!(status_in("unknown command: 'i'\r\n"), None);
    }
}
