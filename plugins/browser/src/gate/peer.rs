//! Who is at the other end of a connection to the proxy: only the session's own browser may use it.
//!
//! Chromium cannot be given a password for its proxy, so the kernel is asked instead: the connection's socket must be
//! open in a process of the browser's. Other users and programs of the machine do not get through.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

/// The browser, as the owner of sockets.
#[derive(Debug)]
pub(crate) struct Peer {
    browser: u32,
    /// The process that owned the last one: nearly always the next one's too.
    last: AtomicU32,
}

impl Peer {
    /// The browser whose first process is this.
    pub(crate) const fn new(browser: u32) -> Self {
        Self {
            browser,
            last: AtomicU32::new(0),
        }
    }

    /// How much memory the browser's processes use together, in MiB: each page of memory is counted once. Reads files.
    pub(crate) fn memory(&self) -> u64 {
        let kib = members(self.browser).filter_map(|process| {
            let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        kib.sum::<u64>() / 1024
    }

    /// Whether the connection from `remote` to our `local` end is the browser's. Reads files: not on a runtime's thread.
    pub(crate) fn owns(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let Some(socket) = inode(remote, local).map(|inode| format!("socket:[{inode}]")) else {
            return false;
        };
        let last = self.last.load(Ordering::Relaxed);
        let holds = |process: u32| {
            let found = holds(process, &socket);
            if found {
                self.last.store(process, Ordering::Relaxed);
            }
            found
        };
        (last != 0 && holds(last)) || members(self.browser).any(holds)
    }
}

/// The number of the socket that is bound to `local` and connected to `remote`.
fn inode(local: SocketAddr, remote: SocketAddr) -> Option<String> {
    let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else {
        return None;
    };
    let form = |address: std::net::SocketAddrV4| {
        let number = u32::from_ne_bytes(address.ip().octets());
        format!("{number:08X}:{:04X}", address.port())
    };
    let (local, remote) = (form(local), form(remote));
    let table = fs::read_to_string("/proc/self/net/tcp").ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let ends = (fields.next()?, fields.next()?);
        (ends == (local.as_str(), remote.as_str())).then_some(())?;
        fields.nth(6).map(str::to_owned)
    })
}

fn holds(process: u32, socket: &str) -> bool {
    let files = fs::read_dir(format!("/proc/{process}/fd"));
    files
        .into_iter()
        .flatten()
        .flatten()
        .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket))
}

/// The browser is started as the leader of a group of its own, and all its processes stay in that.
fn members(group: u32) -> impl Iterator<Item = u32> {
    processes().filter(move |process| group_of(*process) == Some(group))
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn group_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(2)?.parse().ok()
}
