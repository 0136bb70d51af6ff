//! Why a machine did not do what it was asked. Messages hold no paths; the details go to the log.

/// Why a machine did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A program is not on this machine.
    #[error("{program} is missing; install it with: apt-get install {package}")]
    Missing {
        /// The program's name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// Text or a key that cannot be typed.
    #[error("{0}")]
    Untypable(String),
    /// A snapshot's name that cannot be used, or that there is not.
    #[error("{0}")]
    Name(String),
    /// The guest's picture, keyboard, pointer or agent cannot do this.
    #[error("{0}")]
    Unsupported(String),
    /// It was understood and did not work.
    #[error("{0}")]
    Refused(String),
    /// It took longer than it may.
    #[error("{0}")]
    Timeout(String),
    /// The machine is gone and does not come back.
    #[error("the virtual machine ended: {0}")]
    Dead(End),
    /// The operating system refused a step.
    #[error("the operating system refused to {step}: {kind}")]
    System {
        /// What was to be done.
        step: &'static str,
        /// What kind of error it was.
        kind: std::io::ErrorKind,
    },
}

/// How a machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The guest or somebody else switched it off.
    #[error("it was switched off")]
    SwitchedOff,
    /// QEMU gave up.
    #[error("QEMU failed with exit code {0}")]
    Failed(i32),
    /// QEMU was killed.
    #[error("QEMU was killed by signal {0}")]
    Killed(i32),
    /// Nobody knows.
    #[error("its monitor is closed")]
    Unknown,
}

impl Error {
    /// Makes an error of the operating system presentable; its details, which may hold paths, go to the log.
    pub(crate) fn system(step: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| {
            tracing::warn!(%error, "could not {step}");
            Self::System {
                step,
                kind: error.kind(),
            }
        }
    }
}
