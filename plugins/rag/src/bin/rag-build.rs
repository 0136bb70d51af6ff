//! `rag-build`: builds the index of the rag backend offline.
#![forbid(unsafe_code)]

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rag::{
    Config,
    offline::{Step, build},
};
use serde_json::json;

/// Builds the index of the rag backend, without a server.
///
/// It makes the same index that the server makes when it starts, and shows how far it is. Stop it at
/// any time, also by pulling the plug: run again, it goes on, and no passage is embedded twice. If the
/// corpus has changed, only what is new in it is embedded. The server that uses the index must be
/// stopped meanwhile.
#[derive(Parser)]
#[command(name = "rag-build", version, after_help = EXAMPLES)]
struct Arguments {
    /// The folder of the index, the server's `index_path`; made when it is not there.
    #[arg(long, value_name = "FOLDER")]
    index: PathBuf,
    /// The corpus, the server's `corpus_path`: a document a line, as JSON.
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// The model's folder, the server's `model_name`. Without one, passages are found by words alone.
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// Where the model runs: cpu, gpu, gpu:0.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// The length of passages, the server's `chunk_tokens`: with another one it reads the corpus again.
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    chunk_tokens: usize,
    /// How much of a passage the next one repeats, the server's `chunk_overlap`.
    #[arg(long, value_name = "TOKENS", default_value_t = 32)]
    chunk_overlap: usize,
    /// Give an index of another model the vectors of this one.
    #[arg(long, requires = "model")]
    change_model: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  Full text only:
    rag-build --index data/rag --corpus corpus/passages.jsonl
  With a model, for dense and hybrid search:
    rag-build --index data/rag --corpus corpus/passages.jsonl --model models/all-MiniLM-L6-v2
  Another model for an index that is there, with all documents that callers added:
    rag-build --index data/rag --corpus corpus/passages.jsonl --model models/bge-m3 --change-model";

impl Arguments {
    fn config(&self) -> Result<Config, serde_json::Error> {
        serde_json::from_value(json!({
            "index_path": self.index,
            "corpus_path": self.corpus,
            "model_name": self.model,
            "device": self.device,
            "chunk_tokens": self.chunk_tokens,
            "chunk_overlap": self.chunk_overlap,
        }))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bar = bar(arguments.quiet);
    let built = arguments
        .config()
        .map_err(|error| error.to_string())
        .and_then(|config| {
            let step = |step| show(&bar, step);
            build(&config, arguments.change_model, step).map_err(|error| error.message().to_owned())
        });
    bar.finish_and_clear();
    match built {
        Ok(built) => {
            let reused = match built.reused {
                0 => String::new(),
                reused => format!(", {} vectors were there before", HumanCount(reused)),
            };
            eprintln!(
                "{}: {} documents, {} passages, {}{reused}",
                arguments.index.display(),
                HumanCount(built.documents),
                HumanCount(built.passages),
                HumanBytes(built.bytes),
            );
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn bar(quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let style = "{bar:40} {percent}%  {msg}  {elapsed} gone, {eta} left";
    // The template is a constant; were it wrong, the bar would be a plain one.
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn show(bar: &ProgressBar, step: Step) {
    bar.set_length(step.of);
    bar.set_position(step.done);
    let reused = match step.reused {
        0 => String::new(),
        reused => format!(" ({} vectors were there)", HumanCount(reused)),
    };
    bar.set_message(format!("{} documents{reused}", HumanCount(step.documents)));
}
