//! `sandbox completions`: what a shell needs to complete the command line.

use std::process::ExitCode;

use clap_complete::{Shell, generate};

use super::client;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sandbox completions bash > ~/.local/share/bash-completion/completions/sandbox")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, command: &mut clap::Command) -> anyhow::Result<ExitCode> {
    // clap_complete panics when it cannot write; memory takes everything.
    let mut script = Vec::new();
    generate(args.shell, command, "sandbox", &mut script);
    client::print_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}
