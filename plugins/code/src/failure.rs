//! Why something could not be done, and which code of the protocol that is.

use sandbox_plugin_api::Error;

/// An error of the operating system, for the log; the caller learns what was being done, and no path of the server.
pub(crate) fn io(doing: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    tracing::error!(error, doing, "the operating system refused a step");
    Error::failed(format!("{doing} failed; the server's log says why"))
}
