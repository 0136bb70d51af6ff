//! The server's side of a bridge: HTTP, and which handle the client has there.

use std::{io, time::Duration};

use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::{Message, Output, events::Events};

/// How often a server that cannot be connected to is tried again: it may be starting anew.
const ATTEMPTS: u32 = 5;

/// How long to wait between.
const PAUSE: Duration = Duration::from_millis(400);

const SESSION_ID: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";

/// Why a message was not delivered, or not answered.
pub(super) enum Trouble {
    /// The client does not take what it is given.
    Output(io::Error),
    /// The server, in words for the client.
    Server(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// The server.
pub(super) struct Remote {
    client: Client,
    url: String,
    session: RwLock<Option<Session>>,
}

/// What a client of the older generation has there.
#[derive(Clone)]
struct Session {
    id: String,
    version: String,
    /// How the client introduced itself.
    begin: String,
}

impl Remote {
    pub(super) fn new(server: &sandbox_client::Client) -> Self {
        let base = server.url().trim_end_matches('/');
        let own = base.contains("/mcp");
        Self {
            client: server.http().clone(),
            url: if own {
                base.to_owned()
            } else {
                format!("{base}/mcp")
            },
            session: RwLock::default(),
        }
    }

    /// Whether the client is one of the older generation.
    pub(super) async fn has_session(&self) -> bool {
        self.session.read().await.is_some()
    }

    /// Sends a message and passes on what comes back; says whether the client had to be introduced again.
    pub(super) async fn send(
        &self,
        line: &str,
        message: &Message,
        output: &Output,
    ) -> Result<bool, Trouble> {
        let begins = message.method == "initialize";
        let session = self.session.read().await.clone().filter(|_| !begins);
        let mut response = self.post(line, message, session.as_ref()).await?;
        let mut again = false;
        if let (StatusCode::NOT_FOUND, Some(session)) = (response.status(), &session) {
            let session = self.begin_again(session).await?;
            response = self.post(line, message, Some(&session)).await?;
            again = true;
        }
        if begins {
            let id = response.headers().get(SESSION_ID);
            let id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
            let answer = text(response).await?;
            let answer = self.begun(line, id, &answer).await;
            output.line(&answer).await?;
        } else {
            pass_on(response, output).await?;
        }
        Ok(again)
    }

    /// Gives the handle back, so that what the client had ends with it.
    pub(super) async fn take_leave(&self) {
        if let Some(session) = self.session.write().await.take() {
            let request = self.client.delete(&self.url);
            let _ = request.header(SESSION_ID, session.id).send().await;
        }
    }

    /// Keeps what the server gave to a client that introduced itself. The client is told that the list of
    /// tools may change: of this server it cannot, but of the next one behind the same bridge.
    async fn begun(&self, line: &str, id: Option<String>, answer: &str) -> String {
        let Ok(mut answer) = serde_json::from_str::<Value>(answer) else {
            return answer.to_owned();
        };
        if let Some(id) = id {
            let version = answer["result"]["protocolVersion"].as_str();
            *self.session.write().await = Some(Session {
                id,
                version: version.unwrap_or_default().to_owned(),
                begin: line.to_owned(),
            });
        }
        if let Some(Value::Object(tools)) = answer.pointer_mut("/result/capabilities/tools") {
            tools.insert("listChanged".to_owned(), true.into());
        }
        answer.to_string()
    }

    /// Introduces the client to a server that does not know it.
    async fn begin_again(&self, old: &Session) -> Result<Session, Trouble> {
        let mut session = self.session.write().await;
        // Another request may have done it in the meantime.
        if let Some(session) = session.as_ref().filter(|session| session.id != old.id) {
            return Ok(session.clone());
        }
        let request = self.request(old.begin.clone());
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let id = response
            .headers()
            .get(SESSION_ID)
            .and_then(|id| id.to_str().ok());
        let id = id.ok_or_else(|| Trouble::Server("the server gave no session".to_owned()))?;
        let new = Session {
            id: id.to_owned(),
            ..old.clone()
        };
        *session = Some(new.clone());
        Ok(new)
    }

    async fn post(
        &self,
        line: &str,
        message: &Message,
        session: Option<&Session>,
    ) -> Result<Response, Trouble> {
        let mut attempt = 1;
        loop {
            let mut request = self.request(line.to_owned());
            if let Some(session) = session {
                request = request
                    .header(SESSION_ID, &session.id)
                    .header(VERSION, &session.version);
            } else if let Some(version) = &message.params.meta.version {
                request = request
                    .header(VERSION, version)
                    .header("mcp-method", &message.method);
                if let Some(name) = message.params.name() {
                    request = request.header("mcp-name", name);
                }
            }
            match request.send().await {
                Ok(response) => return Ok(response),
                // Nothing was sent, so it can be sent again.
                Err(error) if error.is_connect() && attempt < ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(self.unreachable(&error)),
            }
        }
    }

    fn request(&self, body: String) -> RequestBuilder {
        self.client
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .body(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Trouble {
        let why = if error.is_connect() {
            "does it run?"
        } else {
            "the connection broke off"
        };
        Trouble::Server(format!("no answer from the server at {}: {why}", self.url))
    }
}

/// Gives the client the messages of an answer.
async fn pass_on(mut response: Response, output: &Output) -> Result<(), Trouble> {
    let streams = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if streams {
        let mut events = Events::default();
        while let Some(bytes) = response.chunk().await.map_err(|error| broken(&error))? {
            for message in events.feed(&bytes) {
                output.line(&message).await?;
            }
        }
        return Ok(());
    }
    let status = response.status();
    let text = text(response).await?;
    if text.is_empty() && status.is_success() {
        return Ok(());
    }
    let body: Value = serde_json::from_str(&text).unwrap_or(json!(null));
    if body["jsonrpc"].is_string() {
        return Ok(output.line(&text).await?);
    }
    let said = body["message"].as_str().unwrap_or(&text);
    Err(Trouble::Server(format!(
        "the server refused ({status}): {said}"
    )))
}

async fn text(response: Response) -> Result<String, Trouble> {
    response.text().await.map_err(|error| broken(&error))
}

fn broken(error: &reqwest::Error) -> Trouble {
    Trouble::Server(format!("the server's answer broke off: {error}"))
}
