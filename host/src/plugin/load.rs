//! Loads a library that was inspected, and finds its table: the only unsafe code of the host.
//!
//! A library is loaded once, whoever asks, and never unloaded: with a thread of its own in flight,
//! unloading would take the code from under that thread.
#![expect(unsafe_code, reason = "dlopen runs the plugin's code")]

use std::{
    collections::HashMap,
    error::Error,
    path::Path,
    sync::{LazyLock, Mutex, PoisonError},
};

use abi_stable::library::{AbiHeaderRef, LibHeader, LibraryError};
use libloading::Library;
use sandbox_plugin_api::{
    abi::{ENTRY_SYMBOL, Host, PluginEntry, ROOT_SYMBOL, RootModuleRef},
    host::{Table, TableError},
};

use super::{error::LoadFailure, image::Image, inspect::Inspection};

/// What is loaded, by the digest of its bytes: the same bytes are the same library, whatever their
/// name, and their entry function may be called only once.
static LOADED: LazyLock<Mutex<HashMap<String, Table>>> = LazyLock::new(Mutex::default);

/// Loads these bytes, which `inspection` found to be good.
///
/// # Errors
///
/// When the system's loader refuses them, their layout is another one, or the plugin refuses the host.
pub(super) fn load(
    inspection: &Inspection,
    bytes: &[u8],
    host: &'static Host,
) -> Result<Table, LoadFailure> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(table) = loaded.get(&inspection.sha256) {
        return Ok(*table);
    }
    for beside in inspection
        .libraries
        .iter()
        .filter_map(|library| library.beside.as_deref())
    {
        // Loaded, it is found by its name when the plugin asks for it.
        std::mem::forget(open(beside).map_err(|reason| LoadFailure::Open { reason })?);
    }
    let library = open_copy(inspection, bytes)?;
    let entry = if inspection.doors.rust {
        rust_door(&library)
    } else {
        c_door(&library)
    };
    // Whatever comes now, the library stays: its constructors may have started threads.
    std::mem::forget(library);
    // SAFETY: the symbol is the plugin's entry by the ABI's contract, which its manifest claims to
    // keep, and for a Rust plugin by the check of its layout; its library is never unloaded.
    let table = unsafe { Table::open(entry?, host) }.map_err(LoadFailure::Entry)?;
    loaded.insert(inspection.sha256.clone(), table);
    Ok(table)
}

fn open_copy(inspection: &Inspection, bytes: &[u8]) -> Result<Library, LoadFailure> {
    let image = Image::new(bytes, &inspection.file).map_err(|error| LoadFailure::Open {
        reason: format!("no room for a private copy: {error}"),
    })?;
    let library = open(image.path()).map_err(|reason| {
        let copy = image.path().to_string_lossy().into_owned();
        LoadFailure::Open {
            reason: reason.replace(&copy, &inspection.file.to_string_lossy()),
        }
    })?;
    image.keep();
    Ok(library)
}

#[cfg(unix)]
fn open(file: &Path) -> Result<Library, String> {
    use libloading::os::unix::{self, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: this runs the library's constructors, which is what the operator asked for by naming
    // it in the configuration; nothing of this process is borrowed while they run.
    let library = unsafe { unix::Library::open(Some(file.as_os_str()), RTLD_NOW | RTLD_LOCAL) };
    library.map(Library::from).map_err(|error| in_words(&error))
}

#[cfg(not(unix))]
fn open(file: &Path) -> Result<Library, String> {
    // SAFETY: as for unix.
    unsafe { Library::new(file.as_os_str()) }.map_err(|error| in_words(&error))
}

/// libloading's own words are `dlopen failed`; what the system says is its source.
fn in_words(error: &libloading::Error) -> String {
    let source = error.source().map(ToString::to_string);
    source.unwrap_or_else(|| error.to_string())
}

/// The entry function of any plugin.
fn c_door(library: &Library) -> Result<PluginEntry, LoadFailure> {
    // SAFETY: the symbol is a function of this type by the ABI's contract.
    let entry = unsafe { library.get::<PluginEntry>(ENTRY_SYMBOL.as_bytes()) };
    entry
        .map(|entry| *entry)
        .map_err(|error| LoadFailure::Open {
            reason: in_words(&error),
        })
}

/// The entry function of a Rust plugin, once every struct that crosses was compared.
fn rust_door(library: &Library) -> Result<PluginEntry, LoadFailure> {
    // SAFETY: the symbol is `abi_stable`'s and points to a header of its own, whose version is
    // checked by `upgrade` before anything behind it is read; the library is never unloaded.
    let header = unsafe { library.get::<AbiHeaderRef>(ROOT_SYMBOL.as_bytes()) };
    let header = *header.map_err(|error| LoadFailure::Open {
        reason: in_words(&error),
    })?;
    let root = header
        .upgrade()
        .and_then(LibHeader::init_root_module::<RootModuleRef>);
    root.map(|root| root.entry()).map_err(|error| match error {
        LibraryError::RootModule { .. } => LoadFailure::Entry(TableError::Refused),
        other => LoadFailure::Layout {
            full: other.to_string(),
        },
    })
}

/// The version of glibc that runs.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn running_glibc() -> Option<&'static str> {
    // SAFETY: the function takes nothing, and returns a text that is part of glibc itself.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    version.to_str().ok()
}

/// There is none.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn running_glibc() -> Option<&'static str> {
    None
}
