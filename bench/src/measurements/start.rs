//! The default configuration from nothing to ready, as a newcomer starts it for the second time: the
//! first start has built the index.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    memory,
    numbers::{count, median, range},
    row::{Goal, Row},
    server::Server,
    workshop::Workshop,
};

/// How often the server is started.
const STARTS: usize = 11;

/// Measures time and memory.
pub(crate) async fn measure(workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    let config = furnish(workshop)?;
    // Builds the index, which takes as long as the corpus is large and happens once.
    Server::start(workshop, &config).await?.stop().await?;
    let (mut ready, mut resident, mut proportional) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let server = Server::start(workshop, &config).await?;
        let process = server.process()?;
        ready.push(server.ready_after.as_secs_f64() * 1e3);
        resident.push(mebibytes(memory::of(process)?.resident));
        proportional.push(mebibytes(memory::of_tree(process)?));
        server.stop().await?;
    }
    let (low, high) = range(&ready);
    Ok(vec![
        Row::new("start/ready", median(&ready), "ms")
            .goal(Goal::Below(100.0))
            .note(format!(
                "index built before; {low:.0} to {high:.0} in {STARTS} starts"
            )),
        Row::new("start/memory", median(&resident), "MiB")
            .goal(Goal::Below(40.0))
            .note("resident memory of the server when it is ready"),
        Row::new("start/memory/pss", median(&proportional), "MiB")
            .note("proportional memory of the server and all it started"),
    ])
}

/// Copies the configuration with what it names beside it, so that the index that is built is nobody
/// else's. Returns the copy.
fn furnish(workshop: &Workshop) -> anyhow::Result<PathBuf> {
    let folder = workshop.folder()?;
    let original = fs::canonicalize(&workshop.config)
        .with_context(|| format!("no configuration at {}", workshop.config.display()))?;
    let copy = folder.join("config.json");
    fs::copy(&original, &copy)?;
    let corpus = original.with_file_name("corpus");
    if corpus.is_dir() {
        copy_files(&corpus, &folder.join("corpus"))?;
    }
    Ok(copy)
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn mebibytes(bytes: u64) -> f64 {
    count(bytes) / f64::from(1 << 20)
}
