//! `sandbox check`: everything that `serve` would refuse, without serving.

use std::{path::PathBuf, process::ExitCode};

use sandbox_plugin_api::host::table;
use serde::Serialize;

use super::{client, say};
use crate::{
    boot,
    config::{self, Config, ConfigError, Diagnostic, Environment, Loaded, Severity},
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
    let environment = Environment::process();
    let read = Config::load(&args.config, &environment);
    let (diagnostics, resources) = examine(read, &environment, args.insecure, args.verbose);
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

/// Everything that is to be said about a configuration that was read, and the resources that it loads. Of one with
/// mistakes the rest is looked at too: an operator mends all of them at once.
pub(super) fn examine(
    read: Result<Loaded, ConfigError>,
    environment: &Environment,
    insecure: bool,
    verbose: bool,
) -> (Vec<Diagnostic>, Vec<String>) {
    let (loaded, mut diagnostics) = match read {
        Ok(mut loaded) => {
            let notes = std::mem::take(&mut loaded.notes);
            (loaded, notes)
        }
        Err(ConfigError::Invalid {
            diagnostics,
            rest: Some(rest),
        }) => (*rest, diagnostics),
        Err(error) => return (error.diagnostics(), Vec::new()),
    };
    diagnostics.extend(
        loaded
            .check_exposure(insecure)
            .err()
            .map(|exposed| *exposed),
    );
    let host = table(Box::new(PluginLog::default()), 1);
    let booted = boot::load(&loaded, environment, host, verbose);
    diagnostics.extend(booted.diagnostics);
    config::sort(&mut diagnostics);
    let names = booted.ready.into_iter().map(|ready| ready.name);
    (diagnostics, names.collect())
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}
