//! The lines of the audit log: what each kind of event says.

use std::{net::IpAddr, time::Duration};

use sandbox_protocol::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{
    backend::Backend,
    config::AuditParams,
    failure::Failure,
    observe::{
        hex,
        record::{Admin, CallRecord, End, Front, Why},
    },
    sessions::Session,
};

/// As much of an error as is written.
const ERROR: usize = 300;

/// What every line begins with.
#[derive(Serialize)]
struct Head {
    time: Timestamp,
    event: &'static str,
}

fn head(event: &'static str) -> Head {
    Head {
        time: Timestamp::now(),
        event,
    }
}

/// Flat, unlike the others: there is one for each call, and `flatten` writes field by field through a map.
#[derive(Serialize)]
struct Call<'a> {
    time: Timestamp,
    event: &'static str,
    id: u64,
    front: Front,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
    worker: &'a str,
    tool: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    trace_id: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    took_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
}

pub(super) fn call<'a>(record: &'a CallRecord<'_>, params: AuditParams) -> impl Serialize + 'a {
    let (outcome, code, error, result_bytes) = match &record.end {
        End::Abandoned => ("abandoned", None, None, None),
        End::Answered { code: 0, bytes, .. } => ("success", Some(0), None, Some(*bytes)),
        End::Answered { code, message, .. } => ("failure", Some(*code), some(message), None),
    };
    let hashed = record.params.filter(|_| params == AuditParams::Hash);
    Call {
        time: Timestamp::now(),
        event: "call",
        id: record.id,
        front: record.front,
        key: record.key,
        peer: record.peer,
        worker: record.worker,
        tool: record.name(),
        session: record.session.map(|session| &*session.id),
        trace_id: record.trace,
        outcome,
        code,
        error,
        took_ms: milliseconds(record.elapsed),
        result_bytes,
        params_sha256: hashed.map(digest),
        params_bytes: hashed.map(|params| params.get().len()),
        params: record.params.filter(|_| params == AuditParams::Plain),
    }
}

fn digest(params: &RawValue) -> String {
    let digest = Sha256::digest(params.get());
    let mut text = vec![0; 2 * digest.len()];
    hex(&digest, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

#[derive(Serialize)]
struct SessionLine<'a> {
    #[serde(flatten)]
    head: Head,
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    backend: &'a str,
    worker: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    temporary: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

fn session_line<'a>(change: &'static str, backend: &'a Backend) -> SessionLine<'a> {
    SessionLine {
        head: head("session"),
        change,
        session: None,
        backend: &backend.name,
        worker: "",
        key: None,
        temporary: false,
        took_ms: None,
        why: None,
        code: None,
        error: None,
    }
}

fn of_session<'a>(change: &'static str, session: &'a Session) -> SessionLine<'a> {
    SessionLine {
        session: Some(&session.id),
        worker: session.worker(),
        key: session.owner(),
        temporary: session.temporary,
        ..session_line(change, &session.backend)
    }
}

pub(super) fn opened(session: &Session, took: Duration) -> impl Serialize {
    SessionLine {
        took_ms: Some(milliseconds(took)),
        ..of_session("opened", session)
    }
}

pub(super) fn closed(session: &Session, why: Why) -> impl Serialize {
    SessionLine {
        why: Some(why),
        ..of_session("closed", session)
    }
}

pub(super) fn failed<'a>(
    backend: &'a Backend,
    worker: &'a str,
    failure: &'a Failure,
) -> impl Serialize + 'a {
    SessionLine {
        worker,
        code: Some(failure.code.0),
        error: some(&failure.message),
        ..session_line("failed", backend)
    }
}

#[derive(Serialize)]
struct AdminLine<'a> {
    #[serde(flatten)]
    head: Head,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    target: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(super) fn admin<'a>(admin: &'a Admin<'_>) -> impl Serialize + 'a {
    AdminLine {
        head: head("admin"),
        action: admin.action,
        key: admin.key,
        target: &admin.target,
        outcome: if admin.error.is_none() {
            "success"
        } else {
            "failure"
        },
        error: admin.error.and_then(some),
    }
}

#[derive(Serialize)]
struct ServerLine {
    #[serde(flatten)]
    head: Head,
    change: &'static str,
    version: &'static str,
}

/// The server begins or ends.
pub(super) fn server(change: &'static str) -> impl Serialize {
    ServerLine {
        head: head("server"),
        change,
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// Lines are missing before this one.
pub(super) fn lost(count: u64) -> Vec<u8> {
    let time = Timestamp::now();
    format!("{{\"time\":\"{time}\",\"event\":\"lost\",\"count\":{count}}}\n").into_bytes()
}

fn some(message: &str) -> Option<&str> {
    (!message.is_empty()).then(|| &message[..message.floor_char_boundary(ERROR)])
}

/// Milliseconds, to the microsecond: the rest is noise.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
