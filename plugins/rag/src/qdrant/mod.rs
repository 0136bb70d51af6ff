//! The library on a Qdrant server: for corpora beyond one machine, and servers that share one.
//!
//! Passages are points with up to two vectors: `meaning`, the model's, and `words`, a sparse one of the
//! same terms that the index on disk has, so that both are searched alike in every language. The
//! server is asked by [`collection`], over its own client; [`points`] says what a passage looks like
//! there, [`filters`] how some are chosen, [`corpus`] reads a corpus into it.

mod collection;
mod corpus;
mod fault;
mod filters;
mod points;

use std::{collections::HashMap, time::Duration};

use qdrant_client::qdrant::{Condition, FieldType, Filter as Conditions, PointStruct, Query};
use sandbox_embedding::{Identity, Kind};
use tokio::task;
use tokio_util::sync::CancellationToken;

use self::{
    collection::{Collection, Found},
    filters::{first, is, of_documents, older},
    points::{Cut, MEANING, Origin, WORDS, passage, query_of_words},
};
use crate::{
    cutting::{Cutting, embedded_text},
    document::Document,
    index::{
        Changed, Counts, Filter, Hit, IndexError, Passage, Place, Progress, Question, fuse, hash,
    },
    library::{Answer, Library},
};

/// How many passages are embedded and sent in one request: a few hundred kilobytes.
const TOGETHER: usize = 64;

/// Where the cluster is.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) url: String,
    pub(crate) collection: String,
    pub(crate) api_key: Option<String>,
    pub(crate) timeout: Duration,
}

/// A collection that is there and fits the model.
pub(crate) struct Qdrant {
    collection: Collection,
    cutting: Cutting,
}

impl Qdrant {
    /// Connects, makes the collection if there is none, and brings the corpus into it if that changed.
    pub(crate) async fn open(
        cluster: &Cluster,
        place: &Place,
        cutting: Cutting,
        cancelled: &CancellationToken,
        progress: impl FnMut(Progress) + Send,
    ) -> Result<Self, IndexError> {
        let qdrant = Self {
            collection: Collection::new(cluster)?,
            cutting,
        };
        let model = qdrant.cutting.model.as_ref().map(|model| model.identity());
        qdrant.prepare_collection(model).await?;
        corpus::refresh(&qdrant, place, cancelled, progress).await?;
        Ok(qdrant)
    }

    async fn prepare_collection(&self, model: Option<&Identity>) -> Result<(), IndexError> {
        let wanted = model.map(|model| model.dimensions as u64);
        if let Some(Found { dimensions }) = self.collection.find().await? {
            return match wanted {
                Some(wanted) if dimensions != Some(wanted) => {
                    let made_for = dimensions.map_or("no vectors".to_owned(), |n| n.to_string());
                    Err(IndexError::Cluster(format!(
                        "the collection {} is made for {made_for} dimensions, and the model of model_name has \
                         {wanted}: name another collection, which is made anew from the corpus",
                        self.collection.name(),
                    )))
                }
                _ => Ok(()),
            };
        }
        self.collection.make(wanted).await?;
        for field in ["id", "filter", "origin", "write"] {
            self.collection
                .make_field(field, FieldType::Keyword)
                .await?;
        }
        Ok(self.collection.make_field("first", FieldType::Bool).await?)
    }

    /// Writes documents in the place of those with their ids: the new passages first, so that a
    /// document is never missing, then the old ones go. `write` marks the new ones.
    async fn write(
        &self,
        documents: Vec<Document>,
        origin: Origin,
        write: &str,
    ) -> Result<(), IndexError> {
        let ids: Vec<String> = documents
            .iter()
            .map(|document| document.id.clone())
            .collect();
        let (cutting, mark) = (self.cutting.clone(), write.to_owned());
        let points = task::spawn_blocking(move || points_of(&cutting, &documents, origin, &mark));
        for points in points.await.map_err(|_| IndexError::Failed)?? {
            self.collection.upsert(points).await?;
        }
        for ids in ids.chunks(TOGETHER) {
            let old = older([of_documents(ids)], write);
            self.collection.delete(old).await?;
        }
        Ok(())
    }

