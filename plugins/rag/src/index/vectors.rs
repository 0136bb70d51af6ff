//! The vectors of a segment in the form that is compared with a question's: small numbers to find
//! the nearest few hundred among all, and exact ones to order those.
//!
//! What counts are the vectors that the engine keeps with the passages, which are written, merged and
//! removed with them by the engine's one atomic commit. Files here are made from those, once for each
//! segment, which never changes; a file that is missing or not whole is made again. So there is
//! nothing that two files could disagree on, whatever happens.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use half::f16;
use sandbox_embedding::{Int8, dot_products};
use tantivy::{
    DocId, SegmentReader, TantivyDocument, TantivyError,
    directory::{Directory as _, MmapDirectory, OwnedBytes},
};

use super::{IndexError, best::Best, fields::Fields};

/// Changes with the layout of a file.
const MAGIC: &[u8; 8] = b"vectors1";
/// Up to so many passages a file costs more than reading the vectors again at the next start.
const FEW: u32 = 256;

/// The folder of the files.
pub(crate) struct VectorFiles {
    folder: PathBuf,
    /// Maps files into memory.
    mapped: MmapDirectory,
    fields: Fields,
    dimensions: usize,
}

/// The vectors of one segment; row `n` is that of its passage `n`.
///
/// After the magic stand a scale for each row, rows of 8-bit numbers, and rows of 16-bit ones. A row
/// without a vector has the scale 0.
pub(crate) struct Vectors {
    bytes: OwnedBytes,
    rows: usize,
    dimensions: usize,
}

impl VectorFiles {
    pub(crate) fn open(
        index: &Path,
        fields: Fields,
        dimensions: usize,
    ) -> Result<Self, IndexError> {
        let folder = index.join("vectors");
        fs::create_dir_all(&folder)?;
        Ok(Self {
            mapped: MmapDirectory::open(&folder).map_err(TantivyError::from)?,
            folder,
            fields,
            dimensions,
        })
    }

    /// The vectors of a segment.
    pub(crate) fn of(&self, segment: &SegmentReader) -> Result<Arc<Vectors>, IndexError> {
        if segment.max_doc() <= FEW {
            let bytes = OwnedBytes::new(self.make(segment)?);
            return Ok(Arc::new(
                self.read(segment, bytes).ok_or(IndexError::Damaged)?,
            ));
        }
        let name = name_of(segment);
        if let Some(vectors) = self.map(segment, &name) {
            return Ok(Arc::new(vectors));
        }
        let temporary = self.folder.join(format!("{name}.new"));
        let mut file = File::create(&temporary)?;
        file.write_all(&self.make(segment)?)?;
        // Under its own name a file is whole, also after the machine lost its power.
        file.sync_all()?;
        fs::rename(&temporary, self.folder.join(&name))?;
        let vectors = self.map(segment, &name).ok_or(IndexError::Damaged)?;
        Ok(Arc::new(vectors))
    }

