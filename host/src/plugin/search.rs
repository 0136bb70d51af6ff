//! Where libraries are looked for, and what was found at each place.
//! Owns the order of the places and the record of a search; `find` does the looking.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Serialize, Serializer};

use super::inspect::Inspection;
use crate::config::Environment;

/// The variable with further folders, separated as in `PATH`.
const VARIABLE: &str = "SANDBOX_PLUGIN_PATH";

/// The folders to look in, in order; never the current one.
#[derive(Clone, Debug)]
pub struct SearchPath(Vec<(Origin, Option<PathBuf>)>);

/// Why a place is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The `backend_class` names the file.
    Written,
    /// The configuration lists the folder.
    PluginDirs,
    /// The environment lists the folder.
    Variable,
    /// The executable is there.
    Executable,
    /// `plugins` beside the executable.
    PluginsBeside,
    /// `../lib/sandbox`, seen from the executable: where an installation puts them.
    Installed,
}

impl SearchPath {
    /// The places for this configuration, environment and executable.
    pub fn new(
        plugin_dirs: &[PathBuf],
        environment: &Environment,
        executable: Option<&Path>,
    ) -> Self {
        let mut places = Vec::new();
        let mut list = |origin: Origin, folders: Vec<PathBuf>| {
            if folders.is_empty() {
                places.push((origin, None));
            }
            places.extend(folders.into_iter().map(|folder| (origin, Some(folder))));
        };
        list(Origin::PluginDirs, plugin_dirs.to_vec());
        let variable = environment.get(VARIABLE).unwrap_or_default();
        let folders =
            std::env::split_paths(&variable).filter(|folder| !folder.as_os_str().is_empty());
        list(Origin::Variable, folders.collect());
        if let Some(folder) = executable.and_then(Path::parent) {
            list(Origin::Executable, vec![folder.to_owned()]);
            list(Origin::PluginsBeside, vec![folder.join("plugins")]);
            if let Some(prefix) = folder.parent() {
                list(Origin::Installed, vec![prefix.join("lib").join("sandbox")]);
            }
        }
        Self(places)
    }

