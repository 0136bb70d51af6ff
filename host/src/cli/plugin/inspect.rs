//! `sandbox plugin inspect`: everything about the file that a `backend_class` means.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::anyhow;
use serde::Serialize;

use super::exit;
use crate::{
    cli::{client, read, say},
    config::Environment,
    plugin::{
        Inspection, LoadError, LoadFailure, Problem, SearchPath, Trace, find, report_inspection,
    },
};

/// Tell everything that a plugin's file says about itself
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox plugin inspect ./target/release/librag.so    a file
  sandbox plugin inspect rag                           a plugin in the search path
  sandbox plugin inspect rag --config config.json      with the plugin_dirs of a configuration
  sandbox plugin inspect rag --json | jq .sha256       to pin it: \"sha256\": \"…\"

Nothing of the plugin runs.
Exit status: 0 when it may be loaded, 1 when it may not.")]
pub(in crate::cli) struct InspectArgs {
    /// The library, or the name of one in the search path
    #[arg(value_name = "FILE|NAME")]
    plugin: String,
    /// A configuration whose `plugin_dirs` are searched too
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Tell also where was looked
    #[arg(short, long)]
    verbose: bool,
}

/// What is told of the search for one plugin: a document, whatever was found.
#[derive(Serialize)]
struct Inspected<'a> {
    /// The file that would be loaded, else the first that was found.
    #[serde(flatten)]
    inspection: Option<&'a Inspection>,
    /// The other files that were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passed_over: Vec<&'a Inspection>,
    /// What is wrong besides the faults of a file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a Trace>,
}

pub(super) fn run(args: &InspectArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let (search, base) = match places(args, environment)? {
        Ok(places) => places,
        Err(exit) => return Ok(exit),
    };
    let found = find(&written(&args.plugin), &search, &base, None);
    let beyond = found
        .as_ref()
        .err()
        .filter(|error| is_about_more_than_the_file(error));
    if let Some(error) = beyond {
        client::talk(&format!("error: {}", error.report(args.verbose).trim_end()));
    }
    // What a library has is worth telling even when the class is not in it.
    let trace = match &found {
        Ok(found) => &found.trace,
        Err(error) => &error.trace,
    };
    let (inspection, passed_over) = chosen(trace);
    let good = beyond.is_none() && inspection.is_some_and(|it| it.faults.is_empty());
    if args.json {
        client::print_json(&Inspected {
            inspection,
            passed_over,
            problems: beyond.map(LoadError::problems).unwrap_or_default(),
            trace: args.verbose.then_some(trace),
        })?;
        return Ok(exit(good));
    }
    for inspection in inspection.iter().chain(&passed_over) {
        client::print(&report_inspection(inspection))?;
    }
    for passed_over in trace.passed_over() {
        client::talk(&format!("warning: {passed_over}"));
    }
    if args.verbose {
        client::talk(trace.to_string().trim_end());
    }
    Ok(exit(good))
}

/// The file that would be loaded, else the first; and the others.
fn chosen(trace: &Trace) -> (Option<&Inspection>, Vec<&Inspection>) {
    let mut all: Vec<&Inspection> = trace.inspections().map(|it| &**it).collect();
    if all.is_empty() {
        return (None, all);
    }
    // The search ends with the first that is good.
    let place = all.iter().position(|it| it.faults.is_empty()).unwrap_or(0);
    let chosen = all.remove(place);
    (Some(chosen), all)
}

/// A file's own faults are told with it, and which of its backends is meant need not be said here.
fn is_about_more_than_the_file(error: &LoadError) -> bool {
    !matches!(
        *error.failure,
        LoadFailure::Refused | LoadFailure::NoSuchClass { class: None, .. }
    ) || error.trace.inspections().next().is_none()
}

type Places = (SearchPath, PathBuf);

fn places(
    args: &InspectArgs,
    environment: &Environment,
) -> anyhow::Result<Result<Places, ExitCode>> {
    let here =
        std::env::current_dir().map_err(|error| anyhow!("there is no current folder: {error}"))?;
    let folders = match &args.config {
        None => Vec::new(),
        Some(file) => match read(file, environment) {
            Ok(loaded) => loaded.config.server.plugin_dirs,
            Err(diagnostics) => {
                say(&diagnostics);
                return Ok(Err(ExitCode::FAILURE));
            }
        },
    };
    Ok(Ok((SearchPath::of_process(&folders, environment), here)))
}

/// On the command line a file that is there is meant, whatever its name looks like.
fn written(plugin: &str) -> String {
    let path = Path::new(plugin);
    if path.is_file() && !plugin.contains(std::path::MAIN_SEPARATOR) {
        return Path::new(".").join(path).to_string_lossy().into_owned();
    }
    plugin.to_owned()
}
