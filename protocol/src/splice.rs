//! How the server writes an envelope: round bytes that it carries and never parses.
//!
//! A tool's `data` arrives as JSON text and leaves as the same text. Binary attachments become
//! base64 here, once, straight into the answer's buffer. Only a tool's own `meta` is looked
//! at, and only its top-level names, because there the tool's value wins over the host's.

use crate::Code;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use std::time::Duration;

/// What a tool (or an operation of the host) answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply<'a> {
    /// Zero for success.
    pub code: Code,
    /// The message; left out, it follows from the code.
    pub message: Option<&'a str>,
    /// The data as JSON text, trusted to be that; empty stands for `null`.
    pub data: &'a [u8],
    /// Binary results, each to become a base64 string in `data` under its key.
    pub attachments: &'a [Attachment<'a>],
    /// The tool's own `meta` as the JSON text of an object; empty or `null` when it has none.
    pub meta: &'a [u8],
}

/// A binary result.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    /// The key in `data`; `data` must not have it already.
    pub key: &'a str,
    /// The bytes, as the tool gave them.
    pub bytes: &'a [u8],
}

/// What the host knows of a call, and writes into `meta` where the tool did not.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallMeta<'a> {
    /// The full name of the tool, or the operation.
    pub tool: Option<&'a str>,
    /// How long the call took.
    pub elapsed: Duration,
    /// The tool's resource type; `session` for session and init operations.
    pub resource_type: Option<&'a str>,
    /// The session that the call ran in.
    pub session_id: Option<&'a str>,
    /// The trace that the call belongs to.
    pub trace_id: &'a str,
    /// Whether the session was made for this call alone.
    pub temporary_session: bool,
}

