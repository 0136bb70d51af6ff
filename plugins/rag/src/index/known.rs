//! Vectors that are there already: in the index, and of a build that was interrupted.
//!
//! Embedding a large corpus takes minutes to hours. So a corpus that has changed in one line is
//! not embedded as a whole, and a build that was killed goes on where it was.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use sandbox_embedding::Identity;
use tantivy::DocId;

use super::{IndexError, embed::Known, fields::VECTOR_KEY, store::View, vectors::Vectors};

/// The vectors of the index and of an unfinished build.
pub(crate) struct Earlier {
    in_index: HashMap<u64, (Arc<Vectors>, DocId)>,
    unfinished: Unfinished,
    reused: u64,
}

/// A file of vectors that no commit holds yet: a key and a vector, one after the other. It is not
/// synced, because it can be lost, and a torn end is passed over.
struct Unfinished {
    path: PathBuf,
    file: BufWriter<File>,
    /// Where the vectors of an earlier attempt are.
    places: HashMap<u64, u64>,
    bytes: usize,
}

impl Earlier {
    /// Looks what there is. `index` is the index's folder; `same` says whether its vectors are those
    /// of the model.
    pub(crate) fn find(
        view: &View,
        index: &Path,
        model: &Identity,
        same: bool,
    ) -> Result<Self, IndexError> {
        let mut in_index = HashMap::new();
        let vectors = if same { view.vectors.as_slice() } else { &[] };
        for (segment, vectors) in view.searcher.segment_readers().iter().zip(vectors) {
            let keys = segment.fast_fields().u64(VECTOR_KEY)?;
            for row in 0..segment.max_doc() {
                if let Some(key) = keys.first(row) {
                    in_index.insert(key, (Arc::clone(vectors), row));
                }
            }
        }
        Ok(Self {
            in_index,
            unfinished: Unfinished::open(index, model)?,
            reused: 0,
        })
    }

    /// The vectors are in the index.
    pub(crate) fn committed(self) {
        // A file that stays is only in the way of nothing.
        let _ = fs::remove_file(&self.unfinished.path);
    }
}

impl Known for Earlier {
    fn reused(&self) -> u64 {
        self.reused
    }

    fn vector(&mut self, key: u64) -> Option<Vec<u8>> {
        let in_index = self.in_index.get(&key);
        let in_index = in_index.and_then(|(vectors, row)| vectors.kept(*row));
        let vector = in_index
            .map(<[u8]>::to_vec)
            .or_else(|| self.unfinished.vector(key));
        self.reused += u64::from(vector.is_some());
        vector
    }

    fn made(&mut self, key: u64, vector: &[u8]) -> Result<(), IndexError> {
        self.unfinished.file.write_all(&key.to_le_bytes())?;
        self.unfinished.file.write_all(vector)?;
        Ok(())
    }
}

impl Unfinished {
    fn open(index: &Path, model: &Identity) -> io::Result<Self> {
        let path = index.join("vectors").join("unfinished");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .append(true)
            .open(&path)?;
        let length = model.fingerprint.len() as u64;
        let bytes = model.dimensions * 2;
        let record = 8 + bytes as u64;
        let mut reader = BufReader::new(&file);
        let mut fingerprint = Vec::new();
        reader.by_ref().take(length).read_to_end(&mut fingerprint)?;
        let mut places = HashMap::new();
        let mut end = length;
        if fingerprint == model.fingerprint.as_bytes() {
            let mut read = vec![0; 8 + bytes];
            while reader.read_exact(&mut read).is_ok() {
                if let Some((key, _)) = read.split_first_chunk() {
                    places.insert(u64::from_le_bytes(*key), end + 8);
                }
                end += record;
            }
            file.set_len(end)?;
        } else {
            file.set_len(0)?;
            file.write_all(model.fingerprint.as_bytes())?;
        }
        Ok(Self {
            path,
            file: BufWriter::new(file),
            places,
            bytes,
        })
    }

    fn vector(&self, key: u64) -> Option<Vec<u8>> {
        let mut vector = vec![0; self.bytes];
        let file = self.file.get_ref();
        file.read_exact_at(&mut vector, *self.places.get(&key)?)
            .ok()?;
        Some(vector)
    }
}
