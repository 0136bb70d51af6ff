//! Why a backend cannot be loaded, as data: `report` makes an operator's text of it, and programs get
//! its [`Problem`]s.

use std::path::{Path, PathBuf};

use sandbox_plugin_api::host::TableError;
use serde::Serialize;

use super::{
    class::ClassSyntax, description::DescriptionFault, inspect::DeclaredBackend, search::Trace,
};

/// Why a backend cannot be loaded, and where was looked for it.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct LoadError {
    /// The `backend_class`, as written.
    pub backend_class: String,
    /// The library that was chosen, when one was.
    pub library: Option<PathBuf>,
    /// Where was looked.
    pub trace: Trace,
    /// What is wrong.
    pub failure: Box<LoadFailure>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailure {
    /// The `backend_class` has none of the forms.
    #[error("this is no backend_class: {0}")]
    Syntax(ClassSyntax),
    /// No place has the library.
    #[error("there is no library {file}")]
    NotFound {
        /// The library's file.
        file: String,
        /// What a path came to; a name is looked for instead.
        at: Option<PathBuf>,
        /// What `backend_class` would be to look for the library of this name instead.
        bare: String,
        /// The library of nearly the same name that is there.
        alike: Option<String>,
    },
    /// Every file that was found has faults; the trace has them.
    #[error("the library is refused")]
    Refused,
    /// The library has other backends.
    #[error("{}", no_such_class(class.as_deref()))]
    NoSuchClass {
        /// The class that is wanted, if one was named.
        class: Option<String>,
        /// The library as it was named.
        library: String,
        /// The backends that it has.
        backends: Vec<DeclaredBackend>,
    },
    /// The system's loader refuses the library.
    #[error("the system cannot load the library")]
    Open {
        /// What the system says.
        reason: String,
    },
    /// The structs of a Rust plugin are not the server's.
    #[error("the plugin's structs are laid out differently than the server's")]
    Layout {
        /// The report of the check: long.
        full: String,
    },
    /// The plugin's entry function gave no table that can be used.
    #[error("{}", entry(.0))]
    Entry(TableError),
    /// The plugin cannot describe its backend.
    #[error("the plugin cannot describe its backend")]
    Describe {
        /// Whether it panicked.
        panicked: bool,
        /// What it says.
        message: String,
    },
    /// The description of the backend is wrong.
    #[error("the plugin describes its backend wrongly")]
    Description {
        /// Everything that is wrong with it.
        faults: Vec<DescriptionFault>,
    },
    /// The key in the configuration is not the backend's name.
    #[error("the backend is called `{name}`, and the configuration calls it `{key}`")]
    OtherKey {
        /// The key in the configuration.
        key: String,
        /// The backend's name.
        name: String,
        /// Another entry, which has this name or loads a backend of this name too.
        taken_by: Option<String>,
    },
}

/// One thing that is wrong, in parts, for programs and for other reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What should be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The file that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl LoadError {
    pub(super) fn new(backend_class: &str, trace: Trace, failure: LoadFailure) -> Self {
        Self {
            backend_class: backend_class.to_owned(),
            library: None,
            trace,
            failure: Box::new(failure),
        }
    }

    pub(super) fn of(mut self, library: PathBuf) -> Self {
        self.library = Some(library);
        self
    }

    /// The key of an entry must be the name of its backend: clients name it by that. `taken_by` is
    /// another entry that has the name, or loads a backend of the same name.
    pub fn other_key(backend_class: &str, key: &str, name: &str, taken_by: Option<&str>) -> Self {
        let failure = LoadFailure::OtherKey {
            key: key.to_owned(),
            name: name.to_owned(),
            taken_by: taken_by.map(ToOwned::to_owned),
        };
        Self::new(backend_class, Trace::default(), failure)
    }

    /// Everything that is wrong, each with what to do about it.
    pub fn problems(&self) -> Vec<Problem> {
        match &*self.failure {
            LoadFailure::Refused => self.refusals(),
            LoadFailure::Description { faults } => faults
                .iter()
                .map(|fault| self.problem(fault.to_string()))
                .collect(),
            _ => vec![self.problem(self.failure.to_string())],
        }
    }

    fn refusals(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for looked in &self.trace.0 {
            match &looked.found {
                super::Finding::Refused(inspection) => {
                    problems.extend(inspection.faults.iter().map(|fault| Problem {
                        message: fault.to_string(),
                        expected: fault.expected(),
                        found: fault.found(),
                        file: Some(inspection.file.clone()),
                        hint: Some(fault.hint()),
                    }));
                }
                unreadable @ super::Finding::Unreadable(_) => problems.push(Problem {
                    message: unreadable.to_string(),
                    expected: None,
                    found: None,
                    file: looked.place.clone(),
                    hint: Some("the user that runs the server must be able to read it".to_owned()),
                }),
                unfit @ super::Finding::NotAFile(_) => problems.push(Problem {
                    message: unfit.to_string(),
                    expected: None,
                    found: None,
                    file: looked.place.clone(),
                    hint: Some(
                        "name the library itself: its path (./plugins/librag.so), or its bare name (rag)"
                            .to_owned(),
                    ),
                }),
                _ => {}
            }
        }
        problems
    }

    fn problem(&self, message: String) -> Problem {
        Problem {
            message,
            expected: self.failure.expected(),
            found: self.failure.found(),
            file: self.library.clone(),
            hint: Some(self.failure.hint()),
        }
    }
}

