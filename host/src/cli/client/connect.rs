//! Which server a command talks to, and with which key.

use super::failure::Failure;
use clap::Args;
use sandbox_client::{Client, ClientBuilder, DEFAULT_URL};
use std::{fs, path::PathBuf, time::Duration};

/// The worker that commands act for unless told otherwise: always the same one, so that what one
/// command leaves in a session the next one finds there.
const DEFAULT_WORKER: &str = "cli";

/// Which server to talk to.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerArgs {
    /// The server's address
    #[arg(long, global = true, value_name = "URL", env = "SANDBOX_URL", default_value = DEFAULT_URL)]
    url: String,

    #[command(flatten)]
    key: KeyArgs,
}

/// With which key to talk to it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
pub(crate) struct KeyArgs {
    /// A file with the API key; without it, the key is taken from `SANDBOX_API_KEY`
    #[arg(long, global = true, value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    // Only for the variable: on a command line every user of the machine could read the key.
    #[arg(long, env = "SANDBOX_API_KEY", hide = true, hide_env_values = true)]
    api_key: Option<String>,
}

/// Which worker to act for.
#[derive(Args, Debug)]
pub(super) struct WorkerArgs {
    /// The worker to act for
    #[arg(long, global = true, value_name = "NAME", env = "SANDBOX_WORKER", default_value = DEFAULT_WORKER)]
    worker: String,
}

impl ServerArgs {
    /// A client that acts for nobody in particular.
    pub(super) fn connect(&self) -> Result<Client, Failure> {
        Ok(self.key.builder(&self.url)?.build()?)
    }

    /// A client that acts for a worker.
    pub(super) fn connect_for(&self, worker: &WorkerArgs) -> Result<Client, Failure> {
        let builder = self.key.builder(&self.url)?;
        Ok(builder.worker_id(&worker.worker).build()?)
    }
}

impl KeyArgs {
    /// A client of the server at `url`, with the key if there is one.
    pub(crate) fn connect(&self, url: &str) -> anyhow::Result<Client> {
        Ok(self.builder(url)?.build().map_err(Failure::from)?)
    }

    fn builder(&self, url: &str) -> Result<ClientBuilder, Failure> {
        let builder = Client::builder().url(url);
        Ok(match self.read()? {
            Some(key) => builder.api_key(key),
            None => builder,
        })
    }

    fn read(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.api_key_file else {
            return Ok(self.api_key.clone().filter(|key| !key.is_empty()));
        };
        let text = fs::read_to_string(file).map_err(|error| {
            Failure::usage(format!(
                "cannot read the API key from {}: {error}",
                file.display()
            ))
        })?;
        match text.trim() {
            "" => Err(Failure::usage(format!(
                "{} holds no API key",
                file.display()
            ))),
            key => Ok(Some(key.to_owned())),
        }
    }
}

/// Reads a number of seconds on the command line.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "expected a number of seconds".to_owned())?;
    let seconds = sandbox_protocol::Seconds::new(number).map_err(|error| error.to_string())?;
    Ok(seconds.duration())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_fractions_and_are_above_zero() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["", "soon", "0", "-1", "NaN"] {
            seconds(text).unwrap_err();
        }
    }
}
