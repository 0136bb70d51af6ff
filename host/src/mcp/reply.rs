//! Results: the only place where the end of a call or a failure becomes one.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use rmcp::model::{
    CallToolResult, ContentBlock, EmbeddedResource, JsonObject, MetaObject, ResourceContents,
};
use sandbox_plugin_api::host::Answer;
use sandbox_protocol::Code;
use serde_json::{Value, json};

use super::{Mcp, kept::is_text, offer::Offered, picture};
use crate::{dispatch::Outcome, failure::Failure};

/// How much of a text that is linked is shown at once.
const EXCERPT: usize = 2000;

/// As much of an error's facts as a model is shown.
const FACTS: usize = 2000;

/// What a result needs besides the answer.
pub(super) struct Paper<'a> {
    pub(super) mcp: &'a Arc<Mcp>,
    pub(super) owner: Option<&'a str>,
    pub(super) offered: &'a Offered,
    pub(super) trace: &'a str,
}

/// The result of a call.
pub(super) fn of_outcome(paper: &Paper<'_>, outcome: &Outcome<'_>) -> CallToolResult {
    let mut result = match &outcome.result {
        Ok(answer) if answer.is_success() => paper.success(answer),
        Ok(answer) => {
            let (code, message) = (Code(answer.code()), answer.message());
            failed(code, &message, serde_json::from_slice(answer.data()).ok())
        }
        Err(failure) => of_failure(failure),
    };
    let mut meta = JsonObject::new();
    meta.insert("sandbox/trace_id".to_owned(), paper.trace.into());
    let took_ms = outcome.elapsed.as_secs_f64() * 1e3;
    meta.insert("sandbox/took_ms".to_owned(), took_ms.into());
    if let Ok(answer) = &outcome.result
        && let Ok(more) = serde_json::from_slice::<Value>(answer.meta())
    {
        meta.insert("sandbox/meta".to_owned(), more);
    }
    if let Some(first) = result.meta.take() {
        meta.extend(first.0);
    }
    result.meta = Some(MetaObject(meta));
    result
}

/// The result that says why the host did not do what it was asked.
pub(super) fn of_failure(failure: &Failure) -> CallToolResult {
    failed(failure.code, &failure.message, failure.data.clone())
}

/// A text and nothing else.
pub(super) fn says(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn failed(code: Code, message: &str, data: Option<Value>) -> CallToolResult {
    let message = if message.is_empty() {
        code.default_message()
    } else {
        message
    };
    let mut text = format!("Error {code}: {message}");
    if let Some(advice) = advice(code) {
        text.push('\n');
        text.push_str(advice);
    }
    let data = data.filter(|data| !data.is_null());
    let facts = data.as_ref().map(Value::to_string);
    if let Some(facts) = facts.filter(|facts| facts.len() <= FACTS) {
        text.push('\n');
        text.push_str(&facts);
    }
    let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
    let mut meta = JsonObject::new();
    meta.insert("sandbox/code".to_owned(), code.0.into());
    meta.insert("sandbox/message".to_owned(), message.into());
    if let Some(data) = data {
        meta.insert("sandbox/data".to_owned(), data);
    }
    result.meta = Some(MetaObject(meta));
    result
}

/// What a model can do about a code of the protocol; a tool's own codes are explained by its message.
fn advice(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::PARAMETER => "Correct the arguments by the tool's input schema and call again.",
        Code::SESSION => "Open the session again with `session_create`, then call again.",
        Code::NOT_PERMITTED => "This is not permitted here; ask the user, do not try again.",
        Code::TOO_MANY => {
            "Wait a little, or end sessions that are not needed with `session_destroy`."
        }
        Code::BACKEND_FAILED => "Try again once; if it fails again, tell the user.",
        Code::TIMED_OUT => {
            "Ask for less in one call, or give the tool more time if it takes a time limit."
        }
        Code::WARMUP_FAILED | Code::UNAVAILABLE => {
            "What the tool needs is missing on the server; tell the user."
        }
        Code::SERVICE_UNAVAILABLE => {
            "The server is starting or stopping; try again in a few seconds."
        }
        Code::INTERNAL | Code::CONFIGURATION => "Tell the user; the server's log says more.",
        _ => return None,
    })
}

