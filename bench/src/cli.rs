//! The command line: which measurements to run, and what becomes of their rows.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    baseline, load, mcp_baseline,
    measurements::{MEASUREMENTS, Measurement},
    report,
    row::Row,
    workshop::Workshop,
};

/// Measures the server against baselines taken in the same run.
#[derive(Debug, Parser)]
#[command(
    name = "scripts/bench",
    version,
    args_conflicts_with_subcommands = true
)]
#[command(after_help = "\
Examples:
  scripts/bench                      everything, in about eight minutes
  scripts/bench vtable sessions      two measurements
  scripts/bench http/execute/64      one of a group
  scripts/bench --list               what there is

A missed goal is shown in the table and does not fail the run; what could not be measured does.
Close what else uses the processor: server, load and baseline share it with everything.")]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Run only what begins with one of these names
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print the names of the measurements, and exit
    #[arg(long)]
    list: bool,
    /// The configuration whose start is measured
    #[arg(long, value_name = "FILE", default_value = "config.json")]
    config: PathBuf,
    /// Where to write the rows as JSON
    #[arg(long, value_name = "FILE", default_value = "target/bench/results.json")]
    output: PathBuf,
}

/// The processes that the benchmark makes of itself.
#[derive(Debug, Subcommand)]
enum Part {
    /// Serve the baseline of execute.
    #[command(hide = true)]
    Baseline { answer: String },
    /// Serve the baseline of MCP.
    #[command(hide = true)]
    McpBaseline {
        #[arg(long)]
        events: bool,
    },
    /// Send requests as planned.
    #[command(hide = true)]
    Load { plan: String },
}

/// Runs the command line.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Baseline { answer }) => baseline::run(answer).map(|()| ExitCode::SUCCESS),
        Some(Part::McpBaseline { events }) => mcp_baseline::run(events).map(|()| ExitCode::SUCCESS),
        Some(Part::Load { plan }) => load::run(&plan).map(|()| ExitCode::SUCCESS),
        None if arguments.list => list(),
        None => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(until_interrupted(measure(&arguments)))
        }
    }
}

fn list() -> anyhow::Result<ExitCode> {
    for measurement in MEASUREMENTS {
        report::print(&format!("{:24} {}\n", measurement.name, measurement.about))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Dropping what is measured kills the processes it started.
async fn until_interrupted(
    measured: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        // An interrupt reaches the load too; that it fails then is no news.
        biased;
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
        result = measured => result,
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let chosen: Vec<_> = MEASUREMENTS
        .iter()
        .filter(|measurement| is_wanted(measurement.name, &arguments.names))
        .collect();
    anyhow::ensure!(
        !chosen.is_empty(),
        "no measurement has such a name; --list shows them"
    );
    let workshop = Workshop::new(&arguments.config)?;
    let mut rows = Vec::new();
    let mut failed = 0;
    for measurement in chosen {
        match run_one(measurement, &workshop).await {
            Ok(measured) => rows.extend(measured),
            Err(error) => {
                failed += 1;
                eprintln!("error: {} was not measured: {error:#}", measurement.name);
            }
        }
    }
    report::print(&report::table(&rows))?;
    report::write(&rows, &arguments.output)?;
    let missed = rows.iter().filter(|row| row.met == Some(false)).count();
    eprintln!(
        "{missed} goals missed; written to {}",
        arguments.output.display()
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn run_one(measurement: &Measurement, workshop: &Workshop) -> anyhow::Result<Vec<Row>> {
    eprintln!("measuring {}: {}", measurement.name, measurement.about);
    (measurement.run)(workshop).await
}

/// Whether one of the names means this measurement, a group it belongs to, or one of its rows.
fn is_wanted(measurement: &str, names: &[String]) -> bool {
    let below = |name: &str, group: &str| {
        name.strip_prefix(group)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    names.is_empty()
        || names.iter().any(|name| {
            let name = name.trim_end_matches('/');
            below(measurement, name) || below(name, measurement)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_a_measurement_its_group_or_its_row() {
        let wanted = |name: &str, word: &str| is_wanted(name, &[word.to_owned()]);
        assert!(is_wanted("vtable", &[]));
        assert!(wanted("vtable", "vtable/raw") && wanted("http/execute/1", "http"));
        assert!(wanted("http/execute/1", "http/execute/"));
        assert!(!wanted("http/execute/16", "http/execute/1"));
        assert!(!wanted("http/execute/1", "ht"));
    }

    #[test]
    fn names_are_unique_and_can_be_chosen_alone() {
        for measurement in MEASUREMENTS {
            let names = [measurement.name.to_owned()];
            let chosen = MEASUREMENTS
                .iter()
                .filter(|one| is_wanted(one.name, &names));
            assert_eq!(chosen.count(), 1, "{}", measurement.name);
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
