//! What `backend_class` may say: a path, a bare name, or the dotted path of the Python server.
//! Owns the three forms, the names of the Python server that are others here, and the choice among a library's
//! backends; looks at no file.

use std::{
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    path::PathBuf,
};

use serde::Serialize;

use super::{error::LoadFailure, inspect::DeclaredBackend};

/// What the Python server's classes end with, and ours need not.
const SUFFIX: &str = "Backend";

/// The one backend of the Python server that goes by another name here: its `code_executor` runs programs as `code`
/// does. A file that names it should work, and neither its module nor its class can be guessed from ours. Tried only
/// where the name itself leads nowhere, so a plugin of that name is never shadowed.
const RENAMED: Renamed = Renamed {
    module: "code_executor",
    library: "code",
    class: "CodeExecutor",
    now: "Code",
};

/// A backend that the Python server had under another name.
struct Renamed {
    module: &'static str,
    library: &'static str,
    class: &'static str,
    now: &'static str,
}

/// A `backend_class`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendClass {
    /// As it was written.
    pub written: String,
    pub(super) library: Library,
    pub(super) class: Option<String>,
}

/// Which library is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Library {
    /// This file; relative to the configuration's folder.
    Path(PathBuf),
    /// The library of this name in the search path.
    Name(String),
}

/// Why a text is no `backend_class`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ClassSyntax {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// What stands before or after a `#` or a dot is empty.
    #[error("a part of it is empty")]
    EmptyPart,
    /// A dotted path already ends with the class.
    #[error("a dotted path ends with the class already, so it has no `#`")]
    ClassTwice,
    /// A sign that stands in no name.
    #[error("a name has letters, digits, `_` and `-` only")]
    StrangeSign,
}

impl BackendClass {
    /// Takes a `backend_class` apart.
    ///
    /// # Errors
    ///
    /// When it has none of the three forms.
    pub fn parse(written: &str) -> Result<Self, ClassSyntax> {
        let (library, class) = match written.rsplit_once('#') {
            // A folder may have a `#` in its name; a class has no separator.
            Some((_, class)) if class.contains('/') => (written, None),
            Some((_, "")) => return Err(ClassSyntax::EmptyPart),
            Some((library, class)) => (library, Some(class)),
            None => (written, None),
        };
        let (library, class) = if library.is_empty() {
            return Err(ClassSyntax::Empty);
        } else if is_path(library) {
            (Library::Path(library.into()), class)
        } else if let Some((module, last)) = library.rsplit_once('.') {
            if class.is_some() {
                return Err(ClassSyntax::ClassTwice);
            }
            let name = check_parts(module)?;
            (Library::Name(name.to_owned()), Some(last))
        } else {
            (Library::Name(library.to_owned()), class)
        };
        if let Library::Name(name) = &library {
            check_name(name)?;
        }
        if let Some(class) = class {
            check_name(class)?;
        }
        Ok(Self {
            written: written.to_owned(),
            library,
            class: class.map(ToOwned::to_owned),
        })
    }

    /// The backend of a library that is meant.
    pub(super) fn choose<'a>(
        &self,
        backends: &'a [DeclaredBackend],
    ) -> Result<&'a DeclaredBackend, LoadFailure> {
        let chosen = match (&self.class, backends) {
            (Some(class), _) => of_class(class, backends),
            (None, [only]) => Some(only),
            (None, _) => backends.iter().find(|backend| self.names(backend)),
        };
        chosen.ok_or_else(|| LoadFailure::NoSuchClass {
            class: self.class.clone(),
            library: self.library_name(),
            backends: backends.to_vec(),
        })
    }

    /// The library that a name of the Python server means, for when there is none of that name.
    pub(super) fn former_library(&self) -> Option<&'static str> {
        matches!(&self.library, Library::Name(name) if name == RENAMED.module)
            .then_some(RENAMED.library)
    }

    fn names(&self, backend: &DeclaredBackend) -> bool {
        matches!(&self.library, Library::Name(name) if *name == backend.name)
    }

    fn library_name(&self) -> String {
        match &self.library {
            Library::Path(path) => path.display().to_string(),
            Library::Name(name) => name.clone(),
        }
    }
}

