//! Why a shell could not do what it was asked.

use crate::shell::Output;

/// What goes wrong with a shell, apart from what a command itself reports.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Something the caller said cannot be used.
    #[error("{message}")]
    Param {
        /// Where, as a JSON pointer.
        pointer: String,
        /// Why.
        message: String,
    },
    /// The command took longer than it may. Whatever it started is gone.
    #[error("the command was stopped after {after:.3} s")]
    TimedOut {
        /// The time it had.
        after: f64,
        /// What it printed until then.
        output: Box<Output>,
    },
    /// Another command of the session held the shell until the caller's time was over.
    #[error(
        "another command of this session is still running; the call's time was over before its turn came"
    )]
    Busy,
    /// The shell or its sandbox ended without being asked to.
    #[error("{what}; the next call gets a new shell{}", if *.files_lost { ", and files of the session are gone" } else { "" })]
    Died {
        /// What happened.
        what: String,
        /// Whether the session's files went with it.
        files_lost: bool,
        /// What was printed until then.
        output: Option<Box<Output>>,
    },
    /// The session has as many long commands as it may.
    #[error("the session has {0} long commands, as many as it may; stop one first")]
    TooManyJobs(usize),
    /// A long command took no more input.
    #[error("the command took {0} bytes of the input and reads no further")]
    InputRefused(usize),
    /// The sandbox could not be started.
    #[error("the sandbox of the session could not be started")]
    Launch(#[from] sandbox_isolation::LaunchError),
    /// The operating system refused something.
    #[error("the operating system refused a step of running the shell")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// The session is over.
    pub(crate) fn closed() -> Self {
        Self::Died {
            what: "the session's shell was closed".into(),
            files_lost: true,
            output: None,
        }
    }
}
