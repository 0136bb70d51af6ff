//! The commands that talk to a running server: `tools`, `call`, `sessions`, `status`.
//!
//! They use the client crate as any program would, and share no code with the server. What they find
//! goes to stdout, what they have to say about it to stderr; the exit status is 0 when all is well,
//! 1 when the server or a tool refused, 2 when the command line is wrong, 3 when no server answers.

mod call;
mod connect;
mod failure;
mod output;
mod pairs;
mod pictures;
mod prose;
mod schema;
mod sessions;
mod status;
mod tools;

pub(super) use connect::KeyArgs;
pub(super) use output::{print, print_bytes, print_json, table, talk};

use clap::Subcommand;
use std::process::ExitCode;

// No doc comment: clap would take it for the description of the whole program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the tools that a running server has, or describe one
    Tools(tools::ToolsArgs),
    /// Call a tool of a running server
    Call(call::CallArgs),
    /// List, create, refresh or destroy sessions on a running server
    Sessions(sessions::SessionsArgs),
    /// Show how a running server is
    Status(status::StatusArgs),
}

/// Runs a command, and says on stderr what went wrong, if anything did.
pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let outcome = match command {
        Command::Tools(args) => tools::run(&args).await,
        Command::Call(args) => call::run(&args).await,
        Command::Sessions(args) => sessions::run(&args).await,
        Command::Status(args) => status::run(&args).await,
    };
    Ok(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            talk(&failure.to_string());
            failure.exit_code()
        }
    })
}