impl LoadFailure {
    fn expected(&self) -> Option<String> {
        match self {
            Self::NoSuchClass { backends, .. } => {
                let listed = |backend: &DeclaredBackend| {
                    format!("{} (named `{}`)", backend.class, backend.name)
                };
                Some(backends.iter().map(listed).collect::<Vec<_>>().join(", "))
            }
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::NoSuchClass { class, .. } => class.clone(),
            Self::Open { reason } => Some(reason.clone()),
            Self::Layout { full } => Some(super::layout::differences(full)),
            Self::Describe { message, .. } => Some(message.clone()),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Syntax(_) => {
                "write a name (rag), a path (./plugins/librag.so), or a dotted path \
                 (my.backends.rag.RAGBackend)"
                    .to_owned()
            }
            Self::NotFound {
                alike: Some(alike), ..
            } => format!("did you mean `{alike}`?"),
            Self::NotFound {
                file,
                at: Some(at),
                bare,
                ..
            } => path_hint(file, at, bare),
            Self::NotFound { file, .. } => format!(
                "put {file} into one of these folders, or add its folder to server.plugin_dirs or \
                 to SANDBOX_PLUGIN_PATH"
            ),
            Self::Refused => "sandbox plugin inspect FILE tells all about a file".to_owned(),
            Self::NoSuchClass {
                library, backends, ..
            } => match backends.first() {
                Some(first) => format!(
                    "name one of them: \"backend_class\": \"{library}#{}\"",
                    first.class
                ),
                None => "the library has no backend at all".to_owned(),
            },
            Self::Open { reason } => open_hint(reason).to_owned(),
            Self::Layout { .. } => {
                "build the plugin with a released sandbox-plugin-api whose ABI has the \
                 same major version; --verbose shows the whole comparison"
                    .to_owned()
            }
            Self::Entry(TableError::Missing(_)) => {
                "give the table every function that SandboxPlugin declares; one that has nothing to do completes \
                 at once"
                    .to_owned()
            }
            Self::Entry(TableError::Major(found))
                if *found > sandbox_plugin_api::abi::ABI_MAJOR =>
            {
                "upgrade sandbox".to_owned()
            }
            Self::Entry(_) => {
                "build the plugin with the sandbox-plugin-api of this version of sandbox".to_owned()
            }
            Self::Describe { .. } | Self::Description { .. } => {
                "this is a mistake in the plugin: tell its authors".to_owned()
            }
            Self::OtherKey {
                name,
                taken_by: Some(other),
                ..
            } if other == name => format!(
                "`resources.{name}` is there already: remove one of the two entries, or name another backend here"
            ),
            Self::OtherKey {
                name,
                taken_by: Some(other),
                ..
            } => format!(
                "`resources.{other}` loads a backend called `{name}` too: keep one of the two, as `resources.{name}`"
            ),
            Self::OtherKey { name, .. } => format!("rename the entry to `resources.{name}`"),
        }
    }
}

/// A path is never looked for elsewhere, and one without a folder looks like a name that is.
fn path_hint(written: &str, at: &Path, bare: &str) -> String {
    if Path::new(written).is_absolute() {
        "correct the path: nothing is there".to_owned()
    } else if written.contains(['/', '\\']) {
        format!("correct the path, which leads to {}", at.display())
    } else {
        format!(
            "write \"{bare}\" to have it looked for in server.plugin_dirs and SANDBOX_PLUGIN_PATH; \"{written}\" \
             is a path, which leads to {}",
            at.display()
        )
    }
}

fn open_hint(reason: &str) -> &'static str {
    if reason.contains("static TLS") {
        "the plugin's thread-local storage does not fit; if it uses jemalloc, build it with \
         `disable_initial_exec_tls`"
    } else if reason.contains("undefined symbol") {
        "a library that has the symbol was not linked, or is another version here than where the \
         plugin was built: build it on this machine"
    } else {
        "build the plugin on this machine, and see what ldd says about it"
    }
}

fn no_such_class(class: Option<&str>) -> String {
    match class {
        Some(class) => format!("the library has no backend of class `{class}`"),
        None => "the library has several backends, and it is not said which is meant".to_owned(),
    }
}

fn entry(error: &TableError) -> String {
    match error {
        TableError::Refused => "the plugin refuses this server".to_owned(),
        TableError::Major(found) => {
            format!("the plugin's table is of ABI major version {found}, against its own manifest")
        }
        TableError::TooSmall(size) => {
            format!("the plugin's table has {size} bytes, fewer than the ABI's first version")
        }
        TableError::Missing(names) => {
            format!(
                "functions of the plugin's table are null: {}",
                names.join(", ")
            )
        }
    }
}
