//! A server with its HTTP front, and ways to talk to it: well, badly, and byte by byte.

use std::{net::SocketAddr, time::Duration};

use reqwest::{Client, ClientBuilder, Response};
use sandbox::http::{Options, serve};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, again};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server that can be reached.
pub(crate) struct Web {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    pub(crate) closing: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

/// An answer that has been read.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
}

impl Got {
    pub(crate) async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body =
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: not JSON: {text:?}"));
        Self {
            status,
            headers,
            body,
        }
    }

    /// HTTP status and code.
    pub(crate) fn codes(&self) -> (u16, i64) {
        (
            self.status,
            self.body["code"]
                .as_i64()
                .unwrap_or_else(|| panic!("{self:?}")),
        )
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The data of a success.
    pub(crate) fn data(&self) -> &Value {
        assert_eq!(self.codes(), (200, 0), "{self:?}");
        &self.body["data"]
    }
}

impl Web {
    /// A server with these fixtures, each with its configuration.
    pub(crate) async fn of(resources: Value) -> Self {
        Self::with(json!({ "resources": resources })).await
    }

    /// A server with this configuration.
    pub(crate) async fn with(config: Value) -> Self {
        let web = Self::starting(config).await;
        web.engine.sandbox.open();
        web
    }

    /// A server that is not open for calls yet.
    pub(crate) async fn starting(mut config: Value) -> Self {
        for section in ["server", "resources"] {
            if config[section].is_null() {
                config[section] = json!({});
            }
        }
        let engine = Engine::starting(config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let closing = CancellationToken::new();
        let options = Options {
            config_directory: Some(engine.directory.path().to_owned()),
            closing: closing.clone(),
        };
        let serving = tokio::spawn(serve(engine.sandbox.clone(), listener, options));
        Self {
            engine,
            address,
            client: client().build().unwrap(),
            closing,
            serving,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        Got::read(self.client.get(self.url(path)).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Got {
        self.post_text(path, body.to_string()).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Got {
        let request = self.client.post(self.url(path)).body(body);
        Got::read(request.send().await.unwrap()).await
    }

    /// Posts with headers of its own.
    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Got {
        self.post_text_with(path, headers, &body.to_string()).await
    }

    /// Posts a text with headers of its own.
    pub(crate) async fn post_text_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Got {
        let mut request = self.client.post(self.url(path)).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Got::read(request.send().await.unwrap()).await
    }

    /// Runs a tool for the worker `w`.
    pub(crate) async fn execute(&self, action: &str, params: Value) -> Got {
        self.post(
            "/api/v1/execute",
            json!({ "worker_id": "w", "action": action, "params": params }),
        )
        .await
    }

    pub(crate) async fn connect(&self) -> Raw {
        Raw(TcpStream::connect(self.address).await.unwrap())
    }

    /// A connection on which this request is being answered. A busy machine may send it only when the server has given
    /// the connection up; then it is sent on another one.
    pub(crate) async fn ask(&self, request: &str) -> Raw {
        again("an answer", async |_| {
            let mut raw = self.connect().await;
            raw.say(request).await;
            let answer = timeout(PATIENCE, raw.0.peek(&mut [0])).await;
            let answer = answer.expect("the server answers or closes the connection");
            matches!(answer, Ok(1..)).then_some(raw)
        })
        .await
    }
}

/// A client that goes to the server straight, whatever the environment says of proxies.
pub(crate) fn client() -> ClientBuilder {
    Client::builder().no_proxy()
}

/// One that begins with HTTP/2.
pub(crate) fn http2() -> ClientBuilder {
    client().http2_prior_knowledge()
}

/// A connection that says exactly what it is told to.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
    }

    /// Everything until the server closes the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut text = Vec::new();
        let read = timeout(PATIENCE, self.0.read_to_end(&mut text)).await;
        let _ = read.expect("the server closes the connection");
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Reads until what was read ends with `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let byte = timeout(PATIENCE, self.0.read_u8())
                .await
                .expect("the server goes on");
            text.push(
                byte.unwrap_or_else(|_| {
                    panic!("closed after {:?}", String::from_utf8_lossy(&text))
                }),
            );
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The head and body of a `POST` with this body.
pub(crate) fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Replaces what differs from run to run.
pub(crate) fn stable(mut value: Value) -> Value {
    smooth("", &mut value);
    value
}

fn smooth(key: &str, value: &mut Value) {
    match value {
        Value::Object(members) => members
            .iter_mut()
            .for_each(|(key, value)| smooth(key, value)),
        Value::Array(elements) => elements.iter_mut().for_each(|value| smooth(key, value)),
        Value::Number(number) if key == "execution_time_ms" => {
            assert!(number.as_f64().is_some_and(|ms| ms >= 0.0));
            *value = json!("[ms]");
        }
        Value::String(text) => match key {
            "session_id" => {
                let (name, random) = text.rsplit_once('_').unwrap();
                assert!(
                    random.len() == 8 && random.bytes().all(|b| b.is_ascii_hexdigit()),
                    "{text}"
                );
                *text = format!("{name}_[random]");
            }
            "trace_id" if text.len() == 32 => "[trace]".clone_into(text),
            "created_at" | "last_activity" | "expires_at" | "timestamp" => {
                assert!(text.len() == 27 && text.ends_with('Z'), "{text}");
                "[time]".clone_into(text);
            }
            "version" => "[version]".clone_into(text),
            _ => {}
        },
        _ => {}
    }
}
