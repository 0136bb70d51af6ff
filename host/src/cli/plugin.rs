//! `sandbox plugin list` and `sandbox plugin inspect`: what plugins say about themselves.
//!
//! Both read files alone: nothing of a plugin runs. `sandbox check` loads them too.

mod inspect;
mod list;

use std::process::ExitCode;

use crate::config::Environment;

/// Look at plugins
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox plugin list                                those of a configuration
  sandbox plugin inspect ./target/release/librag.so  all about one file")]
pub(super) struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, clap::Subcommand)]
enum PluginCommand {
    /// List the plugins of a configuration
    List(list::ListArgs),
    /// Tell everything that a plugin's file says about itself
    Inspect(inspect::InspectArgs),
}

pub(super) fn run(args: &PluginArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::process();
    match &args.command {
        PluginCommand::List(args) => list::run(args, &environment),
        PluginCommand::Inspect(args) => inspect::run(args, &environment),
    }
}

fn exit(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
