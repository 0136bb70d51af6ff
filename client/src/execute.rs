//! Running tools.

use crate::{Client, Error, transport::refusal};
use sandbox_protocol::{
    Envelope, Seconds,
    request::{Action, BatchRequest, ExecuteRequest},
    response::BatchResults,
    routes,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{borrow::Cow, time::Duration};

/// How much longer than a tool's own time the client waits, for the server to clean up and answer.
const ANSWER_MARGIN: Duration = Duration::from_secs(10);

/// One tool of a batch.
#[derive(Clone, Debug)]
pub struct BatchAction {
    action: String,
    params: Box<RawValue>,
    timeout: Option<Duration>,
}

impl BatchAction {
    /// A tool with its parameters.
    ///
    /// # Errors
    ///
    /// When the parameters cannot be written as JSON.
    pub fn new(action: impl Into<String>, params: &impl Serialize) -> Result<Self, Error> {
        Ok(Self {
            action: action.into(),
            params: to_raw_value(params).map_err(Error::Parameters)?,
            timeout: None,
        })
    }

    /// How long the tool may run.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// How a batch runs.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// Whether the tools run at the same time.
    pub parallel: bool,
    /// Whether the rest is left out after the first failure.
    pub stop_on_error: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            parallel: false,
            stop_on_error: true,
        }
    }
}

impl Client {
    /// Runs a tool. Its own failure is in the envelope, as is a refusal of the server's.
    ///
    /// `timeout` bounds the tool's run; without one, the tool's or the server's default holds. Dropping the future cancels
    /// the call.
    ///
    /// # Errors
    ///
    /// When there is no envelope. Unless [`Error::never_ran`], the tool may have run.
    pub async fn execute(
        &self,
        action: &str,
        params: &impl Serialize,
        timeout: Option<Duration>,
    ) -> Result<Envelope, Error> {
        let params = to_raw_value(params).map_err(Error::Parameters)?;
        let request = ExecuteRequest {
            worker_id: Some(Cow::Borrowed(self.worker_id())),
            action: Cow::Borrowed(action),
            params: Some(&params),
            timeout: timeout.map(Seconds::from),
            trace_id: None,
        };
        let limit = self.limit(timeout);
        self.post_once(routes::EXECUTE, &request, limit)
            .await?
            .envelope()
    }

    /// Runs several tools. Each has its envelope in the results, in the order given. Dropping the future cancels what runs.
    ///
    /// # Errors
    ///
    /// When there are no results, because the server refused the batch as a whole or there is no
    /// answer. Tools of it may have run, unless [`Error::never_ran`].
    pub async fn execute_batch(
        &self,
        actions: &[BatchAction],
        options: BatchOptions,
    ) -> Result<Envelope<BatchResults>, Error> {
        let request = BatchRequest {
            worker_id: Some(Cow::Borrowed(self.worker_id())),
            actions: actions.iter().map(as_action).collect(),
            parallel: options.parallel,
            stop_on_error: options.stop_on_error,
            trace_id: None,
        };
        // Even parallel ones may have to wait for each other: a server bounds how many run at once.
        let limit = actions
            .iter()
            .map(|action| self.limit(action.timeout))
            .fold(Duration::ZERO, Duration::saturating_add)
            .max(self.timeout);
        let answer = self
            .post_once(routes::EXECUTE_BATCH, &request, limit)
            .await?;
        let envelope = answer.envelope()?;
        match serde_json::from_value(envelope.data.clone()) {
            Ok(data) => Ok(Envelope {
                code: envelope.code,
                message: envelope.message,
                data,
                meta: envelope.meta,
            }),
            Err(error) if envelope.is_success() => Err(answer.misfit(&error)),
            // The batch as a whole was refused, so its data is of another kind.
            Err(_) => Err(refusal(envelope)),
        }
    }

    /// How long to wait for a tool that may run so long.
    pub(crate) fn limit(&self, timeout: Option<Duration>) -> Duration {
        timeout.map_or(self.timeout, |own| {
            self.timeout.max(own.saturating_add(ANSWER_MARGIN))
        })
    }
}

fn as_action(action: &BatchAction) -> Action<'_> {
    Action {
        action: Cow::Borrowed(&action.action),
        params: Some(&action.params),
        timeout: action.timeout.map(Seconds::from),
    }
}