    /// The places for this configuration and environment in the running process.
    pub fn of_process(plugin_dirs: &[PathBuf], environment: &Environment) -> Self {
        // On Linux this is the file itself, whatever link it was started through.
        let executable = std::env::current_exe().ok();
        Self::new(plugin_dirs, environment, executable.as_deref())
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (Origin, Option<&Path>)> {
        self.0
            .iter()
            .map(|(origin, folder)| (*origin, folder.as_deref()))
    }
}

/// Everything that a search looked at, in order.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Trace(pub Vec<Looked>);

/// One place of a search.
#[derive(Clone, Debug, Serialize)]
pub struct Looked {
    /// Why it was looked at.
    pub origin: Origin,
    /// The file, or the folder when that is not there; `None` when the origin names no place.
    pub place: Option<PathBuf>,
    /// What was found.
    pub found: Finding,
}

/// What was found at a place.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "found", content = "detail", rename_all = "snake_case")]
pub enum Finding {
    /// The list is empty, or the variable not set.
    NotSet,
    /// The folder is relative, and would mean another one wherever the server is started.
    Relative,
    /// There is no such folder.
    NoFolder,
    /// There is no such file.
    NoFile,
    /// The file cannot be read.
    Unreadable(String),
    /// What is there is no file of a library: a folder, say.
    NotAFile(String),
    /// The file has the faults that its inspection lists.
    Refused(#[serde(serialize_with = "faults_of")] Arc<Inspection>),
    /// The file is good.
    Good(#[serde(serialize_with = "faults_of")] Arc<Inspection>),
}

/// A trace tells what was wrong with a file; all else stands in its inspection.
fn faults_of<S: Serializer>(inspection: &Inspection, serializer: S) -> Result<S::Ok, S::Error> {
    inspection.faults.serialize(serializer)
}

impl Trace {
    /// The inspections of the files that were found and refused.
    pub fn refused(&self) -> impl Iterator<Item = &Arc<Inspection>> {
        self.0.iter().filter_map(|looked| match &looked.found {
            Finding::Refused(inspection) => Some(inspection),
            _ => None,
        })
    }

    /// The inspections of all files that were found.
    pub fn inspections(&self) -> impl Iterator<Item = &Arc<Inspection>> {
        self.0.iter().filter_map(|looked| match &looked.found {
            Finding::Refused(inspection) | Finding::Good(inspection) => Some(inspection),
            _ => None,
        })
    }

    /// The files that come before the one that is taken, and cannot be loaded: whoever put them there expects
    /// that they are.
    pub fn passed_over(&self) -> Vec<PassedOver> {
        let mut passed_over = Vec::new();
        for looked in &self.0 {
            let Some(file) = &looked.place else { continue };
            match &looked.found {
                Finding::Good(_) => return passed_over,
                Finding::NotSet | Finding::Relative | Finding::NoFolder | Finding::NoFile => {}
                Finding::Unreadable(why) => passed_over.push(PassedOver::new(
                    file,
                    vec![format!("it cannot be read: {why}")],
                )),
                Finding::NotAFile(why) => {
                    passed_over.push(PassedOver::new(file, vec![why.clone()]));
                }
                Finding::Refused(inspection) => passed_over.push(PassedOver::new(
                    file,
                    inspection.faults.iter().map(ToString::to_string).collect(),
                )),
            }
        }
        // Nothing is taken, and what is wrong with each file is the error's to say.
        Vec::new()
    }

    pub(super) fn found_any(&self) -> bool {
        let nothing = |looked: &Looked| {
            matches!(
                looked.found,
                Finding::NotSet | Finding::Relative | Finding::NoFolder | Finding::NoFile
            )
        };
        !self.0.iter().all(nothing)
    }
}

/// A file that cannot be loaded, where a later place has one that can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reasons: Vec<String>,
}

impl PassedOver {
    fn new(file: &Path, reasons: Vec<String>) -> Self {
        Self {
            file: file.to_owned(),
            reasons,
        }
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = self.reasons.join("; ");
        write!(f, "{} is passed over: {reasons}", self.file.display())
    }
}

impl Finding {
    pub(super) fn of_error(error: &io::Error) -> Self {
        match error.kind() {
            // Below a file there is nothing either.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NoFile,
            io::ErrorKind::InvalidInput => Self::NotAFile(error.to_string()),
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Written => "backend_class",
            Self::PluginDirs => "server.plugin_dirs",
            Self::Variable => VARIABLE,
            Self::Executable => "beside the executable",
            Self::PluginsBeside => "plugins beside it",
            Self::Installed => "installed libraries",
        })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("  looked at:\n")?;
        for looked in &self.0 {
            write!(f, "    {:<22} ", looked.origin)?;
            if let Some(place) = &looked.place {
                write!(f, "{}: ", place.display())?;
            }
            writeln!(f, "{}", looked.found)?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSet => f.write_str("not set"),
            Self::Relative => f.write_str("not looked at: a folder here must be absolute"),
            Self::NoFolder => f.write_str("no such folder"),
            Self::NoFile => f.write_str("not there"),
            Self::Unreadable(error) => write!(f, "found, but it cannot be read: {error}"),
            Self::NotAFile(why) => write!(f, "found, but {why}"),
            Self::Refused(_) => f.write_str("found, but refused"),
            Self::Good(_) => f.write_str("found"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &SearchPath) -> Vec<(Origin, Option<&str>)> {
        path.places()
            .map(|(origin, folder)| (origin, folder.and_then(Path::to_str)))
            .collect()
    }

    #[test]
    #[cfg(unix)]
    fn the_order_of_the_places() {
        let environment = Environment::from_iter([("SANDBOX_PLUGIN_PATH", "/a::/b")]);
        let path = SearchPath::new(
            &["/etc/plugins".into()],
            &environment,
            Some("/usr/bin/sandbox".as_ref()),
        );
        assert_eq!(
            places(&path),
            [
                (Origin::PluginDirs, Some("/etc/plugins")),
                (Origin::Variable, Some("/a")),
                (Origin::Variable, Some("/b")),
                (Origin::Executable, Some("/usr/bin")),
                (Origin::PluginsBeside, Some("/usr/bin/plugins")),
                (Origin::Installed, Some("/usr/lib/sandbox")),
            ]
        );
    }

    #[test]
    fn what_is_not_set_is_told() {
        let path = SearchPath::new(&[], &Environment::empty(), None);
        assert_eq!(
            places(&path),
            [(Origin::PluginDirs, None), (Origin::Variable, None)]
        );
    }
}
