//! Weights in a safetensors file: eight bytes of length, a JSON header, then the numbers.
//!
//! Tensors are read one by one, so that no second copy of the file is ever in memory; the tables of
//! embeddings, most of a multilingual model, stay on disk and are read row by row.

use std::{collections::HashMap, fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use half::{bf16, f16};
use serde::Deserialize;

use crate::ModelError;

const FILE: &str = "model.safetensors";
/// The format's own limit of its header.
const MAX_HEADER: u64 = 100_000_000;

/// An open file of weights.
pub(crate) struct Tensors {
    file: Arc<File>,
    found: HashMap<String, Tensor>,
    data: u64,
    /// What stands before all names, as in `bert.encoder…`.
    prefix: &'static str,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

#[derive(Clone, Copy, Debug)]
enum Number {
    F32,
    F16,
    Bf16,
}

/// A table on disk, a row of which is read when it is needed.
pub(crate) struct Table {
    file: Arc<File>,
    offset: u64,
    number: Number,
    rows: usize,
    width: usize,
}

impl Tensors {
    pub(crate) fn open(folder: &Path) -> Result<Self, ModelError> {
        let open = || -> io::Result<(File, Vec<u8>)> {
            let file = File::open(folder.join(FILE))?;
            let mut length = [0; 8];
            file.read_exact_at(&mut length, 0)?;
            let length = u64::from_le_bytes(length);
            if length > MAX_HEADER || length > file.metadata()?.len() {
                return Err(io::Error::other("this is no safetensors file"));
            }
            let mut header = vec![0; usize::try_from(length).unwrap_or_default()];
            file.read_exact_at(&mut header, 8)?;
            Ok((file, header))
        };
        let (file, header) = open().map_err(failed)?;
        let entries: HashMap<String, serde_json::Value> = serde_json::from_slice(&header)
            .map_err(|error| ModelError::content(FILE, format_args!("its header: {error}")))?;
        let tensors = entries
            .into_iter()
            .filter(|(name, _)| name != "__metadata__")
            .map(|(name, entry)| Ok((name, serde_json::from_value(entry)?)))
            .collect::<Result<HashMap<_, Tensor>, serde_json::Error>>()
            .map_err(|error| ModelError::content(FILE, format_args!("its header: {error}")))?;
        let prefix = ["", "bert.", "roberta."].into_iter().find(|prefix| {
            tensors.contains_key(&format!("{prefix}embeddings.word_embeddings.weight"))
        });
        Ok(Self {
            file: Arc::new(file),
            found: tensors,
            data: 8 + header.len() as u64,
            prefix: prefix.ok_or_else(|| {
                ModelError::content(FILE, "these are not the weights of a BERT model")
            })?,
        })
    }

    /// All numbers of a tensor, which must have this shape.
    pub(crate) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let (offset, number, length) = self.find(name, shape)?;
        read(&self.file, offset, number, length).map_err(failed)
    }

    /// A table of rows of this width.
    pub(crate) fn table(&self, name: &str, width: usize) -> Result<Table, ModelError> {
        let rows = self.found.get(&format!("{}{name}", self.prefix));
        let rows = rows
            .and_then(|tensor| tensor.shape.first().copied())
            .unwrap_or_default();
        let (offset, number, _) = self.find(name, &[rows, width])?;
        Ok(Table {
            file: Arc::clone(&self.file),
            offset,
            number,
            rows,
            width,
        })
    }

    fn find(&self, name: &str, shape: &[usize]) -> Result<(u64, Number, usize), ModelError> {
        let name = format!("{}{name}", self.prefix);
        let wrong = |reason: String| ModelError::content(FILE, format!("{name}: {reason}"));
        let tensor = self.found.get(&name);
        let tensor = tensor.ok_or_else(|| wrong("is not there".to_owned()))?;
        if tensor.shape != shape {
            return Err(wrong(format!(
                "expected the shape {shape:?} of config.json, found {:?}",
                tensor.shape
            )));
        }
        let number = match tensor.dtype.as_str() {
            "F32" => Number::F32,
            "F16" => Number::F16,
            "BF16" => Number::Bf16,
            other => return Err(wrong(format!("expected F32, F16 or BF16, found {other}"))),
        };
        let length = shape.iter().product::<usize>();
        let [from, to] = tensor.data_offsets;
        if to.checked_sub(from) != Some((length * number.bytes()) as u64) {
            return Err(wrong("its length does not fit its shape".to_owned()));
        }
        Ok((self.data + from, number, length))
    }
}

impl Table {
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row to `to`. A row that is not there, which no tokeniser of the model names, is the last.
    pub(crate) fn add(&self, row: usize, to: &mut [f32]) -> io::Result<()> {
        let bytes = self.width * self.number.bytes();
        let row = row.min(self.rows.saturating_sub(1));
        let offset = self.offset + (row * bytes) as u64;
        let numbers = read(&self.file, offset, self.number, self.width)?;
        for (to, number) in to.iter_mut().zip(numbers) {
            *to += number;
        }
        Ok(())
    }
}

impl Number {
    const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

fn read(file: &File, offset: u64, number: Number, length: usize) -> io::Result<Vec<f32>> {
    let mut bytes = vec![0; length * number.bytes()];
    file.read_exact_at(&mut bytes, offset)?;
    let pairs = || bytes.as_chunks::<2>().0.iter();
    Ok(match number {
        Number::F32 => {
            let fours = bytes.as_chunks::<4>().0.iter();
            fours.map(|bytes| f32::from_le_bytes(*bytes)).collect()
        }
        Number::F16 => pairs()
            .map(|bytes| f16::from_le_bytes(*bytes).to_f32())
            .collect(),
        Number::Bf16 => pairs()
            .map(|bytes| bf16::from_le_bytes(*bytes).to_f32())
            .collect(),
    })
}

fn failed(source: io::Error) -> ModelError {
    ModelError::File {
        file: FILE.to_owned(),
        source,
    }
}
