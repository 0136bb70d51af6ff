//! `sandbox check`: everything that `serve` would refuse, without serving.

use std::{path::PathBuf, process::ExitCode};

use sandbox_plugin_api::host::table;
use serde::Serialize;

use super::{client, read, say};
use crate::{
    boot,
    config::{Diagnostic, Environment, Severity},
    logging::PluginLog,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox check config.json                 for people
  sandbox check config.json --format json   for programs: {\"ok\": …, \"diagnostics\": […]}

Exit status: 0 when `sandbox serve` would start, 1 when it would not.")]
pub(super) struct CheckArgs {
    /// The configuration file
    #[arg(value_name = "CONFIG", default_value = "config.json")]
    config: PathBuf,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Allow an address that other machines reach, without keys
    #[arg(long)]
    insecure: bool,
    /// Print everything that is known about a plugin that cannot be loaded
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    diagnostics: &'a [Diagnostic],
    resources: Vec<String>,
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let (diagnostics, resources) = check(args);
    let ok = diagnostics
        .iter()
        .all(|one| one.severity != Severity::Error);
    match args.format {
        Format::Json => client::print_json(&Report {
            ok,
            diagnostics: &diagnostics,
            resources,
        })?,
        Format::Text => {
            say(&diagnostics);
            if ok {
                client::talk(&format!(
                    "{}: good; loads {}",
                    args.config.display(),
                    list(&resources)
                ));
            }
        }
    }
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn check(args: &CheckArgs) -> (Vec<Diagnostic>, Vec<String>) {
    let environment = Environment::process();
    let loaded = match read(&args.config, &environment) {
        Ok(loaded) => loaded,
        Err(diagnostics) => return (diagnostics, Vec::new()),
    };
    let mut diagnostics = loaded.notes.clone();
    diagnostics.extend(
        loaded
            .check_exposure(args.insecure)
            .err()
            .map(|exposed| *exposed),
    );
    let host = table(Box::new(PluginLog::default()), 1);
    let booted = boot::load(&loaded, &environment, host, args.verbose);
    diagnostics.extend(booted.diagnostics);
    (
        diagnostics,
        booted.ready.into_iter().map(|ready| ready.name).collect(),
    )
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}
