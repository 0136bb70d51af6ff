//! One server per index: a file that is locked as long as the index is open.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::IndexError;

/// How long a lock may outlive its holder: a program that was being started when the holder let go has a copy
/// of every open file until it runs.
const BRIEFLY: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// Its name begins with a dot: it is no part of the index.
const NAME: &str = ".server.lock";

/// Held while the index is open; the system lets go of it when the process ends, however it ends.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(directory: &Path) -> Result<Self, IndexError> {
        let path = directory.join(NAME);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if started.elapsed() < BRIEFLY => {
                    thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let holder = fs::read_to_string(&path).ok();
                    let process = holder.and_then(|text| text.trim().parse().ok());
                    return Err(IndexError::Locked { process });
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        note_holder(&mut file)?;
        Ok(Self { _file: file })
    }
}

/// Only a help for people: the lock itself is what counts.
fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}
