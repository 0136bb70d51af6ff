//! Brings it together: from a `backend_class` to a table and a description that are good to use.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sandbox_plugin_api::{
    abi::Host,
    host::{Status, Table},
};

use super::{
    Description, Found, Inspection, LoadError, LoadFailure, SearchPath, Trace, find, load,
};

/// Loads plugins for one configuration.
#[derive(Debug)]
pub struct Loader {
    search: SearchPath,
    host: &'static Host,
}

/// A backend whose library is loaded; the backend itself is not made yet.
#[derive(Clone, Debug)]
pub struct LoadedPlugin {
    /// The library's functions.
    pub table: Table,
    /// The class to make the backend of.
    pub class: String,
    /// What the backend offers.
    pub description: Arc<Description>,
    /// What the library's file said about itself.
    pub inspection: Arc<Inspection>,
    /// The library's file.
    pub library: PathBuf,
    /// Where was looked; what it says of [`Trace::passed_over`] is worth a warning.
    pub trace: Trace,
}

impl Loader {
    /// A loader that looks in these places and lends plugins this table.
    pub fn new(search: SearchPath, host: &'static Host) -> Self {
        Self { search, host }
    }

    /// Loads the library that `backend_class` means, if its digest is the pinned one, and reads
    /// the description of the backend; relative paths start at `base`.
    ///
    /// This reads files and runs the constructors of the library, so it is no work for an
    /// asynchronous task.
    ///
    /// # Errors
    ///
    /// See [`LoadFailure`].
    pub fn load(
        &self,
        backend_class: &str,
        base: &Path,
        sha256: Option<&str>,
    ) -> Result<LoadedPlugin, LoadError> {
        let found = find(backend_class, &self.search, base, sha256)?;
        match self.enter(&found) {
            Ok((table, description)) => Ok(LoadedPlugin {
                table,
                class: found.backend.class,
                description: Arc::new(description),
                library: found.inspection.file.clone(),
                inspection: found.inspection,
                trace: found.trace,
            }),
            Err(failure) => {
                let file = found.inspection.file.clone();
                Err(LoadError::new(backend_class, found.trace, failure).of(file))
            }
        }
    }

    fn enter(&self, found: &Found) -> Result<(Table, Description), LoadFailure> {
        let table = load::load(&found.inspection, &found.bytes, self.host)?;
        let answer = table.describe(&found.backend.class);
        if !answer.is_success() {
            return Err(LoadFailure::Describe {
                panicked: answer.status() == Status::Panicked,
                message: answer.message().into_owned(),
            });
        }
        let description = Description::read(answer.data(), &found.backend)
            .map_err(|faults| LoadFailure::Description { faults })?;
        Ok((table, description))
    }
}
