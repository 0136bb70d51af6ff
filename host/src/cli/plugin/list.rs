//! `sandbox plugin list`: every plugin of a configuration on a line.

use std::{path::PathBuf, process::ExitCode};

use serde::Serialize;

use super::exit;
use crate::{
    cli::{ConfigFile, client, read, say},
    config::{Environment, Loaded, Resource},
    plugin::{AbiVersion, Found, Keys, LoadError, PassedOver, Problem, SearchPath, find},
};

/// List the plugins of a configuration
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox plugin list
  sandbox plugin list --config /etc/sandbox/config.json --json

Nothing of a plugin runs; `sandbox check` loads them too.
Exit status: 0 when every plugin may be loaded, 1 when one may not.")]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// One plugin of a configuration.
#[derive(Serialize)]
struct Row {
    resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<Listed>,
    /// Files of the same name that come first in the search, and cannot be loaded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passed_over: Vec<PassedOver>,
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

pub(super) fn run(args: &ListArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let loaded = match read(&args.file.config, environment) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            say(&diagnostics);
            return Ok(ExitCode::FAILURE);
        }
    };
    let search = SearchPath::of_process(&loaded.config.server.plugin_dirs, environment);
    let mut keys = Keys::new(loaded.config.resources.keys().map(String::as_str));
    let rows: Vec<Row> = loaded
        .config
        .enabled()
        .map(|(name, resource)| row(name, resource, &loaded, &search, &mut keys))
        .collect();
    if args.json {
        client::print_json(&rows)?;
    } else {
        client::print(&as_table(&rows))?;
        for row in &rows {
            say_aside(row);
        }
    }
    Ok(exit(rows.iter().all(|row| row.problems.is_empty())))
}

/// What has no room in a line of the table.
fn say_aside(row: &Row) {
    for passed_over in &row.passed_over {
        client::talk(&format!("warning: `{}`: {passed_over}", row.resource));
    }
    for hint in row
        .problems
        .iter()
        .filter_map(|problem| problem.hint.as_ref())
    {
        client::talk(&format!("hint: `{}`: {hint}", row.resource));
    }
}

fn row(
    name: &str,
    resource: &Resource,
    loaded: &Loaded,
    search: &SearchPath,
    keys: &mut Keys<'_>,
) -> Row {
    let base = loaded.document.directory();
    let found = find(
        &resource.backend_class,
        search,
        base,
        resource.sha256.as_deref(),
    );
    let found = found.and_then(|found| {
        keys.check(&resource.backend_class, name, &found.backend.name)?;
        Ok(found)
    });
    Row {
        resource: name.to_owned(),
        passed_over: found
            .as_ref()
            .map(|found| found.trace.passed_over())
            .unwrap_or_default(),
        problems: found
            .as_ref()
            .err()
            .map(LoadError::problems)
            .unwrap_or_default(),
        plugin: found.ok().map(Listed::of),
    }
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
