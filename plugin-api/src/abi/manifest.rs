//! The manifest: what a library says about itself in data, readable from the file without running it.

use super::{ABI_MAJOR, ABI_MINOR};

/// The first bytes of a manifest.
pub const MANIFEST_MAGIC: [u8; 8] = *b"SBXPLUG\0";

/// The name of the data symbol that holds the manifest.
pub const MANIFEST_SYMBOL: &str = "SANDBOX_PLUGIN_MANIFEST";

/// A hash of the names, sizes, alignments and offsets of the frozen structs, on 64-bit platforms.
///
/// Of [`Buffer`](super::Buffer) and [`BlobList`](super::BlobList) it has the names and sizes alone.
///
/// It changes with [`ABI_MAJOR`] only, since plugins with another are refused; a test computes it.
pub const FINGERPRINT: u64 = 0x0c9b_3627_2867_5a65;

/// The fixed part of a manifest; `json_len` bytes of JSON follow it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestHeader {
    /// [`MANIFEST_MAGIC`].
    pub magic: [u8; 8],
    /// The size of this struct: where the JSON begins.
    pub header_size: u32,
    /// The plugin's [`ABI_MAJOR`].
    pub abi_major: u32,
    /// The plugin's [`ABI_MINOR`].
    pub abi_minor: u32,
    /// How many bytes of JSON follow.
    pub json_len: u32,
    /// The plugin's [`FINGERPRINT`].
    pub fingerprint: u64,
}

impl ManifestHeader {
    /// The header of a manifest that this version of the crate writes.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a header is 32 bytes, and a manifest of 4 GiB does not compile"
    )]
    pub const fn new(json_len: usize) -> Self {
        Self {
            magic: MANIFEST_MAGIC,
            header_size: size_of::<Self>() as u32,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            json_len: json_len as u32,
            fingerprint: FINGERPRINT,
        }
    }
}

/// A whole manifest: the header and `N` bytes of JSON.
#[repr(C)]
#[derive(Debug)]
pub struct Manifest<const N: usize> {
    header: ManifestHeader,
    json: [u8; N],
}

impl<const N: usize> Manifest<N> {
    /// Joins the parts of the JSON, which have `N` bytes together.
    ///
    /// # Panics
    ///
    /// At compile time, when the parts have another length than `N`.
    #[must_use]
    pub const fn new(parts: &[&str]) -> Self {
        let mut json = [0; N];
        let (mut part, mut at) = (0, 0);
        while part < parts.len() {
            let bytes = parts[part].as_bytes();
            let mut byte = 0;
            while byte < bytes.len() {
                json[at] = bytes[byte];
                at += 1;
                byte += 1;
            }
            part += 1;
        }
        assert!(at == N, "the parts do not fill the manifest");
        Self {
            header: ManifestHeader::new(N),
            json,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::{
        super::{
            Blob, BlobList, Buffer, Completion, CreateRequest, Host, LogRecord, OperationRequest,
            Outcome, Plugin, Slice,
        },
        *,
    };

    /// The golden layout: a change here is a new major version, or a mistake.
    #[test]
    fn the_frozen_structs_keep_their_layout() {
        let golden = include_str!("layout.golden");
        assert_eq!(layout(), golden, "the ABI's frozen structs changed");
        assert_eq!(fingerprint(), FINGERPRINT, "{:#018x}", fingerprint());
    }

    #[test]
    fn a_manifest_is_its_header_and_its_parts() {
        static MANIFEST: Manifest<4> = Manifest::new(&["{", "  ", "}"]);
        assert_eq!(&MANIFEST.json, b"{  }");
        assert_eq!(MANIFEST.header.json_len, 4);
        assert_eq!(size_of::<ManifestHeader>(), 32);
    }

    /// Computes [`FINGERPRINT`] from the structs of this build: FNV-1a over a description of each.
    fn fingerprint() -> u64 {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in layout().bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash
    }

    /// One line per struct and field, with sizes, alignments and offsets in bytes.
    fn layout() -> String {
        let mut text = String::new();
        macro_rules! describe {
            ($($struct:ident { $($field:ident)* })*) => {$(
                text += &format!("{} size {} align {}\n", stringify!($struct), size_of::<$struct>(), align_of::<$struct>());
                $(text += &format!("  {} at {}\n", stringify!($field), offset_of!($struct, $field));)*
            )*};
        }
        describe! {
            Slice { ptr len }
            Host { size abi_major abi_minor log log_level progress output worker_threads reserved }
            LogRecord { size level reserved target message fields worker session trace tool }
            Plugin {
                size abi_major abi_minor describe create warmup shutdown initialize cleanup call
                cancel release_operation release_session release_backend
            }
            CreateRequest { size class config config_dir }
            OperationRequest {
                size tool reserved params worker session_id session_config trace timeout_ns session
                token
            }
            Completion { user complete }
            Blob { key media_type bytes }
            Outcome { size status code message data meta blobs session }
            ManifestHeader { magic header_size abi_major abi_minor json_len fingerprint }
        }
        for (name, size) in [
            ("Buffer", size_of::<Buffer>()),
            ("BlobList", size_of::<BlobList>()),
        ] {
            text.extend([format!("{name} size {size}\n")]);
        }
        text
    }
}
