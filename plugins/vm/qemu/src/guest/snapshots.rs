//! Snapshots of a running guest, kept inside its own overlay and gone with it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{sleep, timeout},
};

use crate::{Error, Result, hardware::DISK, process::Process};

/// What writing or reading all of a guest's memory may take.
const LIMIT: Duration = Duration::from_mins(2);

/// The longest name.
const LONGEST: usize = 64;

/// The one job that runs: the guest's lock lets no second begin.
const JOB: &str = "snapshot";

/// How often a job is looked at whose caller has gone.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Deserialize)]
struct Job {
    id: String,
    status: String,
    error: Option<String>,
}

/// Whether a name can be used.
pub(super) fn check(name: &str) -> Result<()> {
    let fine = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    if !name.is_empty() && name.chars().count() <= LONGEST && name.chars().all(fine) {
        return Ok(());
    }
    Err(Error::Name(format!(
        "a snapshot's name has 1 to {LONGEST} letters, digits, spaces, dots, dashes or underscores"
    )))
}

/// What is answered to a name that there is not.
pub(super) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known: Vec<_> = known.map(String::as_str).collect();
    Error::Name(format!(
        "there is no snapshot {name:?}; there are: {}",
        if known.is_empty() {
            "none".into()
        } else {
            known.join(", ")
        }
    ))
}

pub(super) async fn save(process: &Process, name: &str) -> Result<()> {
    let arguments = json!({ "vmstate": DISK, "devices": [DISK] });
    run(process, "snapshot-save", name, arguments).await
}

pub(super) async fn load(process: &Process, name: &str) -> Result<()> {
    let arguments = json!({ "vmstate": DISK, "devices": [DISK] });
    run(process, "snapshot-load", name, arguments).await
}

pub(super) async fn delete(process: &Process, name: &str) -> Result<()> {
    run(
        process,
        "snapshot-delete",
        name,
        json!({ "devices": [DISK] }),
    )
    .await
}

async fn run(
    process: &Process,
    command: &'static str,
    name: &str,
    mut arguments: Value,
) -> Result<()> {
    let late = || Error::Timeout(format!("`{command}` took too long"));
    timeout(LIMIT, forget_earlier(process))
        .await
        .map_err(|_| late())??;
    arguments["job-id"] = json!(JOB);
    // A name of digits alone could be taken for a number.
    arguments["tag"] = json!(format!("s {name}"));
    let mut events = process.events();
    process.tell(command, arguments).await?;
    let ended = async {
        loop {
            match events.recv().await {
                Ok(event) if event.event == "JOB_STATUS_CHANGE" => {
                    if event.data["id"] == JOB && event.data["status"] == "concluded" {
                        return;
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                // It died; the next question says why.
                Err(RecvError::Closed) => return,
            }
        }
    };
    timeout(LIMIT, ended).await.map_err(|_| late())?;
    let jobs: Vec<Job> = process.ask("query-jobs", json!({})).await?;
    process.tell("job-dismiss", json!({ "id": JOB })).await?;
    let error = jobs
        .into_iter()
        .find(|job| job.id == JOB)
        .and_then(|job| job.error);
    match error {
        None => Ok(()),
        Some(error) => {
            tracing::warn!(error, command, "a snapshot did not work");
            Err(Error::Refused(format!(
                "the virtual machine refused `{command}`"
            )))
        }
    }
}

/// Waits for the job of a call that was cancelled, and lets go of it: its name is needed again.
async fn forget_earlier(process: &Process) -> Result<()> {
    loop {
        let jobs: Vec<Job> = process.ask("query-jobs", json!({})).await?;
        let Some(job) = jobs.iter().find(|job| job.id == JOB) else {
            return Ok(());
        };
        if job.status == "concluded" {
            return process.tell("job-dismiss", json!({ "id": JOB })).await;
        }
        sleep(LOOK).await;
    }
}
