//! What only ELF has: the dynamic table with the libraries that are needed, versions of glibc, and
//! the kind of thread-local storage.

use object::{
    Endianness,
    elf::{DF_1_PIE, DF_STATIC_TLS, DT_FLAGS, DT_FLAGS_1, DT_NEEDED, DT_RPATH, DT_RUNPATH},
    read::elf::ElfFile64,
};

use super::{
    Fault, Inspection, Warning,
    dependencies::{self, Folders},
};
use crate::plugin::load::running_glibc;

type Elf<'data> = ElfFile64<'data, Endianness>;

/// Whether it is a program that could also be at any address: `dlopen` takes no such file.
pub(super) fn is_program(elf: &Elf<'_>) -> bool {
    let Ok(table) = elf.elf_dynamic_table() else {
        return false;
    };
    table
        .iter()
        .any(|entry| entry.tag == DT_FLAGS_1 && entry.val & DF_1_PIE.0 != 0)
}

/// Fills in what ELF tells.
pub(super) fn inspect(inspection: &mut Inspection, elf: &Elf<'_>) -> object::Result<()> {
    let table = elf.elf_dynamic_table()?;
    let mut needed = Vec::new();
    let mut folders = Folders::default();
    for entry in &table {
        let text = || {
            table
                .string(entry)
                .map(|text| String::from_utf8_lossy(text).into_owned())
        };
        match entry.tag {
            DT_NEEDED => needed.push(text()?),
            DT_RPATH => folders.rpath = Some(text()?),
            DT_RUNPATH => folders.runpath = Some(text()?),
            DT_FLAGS if entry.val & DF_STATIC_TLS.0 != 0 => {
                inspection.warnings.push(Warning::StaticTls);
            }
            _ => {}
        }
    }
    let folder = inspection.file.parent().unwrap_or("/".as_ref());
    inspection.libraries = dependencies::resolve(needed, &folders, folder);
    for library in &inspection.libraries {
        if !library.found {
            inspection.faults.push(Fault::MissingLibrary {
                name: library.name.clone(),
            });
        }
    }
    glibc(inspection, elf)
}

/// Compares the newest version of glibc that is needed with the one that runs.
fn glibc(inspection: &mut Inspection, elf: &Elf<'_>) -> object::Result<()> {
    let Some(needed) = newest(elf)? else {
        return Ok(());
    };
    let shown = |version: (u32, u32)| format!("{}.{}", version.0, version.1);
    inspection.glibc = Some(shown(needed));
    if let Some(running) = running_glibc().and_then(version)
        && needed > running
    {
        inspection.faults.push(Fault::NewerGlibc {
            needed: shown(needed),
            running: shown(running),
        });
    }
    Ok(())
}

fn newest(elf: &Elf<'_>) -> object::Result<Option<(u32, u32)>> {
    let (endian, data) = (elf.endian(), elf.data());
    let sections = elf.elf_section_table();
    let Some((needs, link)) = sections.gnu_verneed(endian, data)? else {
        return Ok(None);
    };
    let strings = sections.strings(endian, data, link)?;
    let mut newest = None;
    for need in needs {
        let (_, versions) = need?;
        for one in versions {
            let name = one?.name(endian, strings)?;
            let found = name
                .strip_prefix(b"GLIBC_")
                .and_then(|name| version(std::str::from_utf8(name).ok()?));
            newest = newest.max(found);
        }
    }
    Ok(newest)
}

/// `2.34` and `2.2.5`; names such as `PRIVATE` are no versions.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}
