//! Whether the libraries that a library needs are there, as glibc's loader will look for them:
//! what is loaded already, the library's own folders, the environment's, the cache, the usual folders.
//!
//! A library that is said to be missing is refused, so in doubt one is taken to be there: then
//! `dlopen` has the last word.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::config::Environment;

/// The list that `ldconfig` makes of the libraries of the system.
const CACHE: &str = "/etc/ld.so.cache";

/// Where glibc looks last.
const USUAL: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// A library that is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// Its name.
    pub name: String,
    /// Whether it was found.
    pub found: bool,
    /// Its file, when it lies beside the plugin: the plugin's own path is not known to the
    /// system's loader, so the file has to be loaded first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<PathBuf>,
}

/// The folders that a library itself names, as lists with colons.
#[derive(Default)]
pub(super) struct Folders {
    pub(super) rpath: Option<String>,
    pub(super) runpath: Option<String>,
}

/// Looks for each library that is needed by one in `folder`.
pub(super) fn resolve(needed: Vec<String>, folders: &Folders, folder: &Path) -> Vec<Dependency> {
    let system = System::read();
    let own = own_folders(folders, folder);
    needed
        .into_iter()
        .map(|name| {
            let in_own = own
                .iter()
                .map(|(folder, beside)| (folder.join(&name), *beside))
                .find(|(file, _)| file.is_file());
            let loaded = system.is_loaded(&name);
            Dependency {
                found: loaded || in_own.is_some() || system.has(&name),
                beside: in_own
                    .filter(|(_, beside)| *beside && !loaded)
                    .map(|(file, _)| file),
                name,
            }
        })
        .collect()
}

/// The folders that the library names, and whether each is told from where the library is.
fn own_folders(folders: &Folders, folder: &Path) -> Vec<(PathBuf, bool)> {
    // An RPATH counts only where there is no RUNPATH.
    let list = folders.runpath.as_ref().or(folders.rpath.as_ref());
    let list = list.map(String::as_str).unwrap_or_default();
    list.split(':')
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let origin = folder.to_string_lossy();
            let resolved = entry
                .replace("${ORIGIN}", &origin)
                .replace("$ORIGIN", &origin);
            (PathBuf::from(&resolved), resolved != entry)
        })
        .collect()
}

/// What the system has.
struct System {
    maps: Vec<u8>,
    cache: Vec<u8>,
    folders: Vec<PathBuf>,
}

impl System {
    fn read() -> Self {
        let variable = Environment::process()
            .get("LD_LIBRARY_PATH")
            .unwrap_or_default();
        let listed = variable.split([':', ';']).filter(|entry| !entry.is_empty());
        Self {
            maps: fs::read("/proc/self/maps").unwrap_or_default(),
            cache: fs::read(CACHE).unwrap_or_default(),
            folders: listed.chain(USUAL).map(PathBuf::from).collect(),
        }
    }

    fn is_loaded(&self, name: &str) -> bool {
        contains(&self.maps, format!("/{name}\n").as_bytes())
    }

    fn has(&self, name: &str) -> bool {
        // A name with a separator is a path.
        if name.contains('/') {
            return Path::new(name).is_file();
        }
        // The cache is a table of names that end with a zero byte; to know whether one is in it
        // takes no more than to find it.
        contains(&self.cache, format!("\0{name}\0").as_bytes())
            || self
                .folders
                .iter()
                .any(|folder| folder.join(name).is_file())
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else {
        return true;
    };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(part) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_program_itself_needs_is_there() {
        let found = resolve(
            vec!["libc.so.6".to_owned()],
            &Folders::default(),
            Path::new("/"),
        );
        assert!(found[0].found && found[0].beside.is_none());
    }

    #[test]
    fn what_lies_beside_the_library_is_found_by_its_own_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("libbeside.so"), "").unwrap();
        let folders = Folders {
            runpath: Some("/nowhere:$ORIGIN".to_owned()),
            rpath: None,
        };
        let needed = vec!["libbeside.so".to_owned(), "libgone.so".to_owned()];
        let found = resolve(needed, &folders, folder.path());
        assert_eq!(
            found[0].beside.as_deref(),
            Some(&*folder.path().join("libbeside.so"))
        );
        assert!(!found[1].found);
    }

    #[test]
    fn a_name_is_found_whole() {
        assert!(contains(b"\0liba.so\0libb.so\0", b"\0libb.so\0"));
        assert!(!contains(b"\0liba.so.6\0", b"\0liba.so\0"));
    }
}
