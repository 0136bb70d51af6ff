//! How a desktop says that it did not do what it was asked, and what of that a client may read.

use sandbox_plugin_api::Error;

/// Why a desktop did not do what it was asked.
///
/// It is no [`std::error::Error`]: that is what lets `?` in a tool give the code below instead of 5000.
#[derive(Debug)]
pub enum Failure {
    /// Something that the caller said cannot be used.
    Param {
        /// Where, as a JSON pointer.
        pointer: String,
        /// Why.
        message: String,
    },
    /// The display works and did not take an input, or a program did not do what it was started for.
    Refused(String),
    /// The desktop is gone and does not come back: why, in a few words.
    Dead(&'static str),
    /// It took longer than it may.
    Timeout(String),
    /// Something that is needed is not on this machine, or this kind of desktop cannot do it.
    Unavailable(String),
    /// The operating system refused a step. The log has the details.
    System(std::io::Error),
}

impl Failure {
    /// A parameter of the caller cannot be used.
    pub fn param(pointer: &str, message: impl Into<String>) -> Self {
        Self::Param {
            pointer: pointer.into(),
            message: message.into(),
        }
    }

    pub(crate) fn no_snapshots() -> Self {
        Self::Unavailable("this kind of desktop has no snapshots; the provider \"qemu\" has".into())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::System(error)
    }
}

/// In one place: failure to protocol code and message.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Param { pointer, message } => Self::param(&pointer, message),
            Failure::Refused(message) => Self::failed(message),
            Failure::Dead(why) => Self::session(format!(
                "the desktop died ({why}); create the session again"
            )),
            Failure::Timeout(message) => Self::timeout(message),
            Failure::Unavailable(message) => Self::unavailable(message),
            Failure::System(error) => {
                tracing::warn!(%error, "a step of running a desktop was refused");
                Self::failed("the operating system refused a step of running the desktop")
            }
        }
    }
}