    /// Removes the files of segments that are no more.
    pub(crate) fn keep_only<'a>(&self, segments: impl Iterator<Item = &'a SegmentReader>) {
        let names: Vec<String> = segments.map(name_of).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let ours = Path::new(&name)
                .extension()
                .is_some_and(|end| end == "vec" || end == "new");
            if ours && !names.iter().any(|kept| name == kept.as_str()) {
                // What cannot be removed now is removed another time.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// How large the files are together.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        let entries = fs::read_dir(&self.folder)?;
        let lengths = entries.map(|entry| Ok(entry?.metadata().map_or(0, |entry| entry.len())));
        lengths.sum()
    }

    fn map(&self, segment: &SegmentReader, name: &str) -> Option<Vectors> {
        let file = self.mapped.open_read(Path::new(name)).ok()?;
        self.read(segment, file.read_bytes().ok()?)
    }

    fn read(&self, segment: &SegmentReader, bytes: OwnedBytes) -> Option<Vectors> {
        let rows = segment.max_doc() as usize;
        let length = MAGIC.len() + rows * (4 + self.dimensions * 3);
        let whole = bytes.len() == length && bytes.starts_with(MAGIC);
        whole.then_some(Vectors {
            bytes,
            rows,
            dimensions: self.dimensions,
        })
    }

    /// A file's contents, from the vectors that are kept with the passages.
    fn make(&self, segment: &SegmentReader) -> Result<Vec<u8>, IndexError> {
        let rows = segment.max_doc() as usize;
        let scales = MAGIC.len();
        let small = scales + rows * 4;
        let exact = small + rows * self.dimensions;
        let mut bytes = vec![0; exact + rows * self.dimensions * 2];
        bytes[..scales].copy_from_slice(MAGIC);
        let store = segment.get_store_reader(0)?;
        for (row, passage) in store.iter::<TantivyDocument>(None).enumerate() {
            let passage = passage?;
            // A vector of another length is of another model, and will be replaced.
            let vector = self.fields.vector(&passage);
            let Some(vector) = vector.filter(|vector| vector.len() == self.dimensions * 2) else {
                continue;
            };
            let nearest = Int8::nearest(&from_halves(vector));
            bytes[scales + row * 4..][..4].copy_from_slice(&nearest.scale.to_le_bytes());
            let values = nearest.values.iter().map(|value| value.cast_unsigned());
            let to = &mut bytes[small + row * self.dimensions..][..self.dimensions];
            for (to, value) in to.iter_mut().zip(values) {
                *to = value;
            }
            bytes[exact + row * vector.len()..][..vector.len()].copy_from_slice(vector);
        }
        Ok(bytes)
    }
}

impl Vectors {
    /// How many rows there are.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Offers the rows' passages to `best`, by a score that is nearly the exact one; only those that
    /// `is_alive` says still exist.
    pub(crate) fn offer(
        &self,
        query: &Int8,
        rows: impl Iterator<Item = DocId>,
        is_alive: impl Fn(DocId) -> bool,
        best: &mut Best<DocId>,
    ) {
        let scales = &self.bytes[MAGIC.len()..][..self.rows * 4]
            .as_chunks::<4>()
            .0;
        let small = &self.bytes[MAGIC.len() + self.rows * 4..][..self.rows * self.dimensions];
        let rows = rows.map(|row| {
            let values = &small[row as usize * self.dimensions..][..self.dimensions];
            (row, values)
        });
        dot_products(query, rows, |row, product| {
            #[expect(clippy::cast_precision_loss, reason = "the score is an estimate")]
            let score = product as f32 * f32::from_le_bytes(scales[row as usize]);
            let has_vector = scales[row as usize] != [0; 4];
            if score > best.least() && has_vector && is_alive(row) {
                best.offer(score, row);
            }
        });
    }

    /// How near a passage is to a question, exactly.
    pub(crate) fn score(&self, row: DocId, query: &[f32]) -> f32 {
        let exact = MAGIC.len() + self.rows * (4 + self.dimensions);
        let bytes = &self.bytes[exact + row as usize * self.dimensions * 2..];
        let vector = from_halves(&bytes[..self.dimensions * 2]);
        vector.iter().zip(query).map(|(a, b)| a * b).sum()
    }

    /// A passage's vector as it is kept; none if it has none.
    pub(crate) fn kept(&self, row: DocId) -> Option<&[u8]> {
        let exact = MAGIC.len() + self.rows * (4 + self.dimensions);
        let scale = &self.bytes[MAGIC.len() + row as usize * 4..][..4];
        let vector = &self.bytes[exact + row as usize * self.dimensions * 2..];
        (scale != [0; 4]).then(|| &vector[..self.dimensions * 2])
    }
}

fn name_of(segment: &SegmentReader) -> String {
    format!("{}.vec", segment.segment_id().uuid_string())
}

/// A vector as it is kept: half the size, and as good as the whole for comparing.
pub(crate) fn to_halves(vector: &[f32]) -> Vec<u8> {
    let halves = vector.iter().map(|value| f16::from_f32(*value));
    halves.flat_map(f16::to_le_bytes).collect()
}

fn from_halves(bytes: &[u8]) -> Vec<f32> {
    let halves = bytes.as_chunks::<2>().0.iter();
    halves
        .map(|bytes| f16::from_le_bytes(*bytes).to_f32())
        .collect()
}
