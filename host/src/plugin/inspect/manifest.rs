//! The manifest: found by its symbol, read from the file's data, checked before its JSON is believed.

use sandbox_plugin_api::abi::{ABI_MAJOR, FINGERPRINT, MANIFEST_MAGIC, ManifestHeader};
use serde::{Deserialize, Serialize};

use super::{Fault, Inspection};

/// No manifest is as large; a length beyond it is damage.
const LARGEST: u64 = 1 << 20;

/// The ABI that a plugin is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AbiVersion {
    /// Must be the server's.
    pub major: u32,
    /// Shown, never compared.
    pub minor: u32,
    /// A hash of the structs.
    #[serde(skip)]
    pub fingerprint: u64,
}

/// What a plugin says about itself and its making.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Manifest {
    /// The language: `rust`, `c`, …
    pub language: String,
    /// The version of sandbox-plugin-api, for plugins in Rust.
    #[serde(default)]
    pub sdk: Option<String>,
    /// The compiler.
    #[serde(default)]
    pub rustc: Option<String>,
    /// The platform.
    #[serde(default)]
    pub target: Option<String>,
    /// What a panic does.
    #[serde(default)]
    pub panic: Option<String>,
    /// The backends.
    pub backends: Vec<DeclaredBackend>,
}

/// A backend in a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct DeclaredBackend {
    /// Its name.
    pub name: String,
    /// Its class.
    pub class: String,
    /// Its kind.
    #[serde(default)]
    pub kind: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its own version.
    #[serde(default)]
    pub version: String,
}

/// Reads and checks the manifest; `data` gives bytes at an offset from its beginning.
pub(super) fn inspect<'data>(
    inspection: &mut Inspection,
    data: impl Fn(u64, u64) -> Option<&'data [u8]>,
) -> Result<(), Fault> {
    let broken = |reason: &str| Fault::BrokenManifest {
        reason: reason.to_owned(),
    };
    let size = size_of::<ManifestHeader>() as u64;
    let header = data(0, size).ok_or_else(|| broken("it has no bytes in the file"))?;
    let header =
        Header::read(header).ok_or_else(|| broken("it does not begin as a manifest does"))?;
    inspection.abi = Some(header.abi);
    if header.abi.major != ABI_MAJOR {
        // What follows has the form of the other version.
        return Err(Fault::OtherMajor {
            expected: ABI_MAJOR,
            found: header.abi.major,
        });
    }
    if header.abi.fingerprint != FINGERPRINT && cfg!(target_pointer_width = "64") {
        inspection.faults.push(Fault::OtherFingerprint {
            expected: format!("{FINGERPRINT:#018x}"),
            found: format!("{:#018x}", header.abi.fingerprint),
        });
    }
    if header.size < size || header.json > LARGEST {
        return Err(broken("its lengths make no sense"));
    }
    let json = data(header.size, header.json).ok_or_else(|| broken("it is cut off"))?;
    let manifest: Manifest =
        serde_json::from_slice(json).map_err(|error| broken(&error.to_string()))?;
    if let Some(reason) = contradiction(&manifest) {
        return Err(broken(&reason));
    }
    inspection.manifest = Some(manifest);
    Ok(())
}

fn contradiction(manifest: &Manifest) -> Option<String> {
    if manifest.backends.is_empty() {
        return Some("it lists no backend".to_owned());
    }
    for (place, backend) in manifest.backends.iter().enumerate() {
        if backend.name.is_empty() || backend.class.is_empty() {
            return Some("it lists a backend without a name or a class".to_owned());
        }
        for other in &manifest.backends[..place] {
            if other.name == backend.name {
                return Some(format!(
                    "it lists two backends of the name `{}`",
                    backend.name
                ));
            }
            if other.class == backend.class {
                return Some(format!(
                    "it lists two backends of the class `{}`",
                    backend.class
                ));
            }
        }
    }
    None
}

/// The fixed part, taken apart without trusting its alignment in the file.
struct Header {
    abi: AbiVersion,
    size: u64,
    json: u64,
}

impl Header {
    /// The fields lie as in [`ManifestHeader`]: magic, header size, major, minor, JSON's length, fingerprint.
    fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MANIFEST_MAGIC)?;
        let number =
            |place: usize| Some(u32::from_ne_bytes(*rest.get(place * 4..)?.first_chunk()?));
        Some(Self {
            size: number(0)?.into(),
            abi: AbiVersion {
                major: number(1)?,
                minor: number(2)?,
                fingerprint: u64::from_ne_bytes(*rest.get(16..)?.first_chunk()?),
            },
            json: number(3)?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn faults(bytes: &[u8]) -> Inspection {
        let mut inspection = Inspection::default();
        let data = |offset, size| {
            let start = usize::try_from(offset).ok()?;
            bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
        };
        if let Err(fault) = inspect(&mut inspection, data) {
            inspection.faults.push(fault);
        }
        inspection
    }

    fn manifest(json: &str) -> Vec<u8> {
        let mut bytes = MANIFEST_MAGIC.to_vec();
        for number in [32, ABI_MAJOR, 7, u32::try_from(json.len()).unwrap()] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(FINGERPRINT.to_ne_bytes());
        bytes.extend(json.as_bytes());
        bytes
    }

    #[test]
    fn a_manifest_is_read_and_another_minor_is_welcome() {
        let json = r#"{"language":"c","backends":[{"name":"a","class":"A"}],"later":1}"#;
        let inspection = faults(&manifest(json));
        assert_eq!(inspection.faults, []);
        assert_eq!(inspection.manifest.unwrap().backends[0].class, "A");
        assert_eq!(inspection.abi.unwrap().minor, 7);
    }

    #[test]
    fn names_and_classes_are_unique() {
        let json =
            r#"{"language":"c","backends":[{"name":"a","class":"A"},{"name":"a","class":"B"}]}"#;
        let said = faults(&manifest(json)).faults[0].found().unwrap();
        assert_eq!(said, "it lists two backends of the name `a`");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            tail in proptest::collection::vec(any::<u8>(), 0..64),
            cut in 0usize..80,
        ) {
            let mut bytes = manifest("{}");
            bytes.truncate(cut);
            bytes.extend(tail);
            faults(&bytes);
        }
    }
}