/// What a tool handed over does not fit into an envelope.
#[derive(Debug, thiserror::Error)]
pub enum SpliceError {
    /// There are attachments, but `data` is no object that could take them.
    #[error("the tool returned attachments, but its data is not a JSON object")]
    DataNotAnObject,
    /// The tool's `meta` is not the text of a JSON object.
    #[error("the tool returned a meta that is not a JSON object: {0}")]
    Meta(serde_json::Error),
    /// A value could not be written as JSON.
    #[error("the answer could not be written as JSON")]
    Write(#[from] serde_json::Error),
}

/// Appends the envelope of `reply` to `buf`.
///
/// # Errors
///
/// When the reply cannot be put into an envelope; `buf` is then as it was.
pub fn write_envelope(
    buf: &mut Vec<u8>,
    reply: &Reply<'_>,
    meta: &CallMeta<'_>,
) -> Result<(), SpliceError> {
    let encoded: usize = reply.attachments.iter().map(Attachment::room).sum();
    buf.reserve(ROOM_AROUND_DATA + reply.data.len() + reply.meta.len() + encoded);
    write_envelope_with(buf, reply.code, reply.message, reply.meta, meta, |buf| {
        write_data(buf, reply.data, reply.attachments)
    })
}

/// Appends an envelope whose data `write_data` appends, such as the results of a batch.
///
/// # Errors
///
/// When `write_data` fails or `tool_meta` is not an object; `buf` is then as it was.
pub fn write_envelope_with(
    buf: &mut Vec<u8>,
    code: Code,
    message: Option<&str>,
    tool_meta: &[u8],
    meta: &CallMeta<'_>,
    write_data: impl FnOnce(&mut Vec<u8>) -> Result<(), SpliceError>,
) -> Result<(), SpliceError> {
    let start = buf.len();
    let written = (|| {
        buf.extend_from_slice(br#"{"code":"#);
        serde_json::to_writer(&mut *buf, &code)?;
        buf.extend_from_slice(br#","message":"#);
        let message = message.unwrap_or_else(|| code.default_message());
        write_text(buf, message)?;
        buf.extend_from_slice(br#","data":"#);
        write_data(buf)?;
        buf.extend_from_slice(br#","meta":"#);
        write_meta(buf, meta, tool_meta)?;
        buf.push(b'}');
        Ok(())
    })();
    if written.is_err() {
        buf.truncate(start);
    }
    written
}

/// The fixed words of an envelope, its ids and a trace come to about this many bytes.
const ROOM_AROUND_DATA: usize = 320;

impl Attachment<'_> {
    fn room(&self) -> usize {
        // The key with its quotes, colon and comma, and four characters for every three bytes.
        self.key.len() + 8 + self.bytes.len().div_ceil(3) * 4
    }
}

fn write_data(
    buf: &mut Vec<u8>,
    data: &[u8],
    attachments: &[Attachment<'_>],
) -> Result<(), SpliceError> {
    let data = match data.trim_ascii() {
        b"" => &b"null"[..],
        data => data,
    };
    if attachments.is_empty() {
        buf.extend_from_slice(data);
        return Ok(());
    }
    let members = match data {
        b"null" => &b""[..],
        object => members(object).ok_or(SpliceError::DataNotAnObject)?,
    };
    buf.push(b'{');
    buf.extend_from_slice(members);
    for (position, attachment) in attachments.iter().enumerate() {
        if position > 0 || !members.is_empty() {
            buf.push(b',');
        }
        serde_json::to_writer(&mut *buf, attachment.key)?;
        buf.extend_from_slice(b":\"");
        write_base64(buf, attachment.bytes);
        buf.push(b'"');
    }
    buf.push(b'}');
    Ok(())
}

/// What stands between the braces of an object.
fn members(object: &[u8]) -> Option<&[u8]> {
    let inner = object.strip_prefix(b"{")?.strip_suffix(b"}")?;
    Some(inner.trim_ascii())
}

fn write_base64(buf: &mut Vec<u8>, bytes: &[u8]) {
    let start = buf.len();
    buf.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The room is exact, so the encoder cannot run out of it; were it to, the answer would hold
    // less, never something else.
    let written = STANDARD.encode_slice(bytes, &mut buf[start..]).unwrap_or(0);
    buf.truncate(start + written);
}

/// Writes the host's entries that the tool has not set, then the tool's own, as they came.
fn write_meta(buf: &mut Vec<u8>, meta: &CallMeta<'_>, tool: &[u8]) -> Result<(), SpliceError> {
    let tool = match tool.trim_ascii() {
        b"null" | b"{}" => &b""[..],
        tool => tool,
    };
    let set = if tool.is_empty() {
        SetByTool::default()
    } else {
        serde_json::from_slice(tool).map_err(SpliceError::Meta)?
    };
    buf.push(b'{');
    let start = buf.len();
    write_host_meta(buf, meta, set)?;
    let own = members(tool).unwrap_or_default();
    if own.is_empty() {
        // Every host entry ends with a comma; the last one goes.
        buf.truncate(buf.len().saturating_sub(1).max(start));
    } else {
        buf.extend_from_slice(own);
    }
    buf.push(b'}');
    Ok(())
}

fn write_host_meta(
    buf: &mut Vec<u8>,
    meta: &CallMeta<'_>,
    set: SetByTool,
) -> Result<(), SpliceError> {
    if !set.tool {
        write_entry(buf, "\"tool\":", meta.tool)?;
    }
    if !set.execution_time_ms {
        buf.extend_from_slice(b"\"execution_time_ms\":");
        write_milliseconds(buf, meta.elapsed)?;
        buf.push(b',');
    }
    if !set.resource_type {
        write_entry(buf, "\"resource_type\":", meta.resource_type)?;
    }
    if !set.session_id {
        write_entry(buf, "\"session_id\":", meta.session_id)?;
    }
    if !set.trace_id {
        write_entry(buf, "\"trace_id\":", Some(meta.trace_id))?;
    }
    if meta.temporary_session && !set.temporary_session {
        buf.extend_from_slice(b"\"temporary_session\":true,");
    }
    Ok(())
}

fn write_entry(buf: &mut Vec<u8>, key: &str, value: Option<&str>) -> Result<(), SpliceError> {
    buf.extend_from_slice(key.as_bytes());
    match value {
        Some(text) => write_text(buf, text)?,
        None => buf.extend_from_slice(b"null"),
    }
    buf.push(b',');
    Ok(())
}

/// Writes a text as JSON. Most are names, or numbers in digits: all of it is looked at together, where serde looks at
/// one byte after the other.
///
/// # Errors
///
/// None that texts could cause.
pub fn write_text(buf: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    let needs_escape = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    let any = |found, byte| found | u8::from(needs_escape(byte));
    if text.bytes().fold(0, any) > 0 {
        return serde_json::to_writer(buf, text);
    }
    buf.reserve(text.len() + 2);
    buf.push(b'"');
    buf.extend_from_slice(text.as_bytes());
    buf.push(b'"');
    Ok(())
}

/// Milliseconds to the microsecond, by whole numbers: floating point would write noise digits.
///
/// # Errors
///
/// None that numbers could cause.
pub fn write_milliseconds(buf: &mut Vec<u8>, elapsed: Duration) -> serde_json::Result<()> {
    let millis = elapsed
        .as_secs()
        .saturating_mul(1000)
        .saturating_add(elapsed.subsec_millis().into());
    serde_json::to_writer(&mut *buf, &millis)?;
    let micros = elapsed.subsec_micros() % 1000;
    let digit = |place: u32| b"0123456789"[(micros / place % 10) as usize];
    buf.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
    Ok(())
}

/// Which of the host's names a tool's meta has set itself.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one independent flag for each name of the host"
)]
struct SetByTool {
    tool: bool,
    execution_time_ms: bool,
    resource_type: bool,
    session_id: bool,
    trace_id: bool,
    temporary_session: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Tool,
    ExecutionTimeMs,
    ResourceType,
    SessionId,
    TraceId,
    TemporarySession,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for SetByTool {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = SetByTool;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SetByTool, A::Error> {
                let mut set = SetByTool::default();
                while let Some(name) = map.next_key()? {
                    match name {
                        Name::Tool => set.tool = true,
                        Name::ExecutionTimeMs => set.execution_time_ms = true,
                        Name::ResourceType => set.resource_type = true,
                        Name::SessionId => set.session_id = true,
                        Name::TraceId => set.trace_id = true,
                        Name::TemporarySession => set.temporary_session = true,
                        Name::Other => {}
                    }
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(set)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
#[path = "splice_tests.rs"]
mod tests;
