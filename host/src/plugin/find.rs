//! Looks for the library that a `backend_class` means, and inspects what it finds.
//! Owns the choice of the file; runs nothing of it.

use std::{
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    class::{BackendClass, Library, file_name},
    error::{LoadError, LoadFailure},
    inspect::{Bytes, DeclaredBackend, Inspection, read},
    search::{Finding, Looked, Origin, SearchPath, Trace},
};

/// A library that may be loaded, and which of its backends is meant.
#[derive(Clone, Debug)]
pub struct Found {
    /// What the file says about itself.
    pub inspection: Arc<Inspection>,
    /// The backend that is meant.
    pub backend: DeclaredBackend,
    /// Where was looked, the files that were passed over included.
    pub trace: Trace,
    pub(super) bytes: Arc<Bytes>,
}

/// Finds the library that `backend_class` means; relative paths start at `base`.
///
/// A file with faults is passed over when a later place has a good one: the trace tells.
///
/// # Errors
///
/// When there is no file, when every file has faults, and when the library has no such class.
pub fn find(
    backend_class: &str,
    search: &SearchPath,
    base: &Path,
    sha256: Option<&str>,
) -> Result<Found, LoadError> {
    let failed = |failure, trace| LoadError::new(backend_class, trace, failure);
    let class = BackendClass::parse(backend_class)
        .map_err(|syntax| failed(LoadFailure::Syntax(syntax), Trace::default()))?;
    let (trace, good) = look(&class, search, base, sha256);
    let Some((inspection, bytes)) = good else {
        let failure = if trace.found_any() {
            LoadFailure::Refused
        } else {
            let (file, at) = wanted(&class, base);
            LoadFailure::NotFound {
                bare: bare(&class),
                file,
                at,
                alike: alike(&class, search),
            }
        };
        return Err(failed(failure, trace));
    };
    let declared = inspection
        .manifest
        .as_ref()
        .map(|manifest| &*manifest.backends);
    match class.choose(declared.unwrap_or_default()) {
        Ok(backend) => Ok(Found {
            backend: backend.clone(),
            inspection,
            trace,
            bytes,
        }),
        Err(failure) => {
            let file = inspection.file.clone();
            Err(failed(failure, trace).of(file))
        }
    }
}

type Good = (Arc<Inspection>, Arc<Bytes>);

/// Looks at the places in order, up to the first good file.
fn look(
    class: &BackendClass,
    search: &SearchPath,
    base: &Path,
    sha256: Option<&str>,
) -> (Trace, Option<Good>) {
    let name = match &class.library {
        Library::Path(path) => {
            let file = absolute(base, path);
            let (found, good) = look_at(&file, sha256);
            let place = Some(file);
            return (Trace(vec![looked(Origin::Written, place, found)]), good);
        }
        Library::Name(name) => name,
    };
    let (trace, good) = look_through(name, search, sha256);
    if let (false, Some(former)) = (trace.found_any(), class.former_library()) {
        let (elsewhere, good) = look_through(former, search, sha256);
        // What was found, good or not, is what was meant; otherwise the name that was written is what is missing.
        if elsewhere.found_any() {
            return (elsewhere, good);
        }
    }
    (trace, good)
}

/// Looks for the library of this name in the search path.
fn look_through(name: &str, search: &SearchPath, sha256: Option<&str>) -> (Trace, Option<Good>) {
    let mut trace = Trace::default();
    let mut add = |origin, place, found| trace.0.push(looked(origin, place, found));
    for (origin, folder) in search.places() {
        let Some(folder) = folder else {
            add(origin, None, Finding::NotSet);
            continue;
        };
        if folder.is_relative() {
            add(origin, Some(folder.to_owned()), Finding::Relative);
        } else if !folder.is_dir() {
            add(origin, Some(folder.to_owned()), Finding::NoFolder);
        } else {
            let file = folder.join(file_name(name));
            let (found, good) = look_at(&file, sha256);
            add(origin, Some(file), found);
            if good.is_some() {
                return (trace, good);
            }
        }
    }
    (trace, None)
}

fn looked(origin: Origin, place: Option<PathBuf>, found: Finding) -> Looked {
    Looked {
        origin,
        place,
        found,
    }
}

fn look_at(file: &Path, sha256: Option<&str>) -> (Finding, Option<Good>) {
    let (inspection, bytes) = match read(file, sha256) {
        Ok((inspection, bytes)) => (Arc::new(inspection), bytes),
        Err(error) => return (Finding::of_error(&error), None),
    };
    if inspection.faults.is_empty() {
        (
            Finding::Good(Arc::clone(&inspection)),
            Some((inspection, Arc::new(bytes))),
        )
    } else {
        (Finding::Refused(inspection), None)
    }
}

/// Taken apart and joined, `a/./b` is `a/b`.
fn absolute(base: &Path, path: &Path) -> PathBuf {
    base.join(path).components().collect()
}

/// The file that is looked for, and what a path comes to.
fn wanted(class: &BackendClass, base: &Path) -> (String, Option<PathBuf>) {
    match &class.library {
        Library::Path(path) => (path.display().to_string(), Some(absolute(base, path))),
        Library::Name(name) => (file_name(name), None),
    }
}

/// The `backend_class` that has the same library looked for.
fn bare(class: &BackendClass) -> String {
    let library = match &class.library {
        Library::Name(name) => name.clone(),
        Library::Path(path) => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            stem.strip_prefix(DLL_PREFIX).unwrap_or(&stem).to_owned()
        }
    };
    match &class.class {
        Some(class) => format!("{library}#{class}"),
        None => library,
    }
}

/// The library in the search path whose name is nearest to the one that is not there.
fn alike(class: &BackendClass, search: &SearchPath) -> Option<String> {
    let Library::Name(name) = &class.library else {
        return None;
    };
    let folders = search.places().filter_map(|(_, folder)| folder);
    let known: Vec<String> = folders
        .filter(|folder| folder.is_absolute())
        .filter_map(|folder| folder.read_dir().ok())
        .flat_map(|entries| entries.filter_map(Result::ok))
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let name = file.strip_prefix(DLL_PREFIX)?.strip_suffix(DLL_SUFFIX)?;
            Some(name.to_owned())
        })
        .collect();
    crate::schema::nearest(name, known.iter().map(String::as_str)).map(ToOwned::to_owned)
}
