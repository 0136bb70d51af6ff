//! What `backend_class` may say: a path, a bare name, or the dotted path of the Python server.
//! Owns the three forms and the choice among a library's backends; looks at no file.

use std::{
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    path::PathBuf,
};

use serde::Serialize;

use super::{error::LoadFailure, inspect::DeclaredBackend};

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

/// By its exact class, else by the only one that differs in case alone: the Python server's
/// `RAGBackend` finds `RagBackend`, as it is called by Rust's rules.
fn of_class<'a>(class: &str, backends: &'a [DeclaredBackend]) -> Option<&'a DeclaredBackend> {
    let exact = backends.iter().find(|backend| backend.class == class);
    exact.or_else(|| {
        let mut alike = backends
            .iter()
            .filter(|backend| backend.class.eq_ignore_ascii_case(class));
        alike.next().filter(|_| alike.next().is_none())
    })
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
}
