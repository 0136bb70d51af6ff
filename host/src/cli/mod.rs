//! The command line: what can be typed after `sandbox`.
//!
//! Server commands live here, one file each; `client` holds those that talk to a running server.
//! Data goes to stdout, talk to stderr.

mod check;
mod client;
mod completions;
mod config;
mod mcp;
mod plugin;
mod serve;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    config::{Config, Diagnostic, Environment, Loaded, render},
    instance, logging,
};

const EXAMPLES: &str = "\
Examples:
  sandbox serve --config config.json          serve the tools of a configuration
  sandbox check config.json                   say what is wrong with it, and change nothing
  sandbox call bash:run command='echo hello'  call a tool of the running server
  sandbox tools                               list its tools";

/// A server that gives AI agents their tools.
#[derive(Debug, Parser)]
#[command(name = "sandbox", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the tools of a configuration until Ctrl-C
    Serve(serve::ServeArgs),
    /// Say what is wrong with a configuration; start nothing, change nothing
    Check(check::CheckArgs),
    /// Look at plugins
    Plugin(plugin::PluginArgs),
    /// Look at configurations
    Config(config::ConfigArgs),
    /// Offer the tools to one MCP client, on standard input and output
    Mcp(mcp::McpArgs),
    #[command(flatten)]
    Client(client::Command),
    /// Write the completions for a shell to stdout
    Completions(completions::CompletionsArgs),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    if let Some(name) = to_reap(std::env::args_os()) {
        instance::reap(&name);
        return ExitCode::SUCCESS;
    }
    let command = Arguments::parse().command;
    let result = match command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Plugin(args) => plugin::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Mcp(args) => mcp::run(&args),
        Command::Client(command) => block_on(client::run(command)),
        Command::Completions(args) => completions::run(&args, &mut Arguments::command()),
    };
    result.unwrap_or_else(|error| {
        client::talk(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// The server whose remains this process is to remove: `serve` starts it for that. Nobody types it, so the command
/// line proper does not know it, and no shell offers it.
fn to_reap(mut arguments: impl Iterator<Item = OsString>) -> Option<String> {
    let asked = arguments.nth(1)? == instance::REAP;
    let name = arguments.next().filter(|_| asked)?;
    name.into_string().ok()
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(work)
}

/// The configuration file that a command is given.
#[derive(Debug, Clone, clap::Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "config.json")]
    config: PathBuf,
}

/// Reads a configuration; what is wrong with it comes back as diagnostics, notes included.
fn read(path: &std::path::Path, environment: &Environment) -> Result<Loaded, Vec<Diagnostic>> {
    Config::load(path, environment).map_err(|error| error.diagnostics())
}

/// Says diagnostics on stderr, in colour when somebody looks.
fn say(diagnostics: &[Diagnostic]) {
    if !diagnostics.is_empty() {
        let coloured = logging::coloured(&Environment::process());
        client::talk(render(diagnostics, coloured).trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command below this one, with the words that lead to it.
    fn walk(words: &str, command: &clap::Command, found: &mut Vec<(String, String)>) {
        let mut command = command.clone();
        found.push((words.to_owned(), command.render_long_help().to_string()));
        for below in command.get_subcommands().filter(|one| !one.is_hide_set()) {
            walk(&format!("{words} {}", below.get_name()), below, found);
        }
    }

    #[test]
    fn every_help_has_an_example_that_can_be_typed() {
        let mut helps = Vec::new();
        walk("sandbox", &Arguments::command(), &mut helps);
        assert!(helps.len() > 15, "{helps:?}");
        for (words, help) in helps {
            let examples = help.split_once("Example").map(|(_, examples)| examples);
            let shows = examples.is_some_and(|examples| examples.contains(&format!("  {words}")));
            assert!(shows, "`{words} --help` shows no example:\n{help}");
        }
    }

    #[test]
    fn only_a_server_starts_what_cleans_up_behind_it() {
        let asked = |arguments: &[&str]| to_reap(arguments.iter().map(OsString::from));
        assert_eq!(
            asked(&["sandbox", instance::REAP, "one"]).as_deref(),
            Some("one")
        );
        assert_eq!(asked(&["sandbox", instance::REAP]), None);
        assert_eq!(asked(&["sandbox", "serve", "one"]), None);
        assert_eq!(asked(&[]), None);
    }
}