    /// How many of these documents there are.
    async fn count_of(&self, ids: &[String]) -> Result<usize, IndexError> {
        let mut count = 0;
        for ids in ids.chunks(1000) {
            let filter = Conditions::must([first(), of_documents(ids)]);
            count += self.collection.count(filter).await?;
        }
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    async fn documents(&self) -> Result<u64, IndexError> {
        Ok(self.collection.count(Conditions::must([first()])).await?)
    }

    /// The documents nearest by one of the vectors, one passage of each.
    async fn nearest(
        &self,
        query: Query,
        using: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Hit<Passage>>, IndexError> {
        let must = filter.terms().iter().map(|term| is("filter", term));
        let filter = Conditions::must(must);
        let points = self.collection.nearest(query, using, filter, limit).await?;
        let hits = points.into_iter().filter_map(passage).map(|passage| Hit {
            score: passage.score,
            document: Some(hash(&[&passage.id])),
            at: passage,
        });
        Ok(hits.collect())
    }
}

impl Library for Qdrant {
    fn search(&self, question: Question) -> Answer<'_, Vec<Passage>> {
        Box::pin(async move {
            let depth = question.depth();
            let words = async {
                if question.terms().is_empty() {
                    return Ok(Vec::new());
                }
                let query = query_of_words(question.terms());
                self.nearest(query, WORDS, question.filter(), depth).await
            };
            let meant = async {
                match question.vector() {
                    Some(vector) => {
                        let query = Query::from(vector.to_vec());
                        self.nearest(query, MEANING, question.filter(), depth).await
                    }
                    None => Ok(Vec::new()),
                }
            };
            let (words, meant) = tokio::try_join!(words, meant)?;
            let hits = if question.is_hybrid() {
                fuse([(words, 1.0), (meant, question.known())])
            } else if question.vector().is_some() {
                meant
            } else {
                words
            };
            let best = hits.into_iter().take(question.top_k());
            Ok(best
                .map(|hit| Passage {
                    score: hit.score,
                    ..hit.at
                })
                .collect())
        })
    }

    fn put(&self, documents: Vec<Document>) -> Answer<'_, Changed> {
        Box::pin(async move {
            // Of the same id twice, the last counts.
            let mut last = HashMap::new();
            let written = documents.len();
            for document in documents {
                last.insert(document.id.clone(), document);
            }
            let twice = written - last.len();
            let ids: Vec<String> = last.keys().cloned().collect();
            let removed = self.count_of(&ids).await? + twice;
            let write = new_mark(&ids);
            self.write(last.into_values().collect(), Origin::Caller, &write)
                .await?;
            Ok(Changed {
                written,
                removed,
                total: self.documents().await?,
            })
        })
    }

    fn delete(&self, ids: Vec<String>) -> Answer<'_, Changed> {
        Box::pin(async move {
            let removed = self.count_of(&ids).await?;
            for ids in ids.chunks(1000) {
                let filter = Conditions::must([of_documents(ids)]);
                self.collection.delete(filter).await?;
            }
            Ok(Changed {
                written: 0,
                removed,
                total: self.documents().await?,
            })
        })
    }

    fn counts(&self) -> Answer<'_, Counts> {
        Box::pin(async move {
            let passages = Conditions::must_not([Condition::is_empty("id")]);
            Ok(Counts {
                documents: self.documents().await?,
                passages: self.collection.count(passages).await?,
                // The server does not say.
                bytes: 0,
            })
        })
    }
}

/// A mark that no other write of these ids has: two that cross must not take each other's passages for
/// their own.
fn new_mark(ids: &[String]) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_nanos().to_string();
    let process = std::process::id().to_string();
    let mut parts: Vec<&str> = vec![&now, &process];
    parts.extend(ids.iter().map(String::as_str));
    hex::encode(hash(&parts).to_be_bytes())
}

/// The points of documents, in requests.
fn points_of(
    cutting: &Cutting,
    documents: &[Document],
    origin: Origin,
    write: &str,
) -> Result<Vec<Vec<PointStruct>>, IndexError> {
    let passages = documents.iter().flat_map(|document| {
        let contents = cutting.cut(document).into_iter().enumerate();
        contents.map(move |(number, content)| Cut {
            document,
            number,
            content,
        })
    });
    let passages: Vec<Cut<'_>> = passages.collect();
    let requests = passages.chunks(TOGETHER).map(|passages| {
        let meanings = meanings_of(cutting, passages)?.into_iter();
        let points = passages.iter().zip(meanings);
        let points = points.map(|(passage, meaning)| passage.point(meaning, origin, write));
        Ok(points.collect())
    });
    requests.collect()
}

/// The vectors of passages, none without a model.
fn meanings_of(
    cutting: &Cutting,
    passages: &[Cut<'_>],
) -> Result<Vec<Option<Vec<f32>>>, IndexError> {
    let Some(model) = &cutting.model else {
        return Ok(vec![None; passages.len()]);
    };
    let tokens = passages.iter().map(|passage| {
        let text = embedded_text(passage.document.title.as_deref(), passage.content);
        model.tokens(Kind::Passage, &text)
    });
    let tokens: Vec<_> = tokens.collect();
    let vectors = model.embed(&tokens).map_err(IndexError::Weights)?;
    Ok(vectors.into_iter().map(Some).collect())
}