/// By its exact class, else by the only one that differs in case alone, else by the only one that is called so without
/// the suffix: the Python server's `RAGBackend` finds `RagBackend` and its `VMBackend` finds `Vm`, as Rust would call them.
fn of_class<'a>(class: &str, backends: &'a [DeclaredBackend]) -> Option<&'a DeclaredBackend> {
    if let Some(exact) = backends.iter().find(|backend| backend.class == class) {
        return Some(exact);
    }
    let short = without_suffix(class);
    let renamed = short
        .filter(|short| short.eq_ignore_ascii_case(RENAMED.class))
        .map(|_| RENAMED.now);
    [Some(class), short, renamed]
        .into_iter()
        .flatten()
        .map(|called| alike(called, backends))
        .find(|alike| !alike.is_empty())
        // Several would be a guess.
        .and_then(|alike| <[_; 1]>::try_from(alike).ok())
        .map(|[only]| only)
}

/// The backends whose class is `class` in any case.
fn alike<'a>(class: &str, backends: &'a [DeclaredBackend]) -> Vec<&'a DeclaredBackend> {
    let alike = |backend: &&DeclaredBackend| backend.class.eq_ignore_ascii_case(class);
    backends.iter().filter(alike).collect()
}

/// The class without the suffix, in whatever case it is written; `None` when it has none, or is nothing else.
fn without_suffix(class: &str) -> Option<&str> {
    let (short, suffix) = class.split_at_checked(class.len().checked_sub(SUFFIX.len())?)?;
    (!short.is_empty() && suffix.eq_ignore_ascii_case(SUFFIX)).then_some(short)
}

/// A path has a separator, or the ending of a library.
fn is_path(text: &str) -> bool {
    let ending = [DLL_SUFFIX, ".so", ".dylib", ".dll"]
        .iter()
        .any(|ending| text.ends_with(ending));
    ending || text.contains('/') || text.contains(std::path::MAIN_SEPARATOR)
}

/// The last part of a module's path; the parts before it say nothing here, but must be names.
fn check_parts(module: &str) -> Result<&str, ClassSyntax> {
    for part in module.split('.') {
        check_name(part)?;
    }
    Ok(module.rsplit('.').next().unwrap_or(module))
}

fn check_name(name: &str) -> Result<(), ClassSyntax> {
    let sign = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '-';
    if name.is_empty() {
        Err(ClassSyntax::EmptyPart)
    } else if name.chars().all(sign) {
        Ok(())
    } else {
        Err(ClassSyntax::StrangeSign)
    }
}

