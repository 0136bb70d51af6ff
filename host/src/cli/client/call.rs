//! `sandbox call`: one tool, once.

use super::{
    connect::{self, ServerArgs, WorkerArgs},
    failure::Failure,
    output::{print, print_bytes, print_json, talk},
    pairs,
    pictures::{self, Picture},
};
use clap::Args;
use sandbox_client::Client;
use sandbox_protocol::{Code, Envelope};
use serde_json::{Map, Value};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Call a tool of a running server
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sandbox call bash:run command='ls -l'
  sandbox call vm:click '{\"x\": 1, \"y\": 2}'
  sandbox call vm:hotkey keys:='[\"ctrl\", \"c\"]'
  sandbox call vm:screenshot --output screen.png
  echo '{\"query\": \"sandbox\"}' | sandbox call rag:search -

In key=value, the tool's schema decides whether 123 is a number or text; in key:=json, the value is
always JSON. Calls act for the worker `cli`, so that they share its sessions; see `sandbox sessions`.

Exit status: 0 success, 1 the tool or the server refused, 2 wrong usage, 3 no server answers.")]
pub(crate) struct CallArgs {
    /// The tool's name, such as vm:click
    tool: String,

    /// Its parameters: one JSON object, key=value pairs, or - for a JSON object on stdin
    params: Vec<String>,

    /// How long the tool may run
    #[arg(long, value_name = "SECONDS", value_parser = connect::seconds, allow_negative_numbers = true)]
    timeout: Option<Duration>,

    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,

    /// Write the answer's picture to a file; - for stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    worker: WorkerArgs,

    #[command(flatten)]
    server: ServerArgs,
}

/// Calls the tool and prints what it answers.
pub(super) async fn run(args: &CallArgs) -> Result<(), Failure> {
    let client = args.server.connect_for(&args.worker)?;
    let typed = pairs::read(&args.params, &mut io::stdin().lock())?;
    let params = decide(&client, &args.tool, typed).await?;
    let mut envelope = client.execute(&args.tool, &params, args.timeout).await?;
    let kept = keep_pictures(args, &mut envelope.data)?;
    // With the picture on stdout, nothing else may be there.
    if args.output.as_deref() != Some(Path::new("-")) {
        show(args.json, &envelope)?;
    }
    if !envelope.is_success() {
        return Err(refused(&args.tool, &envelope));
    }
    if args.output.is_some() && kept == 0 {
        return Err(Failure::refused(
            "the answer holds no picture; nothing was written",
        ));
    }
    Ok(())
}

/// What the tool says no to, and where its parameters stand if they are what is wrong.
fn refused(tool: &str, envelope: &Envelope) -> Failure {
    let failure = Failure::of_envelope(envelope);
    if envelope.code == Code::PARAMETER {
        failure.hint(format!("`sandbox tools {tool}` shows its parameters"))
    } else {
        failure
    }
}

/// Asks the server for the tool's schema where the parameters cannot be told without.
async fn decide(
    client: &Client,
    tool: &str,
    typed: pairs::Typed,
) -> Result<Map<String, Value>, Failure> {
    if !typed.needs_schema() {
        return Ok(typed.undirected());
    }
    let tool = client.tool(tool).await?;
    let schema = serde_json::from_str(tool.input_schema.get()).unwrap_or(Value::Null);
    Ok(typed.decide(&schema))
}

/// Takes pictures out of the answer, writes them where asked, and says how many there were.
fn keep_pictures(args: &CallArgs, data: &mut Value) -> Result<usize, Failure> {
    // A program that reads the whole answer wants the picture in it.
    if args.json && args.output.is_none() {
        return Ok(0);
    }
    let mut found = Vec::new();
    pictures::take(data, &mut found, &|picture, place| match &args.output {
        Some(name) => format!("<{}>", pictures::file_for(name, place).display()),
        None => format!("<{}; --output FILE keeps it>", picture.describe()),
    });
    if let Some(name) = &args.output {
        for (place, picture) in found.iter().enumerate() {
            keep(name, place, picture)?;
        }
    }
    Ok(found.len())
}

fn keep(name: &Path, place: usize, picture: &Picture) -> Result<(), Failure> {
    if name == Path::new("-") {
        return Ok(print_bytes(&picture.bytes)?);
    }
    let file = pictures::file_for(name, place);
    fs::write(&file, &picture.bytes)
        .map_err(|error| Failure::refused(format!("cannot write {}: {error}", file.display())))?;
    talk(&format!("{}: {}", file.display(), picture.describe()));
    Ok(())
}

fn show(json: bool, envelope: &Envelope) -> io::Result<()> {
    if json {
        return print_json(envelope);
    }
    // A tool may have something to say besides its data.
    if envelope.is_success() && !matches!(envelope.message.as_str(), "" | "success") {
        talk(&envelope.message);
    }
    match &envelope.data {
        Value::Null => Ok(()),
        Value::String(text) => print(text),
        data => print_json(data),
    }
}
