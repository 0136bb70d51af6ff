//! A model: loaded once, then asked for vectors.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    ModelError,
    folder::{Folder, Pooling},
    math::normalize,
    tensors::Tensors,
    tokens::{Cutter, Kind, Tokens},
    transformer::Transformer,
};

/// More tokens in one run need more memory and save no time.
pub(crate) const TOKENS_PER_RUN: usize = 1024;

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// On all cores.
    Cpu,
    /// On the graphics card of this number, in a build with the feature `gpu`.
    Gpu(usize),
    /// On a driver that computes as a graphics card would, to try the way of one without having it; slower than
    /// `Cpu`. In a build with the feature `gpu`.
    Software,
}

/// Which model it is: vectors of different models cannot be compared.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The folder's name.
    pub name: String,
    /// How many numbers its vectors have.
    pub dimensions: usize,
    /// A hash of what the folder holds.
    pub fingerprint: String,
}

/// A loaded model.
pub struct Model {
    identity: Identity,
    cutter: Cutter,
    pooling: Pooling,
    most: usize,
    network: Transformer,
}

impl Model {
    /// Loads the model in a folder as sentence-transformers lays it out.
    pub fn load(folder: &Path, device: Device) -> Result<Self, ModelError> {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        let name = name.to_string_lossy().into_owned();
        let found = Folder::read(folder)?;
        Ok(Self {
            identity: Identity {
                name,
                dimensions: found.shape.width,
                fingerprint: fingerprint(&found)?,
            },
            cutter: Cutter::load(&found)?,
            pooling: found.pooling,
            most: found.shape.tokens,
            network: Transformer::load(&Tensors::open(&found.network)?, &found.shape, device)?,
        })
    }

    /// Which model it is.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The most tokens of a text that it looks at.
    pub const fn most_tokens(&self) -> usize {
        self.most
    }

    /// Cuts a text into tokens.
    pub fn tokens(&self, kind: Kind, text: &str) -> Tokens {
        self.cutter.tokens(kind, text)
    }

    /// Where each token of a text begins and ends, in bytes.
    pub fn offsets(&self, text: &str) -> Vec<(usize, usize)> {
        self.cutter.offsets(text)
    }

    /// The vectors of texts, of length 1, in their order.
    pub fn embed(&self, texts: &[Tokens]) -> io::Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(texts.len());
        let mut rest = texts;
        while !rest.is_empty() {
            let (run, later) = rest.split_at(length_of_run(rest));
            self.run(run, &mut vectors)?;
            rest = later;
        }
        Ok(vectors)
    }

    fn run(&self, texts: &[Tokens], vectors: &mut Vec<Vec<f32>>) -> io::Result<()> {
        let ids: Vec<&[u32]> = texts.iter().map(|text| text.ids.as_slice()).collect();
        let rows = self.network.run(&ids)?;
        let width = self.identity.dimensions;
        let mut first = 0;
        for text in texts {
            let rows = &rows[first * width..(first + text.len()) * width];
            vectors.push(self.pool(rows));
            first += text.len();
        }
        Ok(())
    }

    fn pool(&self, rows: &[f32]) -> Vec<f32> {
        let width = self.identity.dimensions;
        let mut rows = rows.chunks_exact(width);
        let mut vector = rows
            .next()
            .map_or_else(|| vec![0.0; width], <[f32]>::to_vec);
        for row in rows {
            for (value, other) in vector.iter_mut().zip(row) {
                match self.pooling {
                    // Only the direction counts, so a sum is as good as a mean.
                    Pooling::Mean => *value += other,
                    Pooling::Max => *value = value.max(*other),
                    Pooling::First => {}
                }
            }
        }
        normalize(&mut vector);
        vector
    }
}

/// How many of the first texts are run together: at least one.
fn length_of_run(texts: &[Tokens]) -> usize {
    let mut tokens = 0;
    let within = texts.iter().take_while(|text| {
        tokens += text.len();
        tokens <= TOKENS_PER_RUN
    });
    within.count().max(1)
}

/// A hash of what the folder says of the network, and of samples of the weights: whoever trains a
/// model further changes them all, and reading gigabytes at every start would take seconds.
fn fingerprint(folder: &Folder) -> Result<String, ModelError> {
    const SAMPLES: u64 = 64;
    const SAMPLE: u64 = 4096;
    let mut hash = Sha256::new();
    hash.update(format!("{:?} {:?} ", folder.shape, folder.pooling));
    hash.update(format!(
        "{:?} {:?} ",
        folder.query_prompt, folder.passage_prompt
    ));
    for name in ["tokenizer.json", "model.safetensors"] {
        let mut sample = || -> io::Result<()> {
            let mut file = File::open(folder.network.join(name))?;
            let length = file.metadata()?.len();
            hash.update(length.to_le_bytes());
            let mut buffer = Vec::new();
            for number in 0..SAMPLES {
                file.seek(SeekFrom::Start(length / SAMPLES * number))?;
                buffer.clear();
                file.by_ref().take(SAMPLE).read_to_end(&mut buffer)?;
                hash.update(&buffer);
            }
            Ok(())
        };
        sample().map_err(|source| ModelError::File {
            file: name.to_owned(),
            source,
        })?;
    }
    let mut number = [0; 8];
    number.copy_from_slice(&hash.finalize()[..8]);
    Ok(format!("{:016x}", u64::from_be_bytes(number)))
}