impl Paper<'_> {
    fn success(&self, answer: &Answer) -> CallToolResult {
        let mut content = Vec::new();
        let mut structured = None;
        let message = answer.message();
        if !message.is_empty() {
            content.push(ContentBlock::text(message));
        }
        let data = answer.data();
        match serde_json::from_slice::<Value>(data) {
            // An answer of the plugin was checked to be JSON, or is nothing at all.
            Err(_) | Ok(Value::Null) => {}
            Ok(Value::String(text)) => {
                self.text(&mut content, "text/plain", text.as_bytes());
                structured = Some(Value::String(text));
            }
            Ok(value) => {
                self.text(&mut content, "application/json", data);
                structured = Some(value);
            }
        }
        let large = data.len() > self.mcp.settings().max_text_bytes;
        for (key, media_type, bytes) in answer.blobs() {
            self.blob(&mut content, &key, &media_type, bytes);
        }
        if content.is_empty() {
            content.push(ContentBlock::text("done"));
        }
        let mut result = CallToolResult::success(content);
        result.structured_content =
            structured.filter(|_| !large || self.offered.has_output_schema());
        result
    }

    /// The data as text: whole, or its beginning and a link to all of it.
    fn text(&self, content: &mut Vec<ContentBlock>, media_type: &str, text: &[u8]) {
        let limit = self.mcp.settings().max_text_bytes;
        let whole = String::from_utf8_lossy(text);
        if text.len() <= limit {
            content.push(ContentBlock::text(whole));
            return;
        }
        let excerpt = &whole[..whole.floor_char_boundary(EXCERPT.min(limit))];
        let size = text.len();
        let bytes = Bytes::copy_from_slice(text);
        if self.link(content, "result", media_type, bytes) {
            content.push(ContentBlock::text(format!(
                "The result has {size} bytes; read the linked resource for all of it. It begins: {excerpt}"
            )));
        } else {
            content.push(ContentBlock::text(format!(
                "The result has {size} bytes, too many to keep; ask for less. It begins: {excerpt}"
            )));
        }
    }

    fn blob(&self, content: &mut Vec<ContentBlock>, key: &str, media_type: &str, bytes: &[u8]) {
        let settings = self.mcp.settings();
        let fits = bytes.len() <= settings.max_text_bytes;
        match media_type.split('/').next() {
            Some("image") => self.picture(content, key, media_type, bytes),
            Some("audio") if bytes.len() <= settings.max_image_bytes => {
                content.push(ContentBlock::audio(STANDARD.encode(bytes), media_type));
            }
            _ if fits => content.push(self.embedded(key, media_type, bytes)),
            _ => {
                self.link(content, key, media_type, Bytes::copy_from_slice(bytes));
            }
        }
    }

    fn picture(&self, content: &mut Vec<ContentBlock>, key: &str, media_type: &str, bytes: &[u8]) {
        let limit = self.mcp.settings().max_image_bytes;
        match picture::fitted(bytes, media_type, limit) {
            Some(picture) => {
                if let Some(scaled) = picture.scaled {
                    content.push(ContentBlock::text(scaled.says(key)));
                    self.link(content, key, media_type, Bytes::copy_from_slice(bytes));
                }
                let encoded = STANDARD.encode(&picture.bytes);
                content.push(ContentBlock::image(encoded, picture.media_type));
            }
            None => {
                self.link(content, key, media_type, Bytes::copy_from_slice(bytes));
            }
        }
    }

    fn embedded(&self, key: &str, media_type: &str, bytes: &[u8]) -> ContentBlock {
        let uri = format!("sandbox://calls/{}/{key}", self.trace);
        let contents = match std::str::from_utf8(bytes) {
            Ok(text) if is_text(media_type) => ResourceContents::text(text, uri),
            _ => ResourceContents::blob(STANDARD.encode(bytes), uri),
        };
        ContentBlock::Resource(EmbeddedResource::new(contents.with_mime_type(media_type)))
    }

    fn link(
        &self,
        content: &mut Vec<ContentBlock>,
        name: &str,
        media_type: &str,
        bytes: Bytes,
    ) -> bool {
        let kept = &self.mcp.kept;
        let link = kept.put(self.owner, name, media_type, bytes);
        let linked = link.is_some();
        content.extend(link.map(ContentBlock::resource_link));
        linked
    }
}

/// How large the answer is: reading and scaling it is work that others should not wait for.
pub(super) fn size(outcome: &Outcome<'_>) -> usize {
    outcome.result.as_ref().map_or(0, |answer| {
        let blobs = answer.blobs().map(|(_, _, bytes)| bytes.len());
        answer.data().len() + blobs.sum::<usize>()
    })
}

/// The result of an operation of the host's own.
pub(super) fn done(value: Value) -> CallToolResult {
    CallToolResult::structured(value)
}

/// The facts of a call that goes on after its client was answered.
pub(super) fn goes_on(call: &str, tool: &str, offered: &Offered) -> CallToolResult {
    let text = format!(
        "`{tool}` is still running. Call `call_wait` with {} for its result, or `call_cancel` to end it.",
        json!({ "call_id": call })
    );
    // A client whose tool has an output schema takes a result without structured content for a broken
    // one, unless it is marked as no success, which indeed it is not yet.
    if offered.has_output_schema() {
        CallToolResult::error(vec![ContentBlock::text(text)])
    } else {
        says(text)
    }
}
