//! `sandbox completions`: what a shell needs to complete the command line.

use clap_complete::{Shell, generate};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sandbox completions bash > ~/.local/share/bash-completion/completions/sandbox")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, command: &mut clap::Command) {
    generate(args.shell, command, "sandbox", &mut std::io::stdout());
}
