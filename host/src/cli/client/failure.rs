//! Why a command did not do what it was asked, and what to do about it.

use sandbox_client::{BuildError, Error};
use sandbox_protocol::{Code, Envelope};
use serde_json::Value;
use std::{fmt, io, process::ExitCode};

/// A command's failure: an exit status, a message, and advice where there is some.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

/// The exit statuses of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// The server, the tool or this machine said no.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No server answers.
    Unreachable = 3,
}

impl Failure {
    /// The command line is wrong.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Something said no.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with advice.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with what it is about before its message.
    pub(super) fn about(mut self, subject: &str) -> Self {
        self.message = format!("{subject}: {}", self.message);
        self
    }

    fn text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}\n  hint: {hint}", self.message),
            None => self.message.clone(),
        }
    }

    /// What the process exits with.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }

    /// A tool's or the server's envelope that says no. Its data is the caller's to print.
    pub(super) fn of_envelope(envelope: &Envelope) -> Self {
        of_server(envelope.code, &envelope.message, &envelope.data)
    }
}

fn of_server(code: Code, message: &str, data: &Value) -> Failure {
    let failure = Failure::refused(format!("{message} (code {code})"));
    match advice(code, data) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn advice(code: Code, data: &Value) -> Option<String> {
    let candidates: Vec<_> = data["candidates"].as_array().map_or(Vec::new(), |names| {
        names.iter().filter_map(Value::as_str).collect()
    });
    Some(match code {
        Code::TOOL_NOT_FOUND if !candidates.is_empty() => {
            format!("say which one: {}", candidates.join(", "))
        }
        Code::TOOL_NOT_FOUND => "`sandbox tools` lists what there is".to_owned(),
        Code::NOT_PERMITTED => {
            "the server's key goes into SANDBOX_API_KEY, or into a file for --api-key-file"
                .to_owned()
        }
        Code::RESOURCE_NOT_FOUND => "`sandbox status` lists the backends".to_owned(),
        _ => return None,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.text())
    }
}

/// For commands that do not fail as clients do: their `error: ` is written elsewhere.
impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        Self::msg(failure.text())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = with_cause(&error);
        match error {
            Error::Server { code, message, data } => of_server(code, &message, &data),
            Error::Parameters(_) => Self::usage(message),
            Error::Connect { .. } => Self::new(Exit::Unreachable, message).hint(
                "start a server with `sandbox serve`, or say where one is with --url or SANDBOX_URL",
            ),
            Error::Timeout { .. } => Self::new(Exit::Unreachable, message)
                .hint("the server cancels a call whose client is gone; --timeout gives it longer"),
            Error::Transport { .. } => Self::new(Exit::Unreachable, message)
                .hint("`sandbox status` tells whether the server still answers"),
            Error::Protocol { .. } => Self::new(Exit::Unreachable, message)
                .hint("something else listens there; check --url and SANDBOX_URL"),
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let failure = Self::usage(with_cause(&error));
        match error {
            BuildError::NoTls(_) => failure.hint(
                "name an http address, such as that of a tunnel (ssh -L 18890:127.0.0.1:18890 HOST), or build it \
                 with TLS: cargo build --release -p sandbox --features tls",
            ),
            _ => failure,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::refused(format!("cannot write the output: {error}"))
    }
}

/// An error with the innermost of its causes, which is what an operator can act on.
fn with_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = None;
    let mut cause = error.source();
    while let Some(deeper) = cause {
        innermost = Some(deeper);
        cause = deeper.source();
    }
    match innermost {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(code: i32, data: &Value) -> String {
        of_server(Code(code), "no", data).to_string()
    }

    #[test]
    fn an_ambiguous_name_lists_what_it_may_mean() {
        let text = refusal(1001, &json!({"candidates": ["rag:search", "web:search"]}));
        assert_eq!(
            text,
            "error: no (code 1001)\n  hint: say which one: rag:search, web:search"
        );
    }

    #[test]
    fn a_missing_key_is_told_where_to_go() {
        assert!(refusal(1006, &Value::Null).contains("SANDBOX_API_KEY"));
    }

    #[test]
    fn a_tools_own_code_comes_without_advice() {
        assert_eq!(
            refusal(4242, &json!({"candidates": 1})),
            "error: no (code 4242)"
        );
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn who_needs_tls_is_told_two_ways_out() {
        let client = sandbox_client::Client::builder().url("https://host");
        let text = Failure::from(client.build().unwrap_err()).to_string();
        assert!(
            text.contains("ssh -L") && text.contains("--features tls"),
            "{text}"
        );
        let told_elsewhere = anyhow::Error::from(Failure::refused("no").hint("yes"));
        assert_eq!(told_elsewhere.to_string(), "no\n  hint: yes");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_has_an_exit_status_of_its_own() {
        // Port 1 is privileged and unused; nothing answers there.
        let client = sandbox_client::Client::builder().url("http://127.0.0.1:1");
        let error = client.build().unwrap().health().await.unwrap_err();
        let failure = Failure::from(error);
        assert_eq!(failure.exit, Exit::Unreachable);
        let text = failure.to_string();
        assert!(
            text.contains("http://127.0.0.1:1") && text.contains("refused"),
            "{text}"
        );
        assert!(text.contains("sandbox serve"), "{text}");
    }
}
