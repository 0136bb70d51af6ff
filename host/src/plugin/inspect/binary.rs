//! The file as a binary of any platform: format, processor, kind, symbols. Hands on to `elf` what is
//! particular to ELF, and to `manifest` the bytes behind the manifest's symbol.

use std::env::consts;

use object::{
    Architecture, BinaryFormat, FileKind, Object, ObjectKind, ObjectSection,
    read::{ExportTarget, NameOrOrdinal},
};
use sandbox_plugin_api::abi::{ENTRY_SYMBOL, MANIFEST_SYMBOL, ROOT_SYMBOL};

use super::{Fault, Inspection, elf, manifest};

/// What a Rust library imports when a panic in it can be caught.
const RAISE: &[u8] = b"_Unwind_RaiseException";

/// Fills in what the bytes tell. What ends the inspection is the error; all else is added to the faults.
pub(super) fn inspect(inspection: &mut Inspection, bytes: &[u8]) -> Result<(), Fault> {
    let file = parse(bytes)?;
    let format = format_name(file.format());
    let architecture = architecture_name(file.architecture());
    inspection.format = Some(format.clone());
    inspection.architecture = Some(architecture.clone());
    let expected = format_name(BinaryFormat::native_object());
    if format != expected {
        return Err(Fault::OtherPlatform {
            expected: platform(&expected),
            found: platform(&format),
        });
    }
    if architecture != consts::ARCH {
        return Err(Fault::OtherArchitecture {
            expected: consts::ARCH.to_owned(),
            found: architecture,
        });
    }
    if let Some(found) = other_kind(&file) {
        return Err(Fault::NotShared {
            found: found.to_owned(),
        });
    }
    if let object::File::Elf64(elf) = &file {
        elf::inspect(inspection, elf).map_err(|error| damaged(&error))?;
    }
    symbols(inspection, &file)
}

fn parse(bytes: &[u8]) -> Result<object::File<'_>, Fault> {
    if bytes.is_empty() {
        return Err(Fault::Empty);
    }
    match FileKind::parse(bytes) {
        Err(_) => Err(Fault::NotALibrary {
            found: guess(bytes).to_owned(),
        }),
        Ok(FileKind::Archive) => Err(Fault::NotShared {
            found: "a static library".to_owned(),
        }),
        Ok(_) => object::File::parse(bytes).map_err(|error| damaged(&error)),
    }
}

fn damaged(error: &object::Error) -> Fault {
    Fault::Damaged {
        reason: error.to_string(),
    }
}

fn guess(bytes: &[u8]) -> &'static str {
    let start = &bytes[..bytes.len().min(512)];
    let text = match std::str::from_utf8(start) {
        Ok(_) => true,
        // A character that the cut went through is no fault.
        Err(error) => error.error_len().is_none(),
    };
    if text && !start.contains(&0) {
        "a text file"
    } else {
        "bytes of no format that is known here"
    }
}

fn format_name(format: BinaryFormat) -> String {
    format!("{format:?}").to_lowercase()
}

fn platform(format: &str) -> String {
    match format {
        "elf" => "ELF (Linux)".to_owned(),
        "macho" => "Mach-O (macOS)".to_owned(),
        "pe" | "coff" => "PE (Windows)".to_owned(),
        other => other.to_owned(),
    }
}

/// The processor, in the words of the standard library.
fn architecture_name(architecture: Architecture) -> String {
    match architecture {
        Architecture::I386 => "x86".to_owned(),
        Architecture::PowerPc64 => "powerpc64".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn other_kind(file: &object::File<'_>) -> Option<&'static str> {
    match file.kind() {
        ObjectKind::Dynamic => match file {
            object::File::Elf64(elf) if elf::is_program(elf) => Some("a program"),
            _ => None,
        },
        ObjectKind::Executable => Some("a program"),
        ObjectKind::Relocatable => Some("an object file, not linked yet"),
        ObjectKind::Core => Some("a memory dump"),
        _ => Some("of a kind that is not known here"),
    }
}

/// What the symbols tell: the doors, the manifest, and what a panic does.
fn symbols(inspection: &mut Inspection, file: &object::File<'_>) -> Result<(), Fault> {
    let mut at = None;
    let mut raises = false;
    for export in file
        .exports()
        .map_err(|error| damaged(&error))?
        .filter_map(Result::ok)
    {
        let NameOrOrdinal::Name(name) = export.name() else {
            continue;
        };
        // Mach-O writes an underscore before the names of C.
        let name = name
            .strip_prefix(b"_")
            .filter(|_| is_macho(file))
            .unwrap_or(name);
        if name == ENTRY_SYMBOL.as_bytes() {
            inspection.doors.c = true;
        } else if name == ROOT_SYMBOL.as_bytes() {
            inspection.doors.rust = true;
        } else if name == MANIFEST_SYMBOL.as_bytes()
            && let ExportTarget::Address { address } = export.target()
        {
            at = Some(address);
        } else if name == RAISE {
            raises = true;
        }
    }
    let Some(at) = at else {
        return Err(Fault::NoManifest);
    };
    manifest::inspect(inspection, |offset, size| data_at(file, at + offset, size))?;
    if !inspection.doors.c {
        inspection.faults.push(Fault::NoEntry);
    }
    raises |= file
        .imports()
        .map_err(|error| damaged(&error))?
        .filter_map(Result::ok)
        .any(|import| matches!(import.name(), NameOrOrdinal::Name(name) if name == RAISE));
    let manifest = inspection.manifest.as_ref();
    let rust = manifest.filter(|manifest| manifest.language == "rust");
    match rust {
        Some(rust) if rust.panic.as_deref() == Some("abort") => {
            inspection.faults.push(Fault::Aborts {
                found: "its manifest says panic=abort".to_owned(),
            });
        }
        Some(_) if !raises && cfg!(target_os = "linux") => inspection.faults.push(Fault::Aborts {
            found: "nothing in it can raise a panic".to_owned(),
        }),
        _ => {}
    }
    Ok(())
}

fn is_macho(file: &object::File<'_>) -> bool {
    file.format() == BinaryFormat::MachO
}

/// The bytes that will be at an address once the library is loaded.
fn data_at<'data>(file: &object::File<'data>, address: u64, size: u64) -> Option<&'data [u8]> {
    file.sections()
        .find_map(|section| section.data_range(address, size).ok().flatten())
}
