//! Memory that crosses the boundary: borrowed slices, and buffers that carry their own `free`.
#![allow(
    unsafe_code,
    reason = "raw memory of the other side is read and freed here, and only here"
)]

use std::{ptr, slice, str};

use abi_stable::StableAbi;

use super::Blob;

/// Borrowed bytes, valid until the function that received them returns.
///
/// A null `ptr` with `len` 0 is the empty slice.
#[repr(C)]
#[derive(Clone, Copy, Debug, StableAbi)]
pub struct Slice {
    /// The first byte, or null when `len` is 0.
    pub ptr: *const u8,
    /// How many bytes there are.
    pub len: usize,
}

impl Slice {
    /// The slice of nothing.
    pub const EMPTY: Self = Self {
        ptr: ptr::null(),
        len: 0,
    };

    /// Borrows `bytes` for the length of one call across the boundary.
    #[must_use]
    pub const fn new(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes; none where the length is one that no memory has.
    ///
    /// # Safety
    ///
    /// `ptr` and `len` must describe readable memory that nothing changes for as long as `'a`,
    /// which is at most until the function that received the slice returns.
    #[must_use]
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() || !is_length::<u8>(self.len) {
            return &[];
        }
        // SAFETY: not null, of a length that a slice may have, and the caller vouches for the rest.
        unsafe { slice::from_raw_parts(self.ptr, self.len) }
    }

    /// The bytes as text: the one place where UTF-8 from the other side is checked.
    ///
    /// # Safety
    ///
    /// As for [`Slice::bytes`].
    ///
    /// # Errors
    ///
    /// When the bytes are not UTF-8.
    pub unsafe fn text<'a>(self) -> Result<&'a str, str::Utf8Error> {
        // SAFETY: the same promise, handed on.
        str::from_utf8(unsafe { self.bytes() })
    }
}

/// Owned bytes, freed by the side that allocated them.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Buffer {
    /// The first byte, or null when `len` is 0.
    ptr: *mut u8,
    /// How many bytes there are.
    len: usize,
    /// For `free`; nobody else looks at it.
    capacity: usize,
    /// Frees the bytes: called once, from any thread. Null for bytes that stay for ever.
    free: Option<unsafe extern "C" fn(ptr: *mut u8, len: usize, capacity: usize)>,
}

// SAFETY: a buffer is plain bytes with one owner, and `free` may be called from any thread: the
// contract of the ABI asks it of every plugin, and the global allocators of Rust and C keep it.
unsafe impl Send for Buffer {}
// SAFETY: through a shared reference a buffer can only be read.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// The buffer of nothing; there is nothing to free.
    pub const EMPTY: Self = Self {
        ptr: ptr::null_mut(),
        len: 0,
        capacity: 0,
        free: None,
    };

    /// The bytes; none where the length is one that no memory has.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        if self.ptr.is_null() || !is_length::<u8>(self.len) {
            return &[];
        }
        // SAFETY: whoever made the buffer gave `len` readable bytes at `ptr`, and they stay until
        // `free` is called, which only `drop` does.
        unsafe { slice::from_raw_parts(self.ptr, self.len) }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Whether its length is one that memory can have.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        is_length::<u8>(self.len)
    }

    /// The bytes as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes())
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.capacity() == 0 {
            return Self::EMPTY;
        }
        let mut bytes = std::mem::ManuallyDrop::new(bytes);
        Self {
            ptr: bytes.as_mut_ptr(),
            len: bytes.len(),
            capacity: bytes.capacity(),
            free: Some(free_vec::<u8>),
        }
    }
}

impl From<String> for Buffer {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(free) = self.free.take() {
            // SAFETY: the three values came together from the side that owns `free`, and `take`
            // makes this the only call.
            unsafe { free(self.ptr, self.len, self.capacity) }
        }
    }
}

/// Owned array of [`Blob`]s, freed by the side that allocated it, the blobs' own buffers included.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct BlobList {
    /// The first blob, or null when `len` is 0.
    ptr: *mut Blob,
    /// How many blobs there are.
    len: usize,
    /// For `free`; nobody else looks at it.
    capacity: usize,
    /// Frees the array and the blobs' own buffers: called once, from any thread. Null for blobs
    /// that stay for ever.
    free: Option<unsafe extern "C" fn(ptr: *mut Blob, len: usize, capacity: usize)>,
}

// SAFETY: as for `Buffer`; a blob is three buffers.
unsafe impl Send for BlobList {}
// SAFETY: through a shared reference a list can only be read.
unsafe impl Sync for BlobList {}

impl BlobList {
    /// No blobs.
    pub const EMPTY: Self = Self {
        ptr: ptr::null_mut(),
        len: 0,
        capacity: 0,
        free: None,
    };

