//! `sandbox config`: the JSON Schema for editors, and the configuration in force.

use std::{path::Path, process::ExitCode};

use sandbox_plugin_api::host::table;

use super::{ConfigFile, client, read, say};
use crate::{
    boot,
    config::{Environment, Loaded, json_schema, json_schema_with_plugins},
    logging::PluginLog,
};

/// Look at configurations
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox config show                            what would be in force
  sandbox config schema > sandbox.schema.json    for an editor")]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema of configurations, for editors
    #[command(after_help = "\
Examples:
  sandbox config schema > sandbox.schema.json
  sandbox config schema --config config.json   with the settings of that file's plugins")]
    Schema {
        /// A configuration whose plugins' own settings the schema shall know
        #[arg(short, long, value_name = "FILE")]
        config: Option<std::path::PathBuf>,
    },
    /// Print the configuration in force: defaults and environment filled in, secrets masked
    #[command(after_help = "\
Example:
  sandbox config show --config config.json")]
    Show(ConfigFile),
}

pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        ConfigCommand::Schema { config: None } => client::print_json(&json_schema())?,
        ConfigCommand::Schema { config: Some(path) } => return schema_of(path),
        ConfigCommand::Show(file) => return show(&file.config, |_| {}),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a configuration as it would be in force with what the command line says.
pub(super) fn show(path: &Path, overridden: impl FnOnce(&mut Loaded)) -> anyhow::Result<ExitCode> {
    match read(path, &Environment::process()) {
        Ok(mut loaded) => {
            overridden(&mut loaded);
            client::print_json(&loaded.effective())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(diagnostics) => {
            say(&diagnostics);
            Ok(ExitCode::FAILURE)
        }
    }
}

fn schema_of(path: &Path) -> anyhow::Result<ExitCode> {
    let environment = Environment::process();
    let loaded = match read(path, &environment) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            say(&diagnostics);
            return Ok(ExitCode::FAILURE);
        }
    };
    let booted = boot::load(
        &loaded,
        &environment,
        table(Box::new(PluginLog::default()), 1),
        false,
    );
    say(&booted.diagnostics);
    let schemas = booted.ready.iter();
    let schemas = schemas.map(|ready| {
        (
            ready.name.as_str(),
            ready.plugin.description.config.schema(),
        )
    });
    client::print_json(&json_schema_with_plugins(schemas))?;
    Ok(ExitCode::SUCCESS)
}
