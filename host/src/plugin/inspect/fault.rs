//! What can be wrong with a file, as data, with the words an operator needs: what was expected, what
//! was found, what to do.

use serde::Serialize;

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// It has no bytes.
    #[error("the file is empty")]
    Empty,
    /// It has no format of libraries.
    #[error("the file is not a library")]
    NotALibrary {
        /// What it seems to be.
        found: String,
    },
    /// Its parts contradict each other.
    #[error("the file is damaged")]
    Damaged {
        /// What does not fit.
        reason: String,
    },
    /// It is a library for another operating system.
    #[error("the library is for another operating system")]
    OtherPlatform {
        /// The format of this system.
        expected: String,
        /// The file's.
        found: String,
    },
    /// It is built for another processor.
    #[error("the library is built for another processor")]
    OtherArchitecture {
        /// This machine's.
        expected: String,
        /// The file's.
        found: String,
    },
    /// It is something else in the format of libraries.
    #[error("the file is not a dynamic library")]
    NotShared {
        /// What it is.
        found: String,
    },
    /// It is not the file that the configuration pins.
    #[error("the file is not the one that the configuration pins")]
    OtherDigest {
        /// The configuration's.
        expected: String,
        /// The file's.
        found: String,
    },
    /// It needs a newer glibc than this machine has.
    #[error("the library needs a newer glibc")]
    NewerGlibc {
        /// The newest version that it needs.
        needed: String,
        /// The version that runs here.
        running: String,
    },
    /// It needs a library that is not there.
    #[error("the library needs `{name}`, which is not there")]
    MissingLibrary {
        /// The missing library.
        name: String,
    },
    /// It is a library, but no plugin.
    #[error("the library is not a plugin")]
    NoManifest,
    /// Its manifest cannot be read.
    #[error("the plugin's manifest cannot be read")]
    BrokenManifest {
        /// What is wrong with it.
        reason: String,
    },
    /// It is built for another major version of the ABI.
    #[error("the plugin is built for another version of the ABI")]
    OtherMajor {
        /// This server's.
        expected: u32,
        /// The plugin's.
        found: u32,
    },
    /// It says the same major version, but its structs are not the same.
    #[error("the plugin's structs are not those of the ABI that it names")]
    OtherFingerprint {
        /// This server's.
        expected: String,
        /// The plugin's.
        found: String,
    },
    /// It has a manifest, but nothing to call.
    #[error("the plugin has no entry function")]
    NoEntry,
    /// A panic in it would end the server.
    #[error("the plugin is built with panic=abort: a panic in it would end the server")]
    Aborts {
        /// What tells so.
        found: String,
    },
}

impl Fault {
    /// What should be there.
    pub fn expected(&self) -> Option<String> {
        match self {
            Self::OtherPlatform { expected, .. }
            | Self::OtherArchitecture { expected, .. }
            | Self::OtherDigest { expected, .. }
            | Self::OtherFingerprint { expected, .. } => Some(expected.clone()),
            Self::NewerGlibc { running, .. } => Some(format!("at most {running}, which runs here")),
            Self::OtherMajor { expected, .. } => Some(format!("major version {expected}")),
            Self::NotShared { .. } => Some("a dynamic library".to_owned()),
            Self::NoManifest => Some(format!(
                "the symbol {}",
                sandbox_plugin_api::abi::MANIFEST_SYMBOL
            )),
            Self::NoEntry => Some(format!(
                "the symbol {}",
                sandbox_plugin_api::abi::ENTRY_SYMBOL
            )),
            Self::Aborts { .. } => Some("panic=unwind".to_owned()),
            _ => None,
        }
    }

    /// What is there.
    pub fn found(&self) -> Option<String> {
        match self {
            Self::NotALibrary { found }
            | Self::NotShared { found }
            | Self::Aborts { found }
            | Self::OtherPlatform { found, .. }
            | Self::OtherArchitecture { found, .. }
            | Self::OtherDigest { found, .. }
            | Self::OtherFingerprint { found, .. } => Some(found.clone()),
            Self::Damaged { reason } | Self::BrokenManifest { reason } => Some(reason.clone()),
            Self::NewerGlibc { needed, .. } => Some(needed.clone()),
            Self::OtherMajor { found, .. } => Some(format!("major version {found}")),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Empty | Self::Damaged { .. } => "copy or build the file anew".to_owned(),
            Self::NotALibrary { .. } | Self::NotShared { .. } => {
                "name the library that the build wrote; a Rust plugin has \
                 `crate-type = [\"cdylib\"]` in its Cargo.toml"
                    .to_owned()
            }
            Self::OtherPlatform { .. } | Self::OtherArchitecture { .. } => {
                "build the plugin on this machine: cargo build --release".to_owned()
            }
            Self::OtherDigest { found, .. } => format!(
                "if the file was changed on purpose, write \"sha256\": \"{found}\" in the configuration; \
                 if not, find out who changed it"
            ),
            Self::NewerGlibc { running, .. } => format!(
                "build the plugin on this machine, or on one whose glibc is not newer than {running}"
            ),
            Self::MissingLibrary { name } => format!(
                "install the package that has {name} (on Debian: apt-file search {name}), or add its \
                 folder to LD_LIBRARY_PATH"
            ),
            Self::NoManifest => "a Rust plugin exports its backends with \
                 `sandbox_plugin_api::export!(MyBackend);`"
                .to_owned(),
            Self::BrokenManifest { .. } | Self::NoEntry => {
                "build the plugin with the current sandbox-plugin-api".to_owned()
            }
            Self::OtherMajor { expected, found } if found > expected => {
                "upgrade sandbox, or take an older build of the plugin".to_owned()
            }
            Self::OtherMajor { .. } => {
                "upgrade the plugin: build it with the sandbox-plugin-api of this version of sandbox".to_owned()
            }
            Self::OtherFingerprint { .. } => {
                "build the plugin with a released sandbox-plugin-api, or with the released header".to_owned()
            }
            Self::Aborts { .. } => {
                "build the plugin without `panic = \"abort\"` in its profile".to_owned()
            }
        }
    }
}

/// What may go wrong with a file that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Its thread-local storage is of the kind whose room is small and shared.
    #[error(
        "the library uses static thread-local storage, and fails to load when none is left; if it \
         uses jemalloc, switch on `disable_initial_exec_tls`"
    )]
    StaticTls,
    /// Every user of the machine may replace it.
    #[error("every user of this machine may write the file; chmod o-w protects it")]
    OthersMayWrite,
}