    /// The blobs; none where there are more than memory can have.
    #[must_use]
    pub fn blobs(&self) -> &[Blob] {
        if self.ptr.is_null() || self.len == 0 || !is_length::<Blob>(self.len) {
            return &[];
        }
        // SAFETY: whoever made the list gave `len` blobs at `ptr` that stay until `free` is called.
        unsafe { slice::from_raw_parts(self.ptr, self.len) }
    }

    /// Whether its length and those of its blobs are such that memory can have.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let sound = |blob: &Blob| {
            blob.key.is_sound() && blob.media_type.is_sound() && blob.bytes.is_sound()
        };
        is_length::<Blob>(self.len) && self.blobs().iter().all(sound)
    }
}

impl From<Vec<Blob>> for BlobList {
    fn from(blobs: Vec<Blob>) -> Self {
        if blobs.is_empty() {
            return Self::EMPTY;
        }
        let mut blobs = std::mem::ManuallyDrop::new(blobs);
        Self {
            ptr: blobs.as_mut_ptr(),
            len: blobs.len(),
            capacity: blobs.capacity(),
            free: Some(free_vec::<Blob>),
        }
    }
}

impl Default for BlobList {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Drop for BlobList {
    fn drop(&mut self) {
        if let Some(free) = self.free.take() {
            // SAFETY: as for `Buffer`.
            unsafe { free(self.ptr, self.len, self.capacity) }
        }
    }
}

/// Whether a slice of `T` may have this length: Rust allows none that is larger than half of all memory.
const fn is_length<T>(len: usize) -> bool {
    len <= isize::MAX.cast_unsigned() / size_of::<T>()
}

/// Gives the memory of a `Vec` back to the allocator of the library that this code is compiled into.
unsafe extern "C" fn free_vec<T>(ptr: *mut T, len: usize, capacity: usize) {
    // SAFETY: only stored beside the parts of a leaked `Vec<T>` of this library, and called once.
    drop(unsafe { Vec::from_raw_parts(ptr, len, capacity) });
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// The fingerprint, which cannot change any more, knows no more of them than their sizes.
    #[test]
    fn what_frees_itself_keeps_its_layout() {
        macro_rules! offsets {
            ($owned:ident) => {
                [
                    offset_of!($owned, ptr),
                    offset_of!($owned, len),
                    offset_of!($owned, capacity),
                    offset_of!($owned, free),
                ]
            };
        }
        assert_eq!(offsets!(Buffer), [0, 8, 16, 24]);
        assert_eq!(offsets!(BlobList), [0, 8, 16, 24]);
    }

    #[test]
    fn null_with_zero_length_is_empty() {
        // SAFETY: an empty slice describes no memory.
        assert!(unsafe { Slice::EMPTY.bytes() }.is_empty());
        // SAFETY: as above.
        assert!(unsafe { Slice::new(&[]).bytes() }.is_empty());
        assert!(Buffer::EMPTY.bytes().is_empty());
        assert!(BlobList::EMPTY.blobs().is_empty());
    }

    #[test]
    fn a_length_that_no_memory_has_is_read_as_nothing() {
        let byte = [7u8];
        let slice = Slice {
            ptr: byte.as_ptr(),
            len: usize::MAX,
        };
        // SAFETY: a slice of this length is not read.
        assert!(unsafe { slice.bytes() }.is_empty());
        let buffer = |len| Buffer {
            ptr: byte.as_ptr().cast_mut(),
            len,
            capacity: 0,
            free: None,
        };
        assert!(buffer(usize::MAX).bytes().is_empty() && buffer(usize::MAX).is_empty());
        assert!(!buffer(usize::MAX).is_sound() && buffer(1).is_sound());
        let blob = Blob {
            bytes: buffer(usize::MAX),
            ..Blob::default()
        };
        assert!(!BlobList::from(vec![blob]).is_sound());
        let list = BlobList {
            ptr: ptr::dangling_mut(),
            len: usize::MAX / size_of::<Blob>(),
            capacity: 0,
            free: None,
        };
        assert!(list.blobs().is_empty() && !list.is_sound());
    }

    #[test]
    fn buffers_keep_their_bytes_and_free_spare_capacity() {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice("é世".as_bytes());
        let buffer = Buffer::from(bytes);
        assert_eq!(buffer.text(), "é世");
        drop(Buffer::from(Vec::with_capacity(8)));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        let bytes = [0xff, 0xfe];
        // SAFETY: `bytes` outlives the slice.
        assert!(unsafe { Slice::new(&bytes).text() }.is_err());
    }
}
