//! Stops the running command and keeps the shell: first as Ctrl-C would, then by killing what the command started,
//! and only then the shell itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sandbox_isolation::{Signal, children, start_time};
use tokio::time::timeout;

use super::console::{Answer, Console, Outputs};

/// How long a command may take to end by itself after Ctrl-C.
const POLITE: Duration = Duration::from_millis(100);
/// How long the shell may go on with one command after another before it is killed too.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many interrupts it gets at least, a quarter of what it gets in that time when the machine has nothing else to
/// do: where killing what a command started takes the time, that is not the shell's fault.
const CHANCES: usize = 100;
/// The time between two interrupts.
const BETWEEN: Duration = Duration::from_millis(1);
/// The time between two questions to a shell that does not answer.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How long a shell that is not busy may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);
/// How long the supervisor may take to say that a killed shell has ended. It does so at once; whoever gives it up too
/// early, on a machine under heavy load, gives up the session's files.
const REPORT_LIMIT: Duration = Duration::from_secs(10);

/// What became of the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Aftermath {
    /// It lives, in this directory.
    Kept { cwd: String },
    /// It had to be killed, or ended by itself; another one is starting.
    Ended,
    /// Its sandbox is gone.
    Gone,
}

/// The command that runs, told apart from what earlier ones left behind.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// When it was started, by [`now`].
    pub(super) since: u64,
    /// What was there before.
    pub(super) spared: Vec<i32>,
    /// The nonce of the mark that follows it.
    pub(super) nonce: String,
}

/// Stops the command that runs.
///
/// The shell is interrupted before what it waits for: only a shell that has seen an interrupt itself takes the end of
/// a command by the same signal for one, and does not go on with the next command of the list. A command that catches
/// the signal and ends in its own way is taken for one that dealt with it; so the shell is interrupted again and again,
/// to hit it between two commands.
pub(super) async fn interrupt(
    console: &mut Console,
    outputs: &mut Outputs,
    running: &Running,
) -> Aftermath {
    let aftermath = match ask_to_end(console, outputs, running).await {
        Some(ended) => ended,
        None => insist(console, outputs, running).await,
    };
    // What ignored the signal, or works in the background, goes now; what was there before the command stays.
    kill_victims(console, running);
    if !matches!(aftermath, Aftermath::Kept { .. }) {
        return aftermath;
    }
    settle(console, outputs, running).await
}

async fn ask_to_end(
    console: &mut Console,
    outputs: &mut Outputs,
    running: &Running,
) -> Option<Aftermath> {
    let started = Instant::now();
    let mut asked = BTreeSet::new();
    while started.elapsed() < POLITE {
        console.tree().signal(console.shell_pid, Signal::INT);
        for pid in victims(console, running) {
            // Some programs end at once at a second Ctrl-C, without the tidying up that the first one began.
            if asked.insert(pid) {
                console.tree().signal(pid, Signal::INT);
            }
        }
        let ended = wait_for(console, outputs, Some(&running.nonce), BETWEEN).await;
        if ended.is_some() {
            return ended;
        }
    }
    None
}

async fn insist(console: &mut Console, outputs: &mut Outputs, running: &Running) -> Aftermath {
    let started = Instant::now();
    let mut asked: Option<Instant> = None;
    let mut interrupts = 0;
    while started.elapsed() < PATIENCE || interrupts < CHANCES {
        interrupts += 1;
        kill_victims(console, running);
        wait_until_reaped(console.shell_pid);
        console.tree().signal(console.shell_pid, Signal::INT);
        // An interrupt may have hit the shell while it read the last line that asked. More lines than a few would fill
        // the socket of a shell that reads none.
        if asked.is_none_or(|asked| asked.elapsed() > ASK_AGAIN) {
            asked = Some(Instant::now());
            if console.ask().await.is_err() {
                return Aftermath::Gone;
            }
        }
        // Whichever mark it is: every line that asks comes after the command.
        if let Some(ended) = wait_for(console, outputs, None, BETWEEN).await {
            return ended;
        }
    }
    kill_shell(console, outputs).await
}

