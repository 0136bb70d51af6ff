//! The lines of the audit log: what each kind of event says.

use std::time::Duration;

use sandbox_protocol::{
    Timestamp,
    splice::{write_milliseconds, write_text},
};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{
    backend::Backend,
    config::AuditParams,
    failure::Failure,
    observe::record::{Admin, CallRecord, End, Why},
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

/// A key as it stands in a line, so that nobody has to look whether it needs to be escaped.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// Writes the line of a call: by hand, unlike the others, as it is part of every call.
pub(super) fn call(
    line: &mut Vec<u8>,
    record: &CallRecord<'_>,
    params: AuditParams,
) -> serde_json::Result<()> {
    let (outcome, code, error, result_bytes) = match &record.end {
        End::Abandoned => ("abandoned", None, None, None),
        End::Answered { code: 0, bytes, .. } => ("success", Some(0), None, Some(*bytes)),
        End::Answered { code, message, .. } => ("failure", Some(*code), some(message), None),
    };
    value(line, "{\"time\":", &record.ended())?;
    text(line, key!("event"), "call")?;
    value(line, key!("id"), &record.id)?;
    text(line, key!("front"), record.front.as_str())?;
    text(line, key!("key"), record.key)?;
    optional(line, key!("peer"), record.peer)?;
    text(line, key!("worker"), record.worker)?;
    text(line, key!("tool"), record.name())?;
    text(line, key!("session"), record.session.map(|it| &*it.id))?;
    text(line, key!("trace_id"), record.trace)?;
    text(line, key!("outcome"), outcome)?;
    optional(line, key!("code"), code)?;
    text(line, key!("error"), error)?;
    line.extend_from_slice(key!("took_ms").as_bytes());
    write_milliseconds(line, record.elapsed)?;
    optional(line, key!("result_bytes"), result_bytes)?;
    match (record.params, params) {
        (Some(params), AuditParams::Hash) => {
            line.extend_from_slice(key!("params_sha256").as_bytes());
            line.push(b'"');
            line.extend_from_slice(&digest(params));
            line.push(b'"');
            value(line, key!("params_bytes"), &params.get().len())?;
        }
        (Some(params), AuditParams::Plain) => {
            let begin = line.len();
            value(line, key!("params"), params)?;
            keep_one_line(&mut line[begin..]);
        }
        _ => {}
    }
    line.push(b'}');
    Ok(())
}

fn value(
    line: &mut Vec<u8>,
    key: &str,
    value: &(impl Serialize + ?Sized),
) -> serde_json::Result<()> {
    line.extend_from_slice(key.as_bytes());
    serde_json::to_writer(line, value)
}

/// A text, or nothing.
fn text<'a>(
    line: &mut Vec<u8>,
    key: &str,
    given: impl Into<Option<&'a str>>,
) -> serde_json::Result<()> {
    given.into().map_or(Ok(()), |text| {
        line.extend_from_slice(key.as_bytes());
        write_text(line, text)
    })
}

fn optional(
    line: &mut Vec<u8>,
    key: &str,
    given: Option<impl Serialize>,
) -> serde_json::Result<()> {
    given.map_or(Ok(()), |given| value(line, key, &given))
}

/// Parameters are written as they came. Outside its texts JSON may have ends of lines, and in them it has none.
fn keep_one_line(json: &mut [u8]) {
    for byte in json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// A digest of the parameters, in digits.
fn digest(params: &RawValue) -> [u8; 64] {
    let mut text = [0; 64];
    // A digest has half as many bytes.
    let _ = hex::encode_to_slice(Sha256::digest(params.get()), &mut text);
    text
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

/// Milliseconds, cut to the microsecond as in the line of a call: the rest is noise.
#[expect(clippy::cast_precision_loss, reason = "exact for the first 285 years")]
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::observe::Front;

    #[test]
    fn a_call_is_one_line_however_its_parameters_were_written() {
        let forged = "{\"a\":\r\n{\"time\":\"2026-01-31T12:00:00.000000Z\",\"event\":\"call\"}\n}";
        let params: Box<RawValue> = serde_json::from_str(forged).unwrap();
        let record = CallRecord {
            id: 7,
            trace: "trace",
            front: Front::Http,
            key: Some("o\"ps"),
            peer: Some([127, 0, 0, 1].into()),
            worker: "w",
            action: "echo:say",
            tool: None,
            session: None,
            params: Some(&params),
            elapsed: Duration::from_micros(3104),
            ended: Default::default(),
            end: End::Answered {
                code: 2001,
                message: "broken\nhere".into(),
                bytes: 0,
            },
        };
        let written = |params| {
            let mut line = Vec::new();
            call(&mut line, &record, params).unwrap();
            assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
            serde_json::from_slice::<Value>(&line).unwrap()
        };
        let plain = written(AuditParams::Plain);
        assert_eq!(plain["params"]["a"]["event"], "call");
        assert_eq!(plain["error"], "broken\nhere");
        assert_eq!(plain["took_ms"], json!(3.104));
        let hashed = written(AuditParams::Hash);
        assert_eq!(hashed["params_bytes"], forged.len());
        assert_eq!(hashed["params_sha256"].as_str().unwrap().len(), 64);
        assert_eq!(written(AuditParams::None)["params"], Value::Null);
    }
}
