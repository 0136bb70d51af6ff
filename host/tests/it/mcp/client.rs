//! A client of both generations of the protocol, made of nothing but HTTP: what it sends stands here.

use serde_json::{Value, json};

use crate::http::web::{Got, Web};

/// The capabilities of a client that knows the extension for tasks.
pub(super) fn with_tasks() -> Value {
    json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } })
}

/// A client of the server.
pub(super) struct Client<'w> {
    pub(super) web: &'w Web,
    /// The path and query it knows the server by.
    pub(super) path: String,
    pub(super) key: Option<&'static str>,
    /// The handle, in the older generation.
    pub(super) session: Option<String>,
    pub(super) capabilities: Value,
    old: bool,
}

impl<'w> Client<'w> {
    /// A client of the newer generation.
    pub(super) fn new(web: &'w Web) -> Self {
        Self {
            web,
            path: "/mcp".to_owned(),
            key: None,
            session: None,
            capabilities: json!({}),
            old: false,
        }
    }

    /// A client of the older one, which has introduced itself.
    pub(super) async fn old(web: &'w Web) -> Self {
        let mut client = Self::new(web);
        client.old = true;
        client.begin().await;
        client
    }

    pub(super) async fn begin(&mut self) {
        let about = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let got = self.send("initialize", about).await;
        assert_eq!(got.body["result"]["protocolVersion"], "2025-11-25");
        self.session = got.header("mcp-session-id").map(str::to_owned);
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let response = self.request(&ready).send().await.unwrap();
        assert_eq!(response.status(), 202);
    }

    /// What the client sends.
    pub(super) fn message(&self, method: &str, mut params: Value) -> Value {
        if !self.old {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
                self.capabilities.clone();
            params["_meta"]["io.modelcontextprotocol/clientInfo"] =
                json!({ "name": "test", "version": "1" });
        }
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
    }

    pub(super) fn request(&self, message: &Value) -> reqwest::RequestBuilder {
        let request = self.web.client.post(self.web.url(&self.path));
        let mut request = request
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(message.to_string());
        if let Some(key) = self.key {
            request = request.bearer_auth(key);
        }
        if self.old {
            if let Some(session) = &self.session {
                request = request.header("mcp-session-id", session);
            }
            return request;
        }
        let method = message["method"].as_str().unwrap();
        request = request
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        let params = &message["params"];
        match params["name"]
            .as_str()
            .or(params["uri"].as_str())
            .or(params["taskId"].as_str())
        {
            Some(name) => request.header("mcp-name", name),
            None => request,
        }
    }

    pub(super) async fn send(&self, method: &str, params: Value) -> Got {
        let message = self.message(method, params);
        Got::read(self.request(&message).send().await.unwrap()).await
    }

    /// The result of a request that succeeds.
    pub(super) async fn ask(&self, method: &str, params: Value) -> Value {
        let got = self.send(method, params).await;
        assert!(got.body["result"].is_object(), "{got:?}");
        got.body["result"].clone()
    }

    /// The result of a call, be it an error.
    pub(super) async fn call(&self, name: &str, arguments: Value) -> Value {
        self.ask(
            "tools/call",
            json!({ "name": name, "arguments": arguments }),
        )
        .await
    }

    /// What a call that succeeds returns.
    pub(super) async fn data(&self, name: &str, arguments: Value) -> Value {
        let result = self.call(name, arguments).await;
        assert_eq!(result["isError"], false, "{result}");
        result["structuredContent"].clone()
    }

    /// The names in the list of tools.
    pub(super) async fn tools(&self) -> Vec<String> {
        let result = self.ask("tools/list", json!({})).await;
        let tools = result["tools"].as_array().unwrap().iter();
        tools
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The first text of a result.
pub(super) fn text(result: &Value) -> &str {
    let content = result["content"].as_array().unwrap();
    let text = content.iter().find(|block| block["type"] == "text");
    text.unwrap_or_else(|| panic!("no text: {result}"))["text"]
        .as_str()
        .unwrap()
}

/// The first block of this type.
pub(super) fn block<'a>(result: &'a Value, kind: &str) -> &'a Value {
    let content = result["content"].as_array().unwrap();
    let block = content.iter().find(|block| block["type"] == kind);
    block.unwrap_or_else(|| panic!("no {kind}: {result}"))
}
