//! The secret that a client of the display shows: made anew for each desktop, in the form of an authority file.

use std::io;

/// The name of the scheme.
pub(super) const SCHEME: &str = "MIT-MAGIC-COOKIE-1";
/// The family that matches every address: the file is for one display only.
const ANY_ADDRESS: u16 = 0xffff;

/// A secret.
pub(super) struct Cookie([u8; 16]);

impl Cookie {
    /// A new one.
    pub(super) fn new() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The contents of an authority file with this cookie alone: family, address, display number (none is any),
    /// scheme and secret, the last four with their lengths before them (`Xau.h`).
    pub(super) fn authority_file(&self) -> Vec<u8> {
        let mut file = ANY_ADDRESS.to_be_bytes().to_vec();
        for field in [&[][..], &[], SCHEME.as_bytes(), &self.0] {
            // Every one of them is shorter than 20 bytes.
            file.extend([0, u8::try_from(field.len()).unwrap_or_default()]);
            file.extend(field);
        }
        file
    }
}
