//! The sockets and locks that X servers have in `/tmp` when their sandbox has none of its own.
//!
//! One that is killed leaves them. A desktop that ends removes its own; those of a server that was killed together with
//! its desktops are removed by the next one.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::room::X_SOCKETS;

/// The sockets of this machine that are open, those among them that nobody listens on yet.
const OPEN_SOCKETS: &str = "/proc/net/unix";

/// Removes what the X server of a display left. One that chose its number itself has no lock; others do.
pub(super) fn remove(number: &str) {
    for path in [
        format!("{X_SOCKETS}/X{number}"),
        format!("/tmp/.X{number}-lock"),
    ] {
        drop(fs::remove_file(path));
    }
}

/// Removes what this user's X servers left that run no longer.
pub(super) fn sweep() {
    for entry in fs::read_dir(X_SOCKETS).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix('X'))
            .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(number) = number
            && is_own(&entry.path())
            && is_dead(&entry.path())
        {
            tracing::info!(number, "a dead X server left its socket");
            remove(number);
        }
    }
}

fn is_own(socket: &Path) -> bool {
    fs::symlink_metadata(socket).is_ok_and(|found| {
        found.file_type().is_socket() && found.uid() == rustix::process::geteuid().as_raw()
    })
}

/// Whether nobody has it open. A server that just starts does not listen yet, but has it; one in another network
/// namespace is not listed here, but listens.
fn is_dead(socket: &Path) -> bool {
    let refused = UnixStream::connect(socket)
        .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    let listed = fs::read_to_string(OPEN_SOCKETS).map(|list| {
        let mut paths = list
            .lines()
            .filter_map(|line| line.split_whitespace().nth(7));
        paths.any(|path| Path::new(path) == socket)
    });
    refused && matches!(listed, Ok(false))
}
