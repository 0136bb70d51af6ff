//! `sandbox-bench`: measures the server against baselines taken in the same run.
//!
//! In reading order: [`cli`] chooses what to measure; [`measurements`] lists everything there is, one
//! module each; a measurement starts what it needs ([`server`], [`baseline`], [`load`]: processes of
//! their own) and returns [`row`]s; [`report`] prints them and writes them down. [`numbers`] and
//! [`memory`] know medians and `/proc`.

mod baseline;
mod cli;
mod client;
mod collector;
mod devtools;
mod load;
mod mcp_baseline;
mod measurements;
mod memory;
mod numbers;
mod report;
mod row;
mod server;
mod workshop;

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    cli::run()
}