/// The file name that this platform gives a library: cargo writes `-` as `_`.
pub(super) fn file_name(library: &str) -> String {
    format!("{DLL_PREFIX}{}{DLL_SUFFIX}", library.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(written: &str) -> (Library, Option<String>) {
        let class = BackendClass::parse(written).unwrap();
        (class.library, class.class)
    }

    fn name(name: &str) -> Library {
        Library::Name(name.to_owned())
    }

    fn path(path: &str) -> Library {
        Library::Path(path.into())
    }

    #[test]
    fn the_three_forms() {
        let class = |class: &str| Some(class.to_owned());
        assert_eq!(parsed("rag"), (name("rag"), None));
        assert_eq!(parsed("rag#Rag"), (name("rag"), class("Rag")));
        assert_eq!(
            parsed("sandbox.server.backends.resources.rag.RAGBackend"),
            (name("rag"), class("RAGBackend"))
        );
        assert_eq!(
            parsed("./a.b/librag.so#Rag"),
            (path("./a.b/librag.so"), class("Rag"))
        );
        assert_eq!(parsed("librag.so"), (path("librag.so"), None));
        assert_eq!(
            parsed("/opt/x#y/librag.so"),
            (path("/opt/x#y/librag.so"), None)
        );
    }

    #[test]
    fn what_is_none_of_them() {
        for (written, fault) in [
            ("", ClassSyntax::Empty),
            ("#Rag", ClassSyntax::Empty),
            ("rag#", ClassSyntax::EmptyPart),
            ("a..Rag", ClassSyntax::EmptyPart),
            ("a.rag.Rag#Rag", ClassSyntax::ClassTwice),
            ("r g", ClassSyntax::StrangeSign),
            ("rag\0", ClassSyntax::StrangeSign),
        ] {
            assert_eq!(BackendClass::parse(written), Err(fault), "{written:?}");
        }
    }

    fn declared(class: &str, name: &str) -> DeclaredBackend {
        DeclaredBackend {
            class: class.to_owned(),
            name: name.to_owned(),
            ..DeclaredBackend::default()
        }
    }

    fn choose(written: &str, backends: &[DeclaredBackend]) -> Option<String> {
        let class = BackendClass::parse(written).unwrap();
        class
            .choose(backends)
            .ok()
            .map(|backend| backend.class.clone())
    }

    #[test]
    fn the_backend_that_is_meant() {
        let two = [declared("RagBackend", "rag"), declared("Doc", "doc")];
        assert_eq!(choose("rag", &two).as_deref(), Some("RagBackend"));
        assert_eq!(choose("rag#Doc", &two).as_deref(), Some("Doc"));
        assert_eq!(
            choose("a.rag.RAGBackend", &two).as_deref(),
            Some("RagBackend")
        );
        assert_eq!(choose("other", &two), None);
        assert_eq!(choose("rag#Rag", &two), None);
        assert_eq!(choose("other", &two[..1]).as_deref(), Some("RagBackend"));
        let alike = [declared("RAGBackend", "a"), declared("RagBackend", "b")];
        assert_eq!(choose("x#ragbackend", &alike), None);
        assert_eq!(
            choose("x#RagBackend", &alike).as_deref(),
            Some("RagBackend")
        );
    }

    #[test]
    fn classes_of_the_python_server_are_found_without_their_suffix() {
        let ours = |class: &str| [declared(class, "x")];
        for (written, class) in [
            ("sandbox.server.backends.resources.vm.VMBackend", "Vm"),
            ("sandbox.server.backends.resources.bash.BashBackend", "Bash"),
            ("browser#BrowserBackend", "Browser"),
            ("sandbox.server.backends.resources.code.CodeBackend", "Code"),
            ("a.code_executor.CodeExecutorBackend", "Code"),
            ("a.code.CodeExecutorBackend", "Code"),
            ("a.vm.vmbackend", "Vm"),
        ] {
            let chosen = choose(written, &ours(class));
            assert_eq!(chosen.as_deref(), Some(class), "{written}");
        }
        for (written, class) in [
            ("vm#Backend", "Vm"),
            ("vm#VMBackends", "Vm"),
            ("vm#Vm", "VmBackend"),
            ("vm#CloudVMBackend", "Vm"),
            ("code#CodeExecutor", "Code"),
        ] {
            assert_eq!(choose(written, &ours(class)), None, "{written}");
        }
    }

    #[test]
    fn the_nearer_name_wins_and_a_guess_is_none() {
        let near = [declared("Vm", "a"), declared("VmBackend", "b")];
        let chosen = choose("x#VMBackend", &near);
        assert_eq!(chosen.as_deref(), Some("VmBackend"));
        let guess = [declared("Vm", "a"), declared("VM", "b")];
        assert_eq!(choose("x#vmBackend", &guess), None);
        assert_eq!(choose("x#VMBackend", &guess), None);
    }

    #[test]
    fn a_module_of_the_python_server_may_be_another_library() {
        let former = |written: &str| BackendClass::parse(written).unwrap().former_library();
        assert_eq!(former("a.code_executor.CodeExecutorBackend"), Some("code"));
        assert_eq!(former("code_executor"), Some("code"));
        assert_eq!(former("a.vm.VMBackend"), None);
        assert_eq!(former("./code_executor.so"), None);
    }
}
