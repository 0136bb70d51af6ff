//! Two threads of the library that outlive every runtime worker: one starts processes, one tidies up after drops.
//!
//! A parent-death signal fires when the *thread* that started the child ends, not the process (prctl(2)), and a tokio
//! worker may end early: a blocking section hands its work to another thread. So every sandbox is started from one
//! thread that lives as long as the process.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Task = Box<dyn FnOnce() + Send>;

fn thread_named(name: &str) -> io::Result<Sender<Task>> {
    let (sender, tasks) = channel::<Task>();
    thread::Builder::new().name(name.into()).spawn(move || {
        for task in tasks {
            task();
        }
    })?;
    Ok(sender)
}

fn broken() -> io::Error {
    io::Error::other("the thread that starts processes is gone")
}

/// Starts a process whose parent thread never ends before this process does.
pub(crate) async fn spawn(mut command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<io::Result<Sender<Task>>> = OnceLock::new();
    let spawner = SPAWNER
        .get_or_init(|| thread_named("sandbox-spawner"))
        .as_ref()
        .map_err(|_| broken())?;
    let (answer, child) = oneshot::channel();
    let runtime = Handle::current();
    // A caller that gave up meanwhile drops the receiver; the child then comes back to this closure and is killed by
    // its own drop.
    command.kill_on_drop(true);
    spawner
        .send(Box::new(move || {
            let _entered = runtime.enter();
            drop(answer.send(command.spawn()));
        }))
        .map_err(|_| broken())?;
    child.await.map_err(|_| broken())?
}

/// Runs `task` on a thread that may wait. Without the thread it runs here: late is better than never.
pub(crate) fn tidy_up(task: impl FnOnce() + Send + 'static) {
    static JANITOR: OnceLock<io::Result<Sender<Task>>> = OnceLock::new();
    match JANITOR.get_or_init(|| thread_named("sandbox-janitor")) {
        Ok(janitor) => {
            if let Err(unsent) = janitor.send(Box::new(task)) {
                unsent.0();
            }
        }
        Err(_) => task(),
    }
}
