//! `sandbox plugin list` and `sandbox plugin inspect`: what plugins say about themselves.
//!
//! Both read files alone: nothing of a plugin runs. `sandbox check` loads them too.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::anyhow;
use serde::Serialize;

use super::{client, read, say};
use crate::{
    config::{Environment, Loaded, Resource},
    plugin::{
        AbiVersion, Found, Inspection, LoadError, LoadFailure, Problem, SearchPath, Trace, find,
        report_inspection,
    },
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum PluginCommand {
    /// List the plugins of a configuration
    List(ListArgs),
    /// Tell everything that a plugin's file says about itself
    Inspect(InspectArgs),
}

/// List the plugins of a configuration
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox plugin list
  sandbox plugin list --config /etc/sandbox/config.json --json

Nothing of a plugin runs; `sandbox check` loads them too.
Exit status: 0 when every plugin may be loaded, 1 when one may not.")]
pub(super) struct ListArgs {
    #[command(flatten)]
    file: super::ConfigFile,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

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
pub(super) struct InspectArgs {
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

pub(super) fn run(command: PluginCommand) -> anyhow::Result<ExitCode> {
    let environment = Environment::process();
    match command {
        PluginCommand::List(args) => list(&args, &environment),
        PluginCommand::Inspect(args) => inspect(&args, &environment),
    }
}

/// One plugin of a configuration.
#[derive(Serialize)]
struct Row {
    resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<Listed>,
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct Listed {
    class: String,
    kind: Option<String>,
    version: String,
    library: PathBuf,
    abi: Option<AbiVersion>,
    sdk: Option<String>,
    compiler: Option<String>,
}

fn list(args: &ListArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let loaded = match read(&args.file.config, environment) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            say(&diagnostics);
            return Ok(ExitCode::FAILURE);
        }
    };
    let search = SearchPath::of_process(&loaded.config.server.plugin_dirs, environment);
    let rows: Vec<Row> = loaded
        .config
        .enabled()
        .map(|(name, resource)| row(name, resource, &loaded, &search))
        .collect();
    if args.json {
        client::print_json(&rows)?;
    } else {
        client::print(&as_table(&rows))?;
    }
    Ok(exit(rows.iter().all(|row| row.problems.is_empty())))
}

fn row(name: &str, resource: &Resource, loaded: &Loaded, search: &SearchPath) -> Row {
    let base = loaded.document.directory();
    let found = find(
        &resource.backend_class,
        search,
        base,
        resource.sha256.as_deref(),
    );
    let found = found.and_then(|found| named(name, &resource.backend_class, found));
    Row {
        resource: name.to_owned(),
        problems: found
            .as_ref()
            .err()
            .map(LoadError::problems)
            .unwrap_or_default(),
        plugin: found.ok().map(Listed::of),
    }
}

/// The entry of a configuration has the name of its backend.
fn named(name: &str, backend_class: &str, found: Found) -> Result<Found, LoadError> {
    if found.backend.name == name {
        return Ok(found);
    }
    Err(LoadError::other_key(
        backend_class,
        name,
        &found.backend.name,
        None,
    ))
}

impl Listed {
    fn of(found: Found) -> Self {
        let manifest = found.inspection.manifest.as_ref();
        Self {
            class: found.backend.class,
            kind: found.backend.kind,
            version: found.backend.version,
            library: found.inspection.file.clone(),
            abi: found.inspection.abi,
            sdk: manifest.and_then(|manifest| manifest.sdk.clone()),
            compiler: manifest.and_then(|manifest| manifest.rustc.clone()),
        }
    }
}

fn as_table(rows: &[Row]) -> String {
    let heads = [
        "NAME", "KIND", "VERSION", "ABI", "SDK", "COMPILER", "LIBRARY",
    ];
    let mut cells = vec![heads.map(ToOwned::to_owned)];
    cells.extend(rows.iter().map(cells_of));
    client::table(&cells)
}

fn cells_of(row: &Row) -> [String; 7] {
    let unknown = || "-".to_owned();
    let Some(plugin) = &row.plugin else {
        let said: Vec<&str> = row
            .problems
            .iter()
            .map(|problem| &*problem.message)
            .collect();
        let mut cells = std::array::from_fn(|_| unknown());
        cells[0].clone_from(&row.resource);
        cells[6] = format!("error: {}", said.join("; "));
        return cells;
    };
    [
        row.resource.clone(),
        plugin.kind.clone().unwrap_or_else(unknown),
        plugin.version.clone(),
        plugin
            .abi
            .map_or_else(unknown, |abi| format!("{}.{}", abi.major, abi.minor)),
        plugin.sdk.clone().unwrap_or_else(unknown),
        plugin.compiler.clone().unwrap_or_else(unknown),
        plugin.library.display().to_string(),
    ]
}

/// An inspection, and where was looked for the file.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    inspection: &'a Inspection,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a Trace>,
}

fn inspect(args: &InspectArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let (search, base) = match places(args, environment)? {
        Ok(places) => places,
        Err(exit) => return Ok(exit),
    };
    let found = find(&written(&args.plugin), &search, &base, None);
    let failed = found.as_ref().is_err_and(is_about_more_than_the_file);
    if let (true, Err(error)) = (failed, &found) {
        client::talk(error.report(args.verbose).trim_end());
    }
    // What a library has is worth telling even when the class is not in it.
    let trace = found.map_or_else(|error| error.trace, |found| found.trace);
    let inspections: Vec<_> = trace.inspections().collect();
    for inspection in &inspections {
        if args.json {
            client::print_json(&Inspected {
                inspection,
                trace: args.verbose.then_some(&trace),
            })?;
        } else {
            client::print(&report_inspection(inspection))?;
        }
    }
    if args.verbose && !args.json {
        client::talk(trace.to_string().trim_end());
    }
    let good = inspections.iter().all(|one| one.faults.is_empty());
    Ok(exit(good && !failed))
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

fn exit(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
