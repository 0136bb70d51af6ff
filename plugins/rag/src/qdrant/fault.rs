//! What the client's errors mean. Callers read these words, so they have no address.

use std::error::Error as _;

use qdrant_client::QdrantError;
use tonic::{Code, Status};

use crate::index::IndexError;

/// How much of what the server says is passed on, in characters.
const SAID: usize = 300;

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("qdrant.url is no address: expected http://host:port")]
    Address,
    #[error("it did not answer in time")]
    Late,
    #[error("it cannot be reached")]
    Unreachable,
    #[error(
        "invalid peer certificate: {0}: add the authority that signed it to the system's, or name a file with it \
         in the server's environment as SSL_CERT_FILE"
    )]
    Certificate(String),
    #[error(
        "no certificate authorities are found on this machine: install the system's, or name a file with them \
         in the server's environment as SSL_CERT_FILE"
    )]
    Authorities,
    #[error("it refused the api_key of the backend's config")]
    Key,
    #[error("it answered {code:?}: {said}")]
    Refused { code: Code, said: String },
}

impl From<Fault> for IndexError {
    fn from(fault: Fault) -> Self {
        Self::Cluster(fault.to_string())
    }
}

impl From<QdrantError> for Fault {
    fn from(error: QdrantError) -> Self {
        let fault = match &error {
            QdrantError::ResponseError { status }
            | QdrantError::ResourceExhaustedError { status, .. } => of_status(status),
            QdrantError::InvalidUri(_) => Self::Address,
            _ => Self::Unreachable,
        };
        if !matches!(fault, Self::Refused { .. }) {
            // The address is the operator's, not the caller's.
            tracing::error!(?error, "the Qdrant server cannot be asked");
        }
        fault
    }
}

fn of_status(status: &Status) -> Fault {
    let said = status.message();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Fault::Key,
        // By the server's clock, and by the client's.
        Code::DeadlineExceeded | Code::Cancelled => Fault::Late,
        // The client has no type for these, only text; `{:?}` of what went wrong is in it.
        Code::Internal if said.starts_with("Failed to create TLS config") => Fault::Authorities,
        Code::Internal if said.starts_with("Failed to connect to ") => {
            if let Some((_, fault)) = said.split_once("InvalidCertificate(") {
                // Only the fault's name: what follows it may be the address.
                let fault = fault.trim_start_matches("Other(OtherError(");
                let name = fault.chars().take_while(char::is_ascii_alphanumeric);
                Fault::Certificate(name.collect())
            } else if said.contains("TimedOut") {
                Fault::Late
            } else {
                Fault::Unreachable
            }
        }
        // What a server says has no cause here: the connection broke.
        _ if status.source().is_some() => Fault::Unreachable,
        code => Fault::Refused {
            code,
            said: said.chars().take(SAID).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: Status) -> String {
        Fault::from(QdrantError::from(status)).to_string()
    }

    #[test]
    fn what_the_client_met_is_told_without_the_address() {
        let met = |what: &str| {
            said(Status::internal(format!(
                "Failed to connect to https://db.internal:6334/: \
                 tonic::transport::Error(Transport, ConnectError({what}))"
            )))
        };
        let of_certificate = |fault: &str| met(&format!("InvalidCertificate({fault})"));
        for (said, expected) in [
            (met("ConnectionRefused"), "it cannot be reached"),
            (met("kind: TimedOut"), "it did not answer in time"),
            (
                of_certificate("UnknownIssuer"),
                "invalid peer certificate: UnknownIssuer: add",
            ),
            (
                of_certificate("Other(OtherError(CaUsedAsEndEntity))"),
                "invalid peer certificate: CaUsedAsEndEntity: add",
            ),
            (
                of_certificate("NotValidForNameContext { expected: DnsName(\"db.internal\") }"),
                "invalid peer certificate: NotValidForNameContext: add",
            ),
        ] {
            assert!(said.starts_with(expected), "{said}");
            assert!(!said.contains("db.internal"), "{said}");
        }
    }

    #[test]
    fn what_the_server_said_is_passed_on_and_cut() {
        let long = format!("Wrong input: {}", "x".repeat(1000));
        let said = said(Status::invalid_argument(long));
        assert!(said.starts_with("it answered InvalidArgument: Wrong input: x"));
        assert!(said.len() < 400, "{said}");
    }

    #[test]
    fn a_refused_key_is_named() {
        for status in [
            Status::unauthenticated("who?"),
            Status::permission_denied("no"),
        ] {
            assert_eq!(
                said(status),
                "it refused the api_key of the backend's config"
            );
        }
    }
}
