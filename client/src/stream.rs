//! A tool that tells how it is getting on.

use crate::{Client, Error, transport::failure};
use reqwest::{Response, Url, header};
use sandbox_protocol::{Envelope, Seconds, request::ExecuteRequest, routes};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use std::{borrow::Cow, collections::VecDeque, time::Duration};

/// What happens while a tool runs.
#[derive(Clone, Debug)]
pub enum StreamEvent {
    /// So much of the work is done.
    Progress {
        /// How much.
        done: f64,
        /// Of how much; 0 when nobody knows.
        total: f64,
        /// In words.
        message: String,
    },
    /// A part of the result, before the rest is there.
    Output(String),
    /// So many events were left out, for they were not read in time.
    Missed(u64),
    /// The tool has ended. The last event.
    Result(Box<Envelope>),
}

/// The events of one call. Dropping it cancels the call.
#[derive(Debug)]
pub struct ExecuteStream {
    response: Response,
    url: Url,
    limit: Duration,
    reader: Reader,
}

impl Client {
    /// Runs a tool, and tells what happens until it has ended. Never sent twice.
    ///
    /// # Errors
    ///
    /// When there is no stream. Unless [`Error::never_ran`], the tool may have run.
    pub async fn execute_stream(
        &self,
        action: &str,
        params: &impl Serialize,
        timeout: Option<Duration>,
    ) -> Result<ExecuteStream, Error> {
        let params = to_raw_value(params).map_err(Error::Parameters)?;
        let request = ExecuteRequest {
            worker_id: Some(Cow::Borrowed(self.worker_id())),
            action: Cow::Borrowed(action),
            params: Some(&params),
            timeout: timeout.map(Seconds::from),
            trace_id: None,
        };
        let body = serde_json::to_vec(&request).map_err(Error::Parameters)?;
        let limit = self.limit(timeout);
        let url = self.route(routes::EXECUTE);
        let headers = [(header::ACCEPT.as_str(), "text/event-stream")];
        let response = self.respond(url.clone(), body, &headers, limit).await?;
        let mut stream = ExecuteStream {
            response,
            url,
            limit,
            reader: Reader::default(),
        };
        if !stream.is_events() {
            // Refused before the tool, or answered by a server that knows no streams.
            let envelope = stream.whole().await?;
            stream
                .reader
                .ready
                .push_back(StreamEvent::Result(Box::new(envelope)));
        }
        Ok(stream)
    }
}

impl ExecuteStream {
    /// The next event; `None` after the result.
    ///
    /// # Errors
    ///
    /// When the connection is lost before the result: the call is cancelled, and may have run.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, Error> {
        loop {
            if let Some(event) = self.reader.ready.pop_front() {
                self.reader.over = matches!(event, StreamEvent::Result(_));
                return Ok(Some(event));
            }
            if self.reader.over {
                return Ok(None);
            }
            let chunk = self.response.chunk().await;
            let chunk =
                chunk.map_err(|error| failure(&self.url, self.limit, error.without_url()))?;
            match chunk {
                Some(chunk) => self.reader.read(&chunk),
                None => return Err(self.broken("the stream ended without a result")),
            }
        }
    }

    /// Reads on to the result, whatever happens on the way.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub async fn result(mut self) -> Result<Envelope, Error> {
        while let Some(event) = self.next().await? {
            if let StreamEvent::Result(envelope) = event {
                return Ok(*envelope);
            }
        }
        Err(self.broken("the result was read before"))
    }

    fn is_events(&self) -> bool {
        let kind = self.response.headers().get(header::CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
    }

    async fn whole(&mut self) -> Result<Envelope, Error> {
        let mut text = Vec::new();
        let failed = |error: reqwest::Error| failure(&self.url, self.limit, error.without_url());
        while let Some(chunk) = self.response.chunk().await.map_err(failed)? {
            text.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&text).map_err(|_| self.broken("neither a stream nor an envelope"))
    }

    fn broken(&self, what: &str) -> Error {
        Error::Protocol {
            url: self.url.origin().ascii_serialization(),
            status: self.response.status(),
            excerpt: what.to_owned(),
        }
    }
}

/// Puts events together from the bytes of a stream, wherever those are cut.
#[derive(Debug, Default)]
struct Reader {
    line: Vec<u8>,
    event: String,
    data: Vec<u8>,
    ready: VecDeque<StreamEvent>,
    over: bool,
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                self.take_line(line.strip_suffix(b"\r").unwrap_or(line));
            }
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            let event = std::mem::take(&mut self.event);
            self.ready.extend(event_of(&event, &data));
        } else if let Some(name) = line.strip_prefix(b"event: ") {
            self.event = String::from_utf8_lossy(name).into_owned();
        } else if let Some(data) = line.strip_prefix(b"data: ") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data);
        }
        // Anything else is a comment, or of a later version.
    }
}

/// An event of a kind that is known here.
fn event_of(event: &str, data: &[u8]) -> Option<StreamEvent> {
    #[derive(Deserialize)]
    struct Progress {
        done: f64,
        total: f64,
        message: String,
    }
    #[derive(Deserialize)]
    struct Output {
        chunk: String,
    }
    #[derive(Deserialize)]
    struct Missed {
        count: u64,
    }
    match event {
        "progress" => {
            let read: Progress = serde_json::from_slice(data).ok()?;
            Some(StreamEvent::Progress {
                done: read.done,
                total: read.total,
                message: read.message,
            })
        }
        "output" => {
            let read: Output = serde_json::from_slice(data).ok()?;
            Some(StreamEvent::Output(read.chunk))
        }
        "missed" => {
            let read: Missed = serde_json::from_slice(data).ok()?;
            Some(StreamEvent::Missed(read.count))
        }
        "result" => Some(StreamEvent::Result(serde_json::from_slice(data).ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_wherever_the_bytes_are_cut() {
        let text =
            b": alive\n\nevent: progress\ndata: {\"done\":1.0,\"total\":2.0,\"message\":\"m\"}\n\n\
            event: later\ndata: {}\n\nevent: output\r\ndata: {\"chunk\":\r\ndata: \"a\"}\r\n\r\n\
            event: missed\ndata: {\"count\":3}\n\n";
        for size in 1..text.len() {
            let mut reader = Reader::default();
            for chunk in text.chunks(size) {
                reader.read(chunk);
            }
            let ready: Vec<_> = reader.ready.into();
            assert!(matches!(
                &ready[..],
                [
                    StreamEvent::Progress { done: 1.0, .. },
                    StreamEvent::Output(chunk),
                    StreamEvent::Missed(3)
                ] if chunk == "a"
            ));
        }
    }
}
