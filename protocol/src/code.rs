//! The codes of the protocol, and the one place that turns a code into an HTTP status.
//!
//! A [`Code`] is any integer, because a tool may answer one of its own. An [`ErrorKind`] is what the
//! host itself can say: each names one pair of code and status, since several codes stand for
//! more than one status.

use serde::{Deserialize, Serialize};

/// What an envelope's `code` holds: zero for success, one of the table, or a tool's own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Code(pub i32);

impl Code {
    /// The call did what it was asked.
    pub const SUCCESS: Self = Self(0);
    /// No tool has the name, or several share a bare one.
    pub const TOOL_NOT_FOUND: Self = Self(1001);
    /// Malformed JSON, a missing or wrong field, or parameters that do not fit the tool's schema.
    pub const PARAMETER: Self = Self(1002);
    /// No session where one is needed, creation failed, or the session is closing.
    pub const SESSION: Self = Self(1003);
    /// The worker is not known.
    pub const WORKER_NOT_FOUND: Self = Self(1004);
    /// No loaded backend has the resource type.
    pub const RESOURCE_NOT_FOUND: Self = Self(1005);
    /// No key or the wrong one, a route that is not allowed, or a path outside the allowed root.
    pub const NOT_PERMITTED: Self = Self(1006);
    /// Too many requests, sessions or bytes.
    pub const TOO_MANY: Self = Self(1007);
    /// The backend panicked, crashed, or answered nonsense.
    pub const BACKEND_FAILED: Self = Self(2001);
    /// The call took longer than it was allowed.
    pub const TIMED_OUT: Self = Self(2002);
    /// The backend could not be warmed up.
    pub const WARMUP_FAILED: Self = Self(2003);
    /// No capacity, or a program that is not installed.
    pub const UNAVAILABLE: Self = Self(2004);
    /// Some parts of a batch failed.
    pub const PARTIAL_FAILURE: Self = Self(2005);
    /// Every part of a batch failed.
    pub const ALL_FAILED: Self = Self(2006);
    /// An error of the server's own.
    pub const INTERNAL: Self = Self(5000);
    /// The configuration is wrong.
    pub const CONFIGURATION: Self = Self(5001);
    /// The service is starting, draining or stopped.
    pub const SERVICE_UNAVAILABLE: Self = Self(5002);

    /// Whether the code is zero.
    pub const fn is_success(self) -> bool {
        self.0 == 0
    }

    /// The HTTP status of an answer with this code, when nothing more is known than the code.
    ///
    /// This is the way of a code that a tool returned; an error of the host's own has an
    /// [`ErrorKind`], whose [`status`](ErrorKind::status) tells apart what shares a code.
    pub const fn http_status(self) -> u16 {
        match self.0 {
            0 => 200,
            1001 | 1003 | 1004 | 1005 => 404,
            1002 | 4000..=4999 => 400,
            1006 => 403,
            1007 => 429,
            2002 => 504,
            2003 | 2004 | 5002 => 503,
            2005 => 207,
            _ => 500,
        }
    }

    /// The message of an answer whose tool gave none.
    pub const fn default_message(self) -> &'static str {
        match self.0 {
            0 => "success",
            1001 => "tool not found",
            1002 => "parameter error",
            1003 => "session error",
            1004 => "worker not found",
            1005 => "resource type not found",
            1006 => "not permitted",
            1007 => "too many requests",
            2001 => "the backend failed",
            2002 => "timed out",
            2003 => "the backend could not be warmed up",
            2004 => "resource unavailable",
            2005 => "partial failure",
            2006 => "every action failed",
            5000 => "internal error",
            5001 => "configuration error",
            5002 => "the service is not available",
            _ => "error",
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Declares the enum and its table together, so that no kind can lack a row.
macro_rules! error_kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident => $code:ident, $status:literal;)+) => {
        /// Every error that the host itself can answer: one pair of code and HTTP status each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl ErrorKind {
            /// All kinds, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// The code that the envelope carries.
            pub const fn code(self) -> Code {
                match self { $(Self::$kind => Code::$code,)+ }
            }

            /// The HTTP status of the answer.
            pub const fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)+ }
            }
        }
    };
}

error_kinds! {
    /// No tool has the name.
    ToolNotFound => TOOL_NOT_FOUND, 404;
    /// Several tools share the bare name.
    ToolAmbiguous => TOOL_NOT_FOUND, 409;
    /// The body or a parameter is wrong.
    Parameter => PARAMETER, 400;
    /// The server has no such route.
    RouteNotFound => PARAMETER, 404;
    /// The route exists, for another method.
    MethodNotAllowed => PARAMETER, 405;
    /// There is no session, and one is needed.
    NoSession => SESSION, 404;
    /// The session is being destroyed.
    SessionClosing => SESSION, 409;
    /// The backend could not make a session.
    SessionCreationFailed => SESSION, 500;
    /// The worker is not known.
    WorkerNotFound => WORKER_NOT_FOUND, 404;
    /// No loaded backend has the resource type.
    ResourceNotFound => RESOURCE_NOT_FOUND, 404;
    /// There is no key, or a wrong one.
    Unauthenticated => NOT_PERMITTED, 401;
    /// The key is right, but may not do this.
    Forbidden => NOT_PERMITTED, 403;
    /// A rate limit or a quota is used up.
    TooManyRequests => TOO_MANY, 429;
    /// The body is larger than the server takes.
    BodyTooLarge => TOO_MANY, 413;
    /// The backend panicked, crashed, or answered nonsense.
    BackendFailed => BACKEND_FAILED, 500;
    /// The call took longer than it was allowed.
    TimedOut => TIMED_OUT, 504;
    /// The backend could not be warmed up.
    WarmupFailed => WARMUP_FAILED, 503;
    /// No capacity, or a program that is not installed.
    Unavailable => UNAVAILABLE, 503;
    /// Some parts of a batch failed.
    PartialFailure => PARTIAL_FAILURE, 207;
    /// Every part of a batch failed.
    AllFailed => ALL_FAILED, 500;
    /// An error of the server's own.
    Internal => INTERNAL, 500;
    /// The configuration is wrong.
    Configuration => CONFIGURATION, 500;
    /// The configuration file that a request names does not exist.
    ConfigurationNotFound => CONFIGURATION, 404;
    /// The service is starting, draining or stopped.
    ServiceUnavailable => SERVICE_UNAVAILABLE, 503;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn the_table_of_codes_stays_as_published() {
        let mut table = String::new();
        for kind in ErrorKind::ALL {
            let _ = writeln!(table, "{} {} {kind:?}", kind.code(), kind.status());
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_tools_own_code_is_the_callers_fault_in_the_four_thousands_only() {
        let status = |code| Code(code).http_status();
        assert_eq!(
            [3999, 4000, 4999, 5003, -1, 77].map(status),
            [500, 400, 400, 500, 500, 500]
        );
    }

    #[test]
    fn every_bare_code_maps_to_a_status_that_one_of_its_kinds_has() {
        for kind in ErrorKind::ALL {
            let status = kind.code().http_status();
            assert!(
                ErrorKind::ALL
                    .iter()
                    .any(|other| other.code() == kind.code() && other.status() == status),
                "{kind:?} has code {} which alone gives {status}",
                kind.code()
            );
        }
    }

    #[test]
    fn a_code_is_an_integer_on_the_wire() {
        assert_eq!(serde_json::to_string(&Code::PARAMETER).unwrap(), "1002");
        assert_eq!(serde_json::from_str::<Code>("4242").unwrap(), Code(4242));
    }
}