/// Makes sure that no interrupt is still on its way to the shell, where it would hit the next command.
async fn settle(console: &mut Console, outputs: &mut Outputs, running: &Running) -> Aftermath {
    const ROUNDS: usize = 3;
    for _ in 0..ROUNDS {
        let Ok(nonce) = console.ask().await else {
            return Aftermath::Gone;
        };
        if let Some(aftermath) = wait_for(console, outputs, Some(&nonce), ANSWER_LIMIT).await {
            return aftermath;
        }
    }
    let aftermath = kill_shell(console, outputs).await;
    // What the shell was busy with instead of answering.
    kill_victims(console, running);
    aftermath
}

/// Kills the shell and waits for its supervisor to say so: left unheard, that would be taken for the end of the next.
async fn kill_shell(console: &mut Console, outputs: &mut Outputs) -> Aftermath {
    console.tree().signal(console.shell_pid, Signal::KILL);
    timeout(REPORT_LIMIT, async {
        loop {
            match console.hear(outputs).await {
                Answer::Mark { .. } => {}
                Answer::Exit(_) => return Aftermath::Ended,
                Answer::Gone => return Aftermath::Gone,
            }
        }
    })
    .await
    .unwrap_or(Aftermath::Gone)
}

/// Waits for the mark with this nonce, or for any.
async fn wait_for(
    console: &mut Console,
    outputs: &mut Outputs,
    nonce: Option<&str>,
    limit: Duration,
) -> Option<Aftermath> {
    timeout(limit, async {
        loop {
            match console.hear(outputs).await {
                Answer::Mark {
                    nonce: heard, cwd, ..
                } if nonce.is_none_or(|nonce| nonce == heard) => return Aftermath::Kept { cwd },
                Answer::Mark { .. } => {}
                Answer::Exit(_) => return Aftermath::Ended,
                Answer::Gone => return Aftermath::Gone,
            }
        }
    })
    .await
    .ok()
}

/// Waits, for a moment only, until the shell has seen the end of a child that was killed: an interrupt then keeps it
/// from the next command of the list.
fn wait_until_reaped(shell: i32) {
    let started = Instant::now();
    let before = children(shell).len();
    while before > 0 && children(shell).len() >= before && started.elapsed() < BETWEEN {
        std::hint::spin_loop();
    }
}

fn kill_victims(console: &Console, running: &Running) {
    console.tree().kill_each(|| victims(console, running));
}

/// What the command started: everything that was not there before and does not descend from something that was. What
/// an earlier call left in the background stays, with all its children.
fn victims(console: &Console, running: &Running) -> Vec<i32> {
    let parents: BTreeMap<i32, i32> = console
        .tree()
        .processes()
        .iter()
        .map(|process| (process.pid, process.parent))
        .collect();
    // The supervisor has no other child than the shell, or the one that it has just started in its place.
    let supervisor = console.tree().program_pid();
    let is_shell = |pid: &i32| parents.get(pid).copied() == supervisor;
    // A process that is younger than the command has the number of one that was there before, and is not it.
    let was_there = |pid: i32| match start_time(pid) {
        Some(started) => {
            started < running.since || started == running.since && running.spared.contains(&pid)
        }
        None => true,
    };
    let lineage = |pid: i32| {
        std::iter::successors(Some(pid), |child| parents.get(child).copied())
            .take_while(|pid| !is_shell(pid) && parents.contains_key(pid))
            .take(parents.len())
    };
    let is_victim = |pid: &i32| !is_shell(pid) && !lineage(*pid).any(was_there);
    let mut victims: Vec<i32> = parents.keys().copied().filter(is_victim).collect();
    // Parents first, and a pipeline from its end: whoever reads would take the writer's death for the end of the input,
    // and end in its own way before the signal reaches it.
    victims.sort_by_key(|pid| (lineage(*pid).count(), Reverse(*pid)));
    victims
}

/// The present, in the unit of processes' start times: clock ticks since the machine started.
pub(super) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanoseconds = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    let ticks = nanoseconds * i128::from(rustix::param::clock_ticks_per_second()) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(0)
}
