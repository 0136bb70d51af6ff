//! The library on a Qdrant server: for corpora beyond one machine, and servers that share one.
//!
//! Passages are points with up to two vectors: `meaning`, the model's, and `words`, a sparse one of the
//! same terms that the index on disk has, so that both are searched alike in every language. The
//! server's REST interface is spoken by [`rest`]; [`points`] says what a passage looks like there,
//! [`corpus`] reads a corpus into it.

mod corpus;
mod points;
mod rest;

use std::{collections::HashMap, time::Duration};

use sandbox_embedding::{Identity, Kind};
use serde_json::{Value, json};
use tokio::task;
use tokio_util::sync::CancellationToken;

use self::{
    points::{Point, passage, query_of_words},
    rest::Rest,
};
use crate::{
    cutting::{Cutting, embedded_text},
    document::{Document, hex},
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
    rest: Rest,
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
            rest: Rest::new(cluster)?,
            cutting,
        };
        let model = qdrant.cutting.model.as_ref().map(|model| model.identity());
        qdrant.prepare_collection(model).await?;
        corpus::refresh(&qdrant, place, cancelled, progress).await?;
        Ok(qdrant)
    }

    async fn prepare_collection(&self, model: Option<&Identity>) -> Result<(), IndexError> {
        if let Some(found) = self.rest.collection().await? {
            let size = found
                .pointer("/config/params/vectors/meaning/size")
                .and_then(Value::as_u64);
            let wanted = model.map(|model| model.dimensions as u64);
            if wanted.is_some() && size != wanted {
                let size = size.map_or_else(|| "no vectors".to_owned(), |size| format!("{size}"));
                return Err(IndexError::Cluster(format!(
                    "the collection {} is made for {size} dimensions, and the model of model_name has \
                     {}: name another collection, which is made anew from the corpus",
                    self.rest.name(),
                    wanted.unwrap_or_default(),
                )));
            }
            return Ok(());
        }
        let meaning = model.map(|model| {
            json!({ "meaning": { "size": model.dimensions, "distance": "Cosine", "on_disk": true } })
        });
        self.rest
            .make_collection(&json!({
                "vectors": meaning.unwrap_or_else(|| json!({})),
                // Qdrant weighs the words by how rare they are in the collection.
                "sparse_vectors": { "words": { "modifier": "idf" } },
            }))
            .await?;
        for field in ["id", "filter", "origin", "write"] {
            self.rest.make_field(field, "keyword").await?;
        }
        self.rest.make_field("first", "bool").await
    }

    /// Writes documents in the place of those with their ids: the new passages first, so that a
    /// document is never missing, then the old ones go. `write` marks the new ones.
    async fn write(
        &self,
        documents: Vec<Document>,
        origin: &'static str,
        write: &str,
    ) -> Result<(), IndexError> {
        let ids: Vec<String> = documents
            .iter()
            .map(|document| document.id.clone())
            .collect();
        let (cutting, mark) = (self.cutting.clone(), write.to_owned());
        let points = task::spawn_blocking(move || points_of(&cutting, &documents, origin, &mark));
        let points = points.await.map_err(|_| IndexError::Failed)??;
        for points in points.chunks(TOGETHER) {
            self.rest.upsert(points).await?;
        }
        for ids in ids.chunks(TOGETHER) {
            self.rest
                .delete(&json!({
                    "must": [{ "key": "id", "match": { "any": ids } }],
                    "must_not": [{ "key": "write", "match": { "value": write } }],
                }))
                .await?;
        }
        Ok(())
    }

    /// How many of these documents there are.
    async fn count_of(&self, ids: &[String]) -> Result<usize, IndexError> {
        let mut count = 0;
        for ids in ids.chunks(1000) {
            let filter = json!({ "must": [
                { "key": "first", "match": { "value": true } },
                { "key": "id", "match": { "any": ids } },
            ]});
            count += self.rest.count(&filter).await?;
        }
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    async fn documents(&self) -> Result<u64, IndexError> {
        let first = json!({ "must": [{ "key": "first", "match": { "value": true } }] });
        self.rest.count(&first).await
    }

    /// The documents nearest by one of the vectors, one passage of each.
    async fn nearest(
        &self,
        query: Value,
        using: &str,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Hit<Passage>>, IndexError> {
        let must: Vec<Value> = filter
            .terms()
            .iter()
            .map(|term| json!({ "key": "filter", "match": { "value": term } }))
            .collect();
        let mut body = json!({
            "query": query, "using": using, "limit": limit, "group_by": "id", "group_size": 1,
            "with_payload": ["id", "title", "content", "metadata"],
        });
        if !must.is_empty() {
            body["filter"] = json!({ "must": must });
        }
        let groups = self.rest.query_groups(&body).await?;
        let hits = groups.iter().filter_map(|group| {
            let passage = passage(group.pointer("/hits/0")?)?;
            Some(Hit {
                score: passage.score,
                document: Some(hash(&[&passage.id])),
                at: passage,
            })
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
                self.nearest(query, "words", question.filter(), depth).await
            };
            let meant = async {
                match question.vector() {
                    Some(vector) => {
                        let query = json!(vector);
                        self.nearest(query, "meaning", question.filter(), depth)
                            .await
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
            self.write(last.into_values().collect(), "caller", &write)
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
                let filter = json!({ "must": [{ "key": "id", "match": { "any": ids } }] });
                self.rest.delete(&filter).await?;
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
            let passages = json!({ "must_not": [{ "is_empty": { "key": "id" } }] });
            Ok(Counts {
                documents: self.documents().await?,
                passages: self.rest.count(&passages).await?,
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
    hex(&hash(&parts).to_be_bytes())
}

fn points_of(
    cutting: &Cutting,
    documents: &[Document],
    origin: &'static str,
    write: &str,
) -> Result<Vec<Point>, IndexError> {
    let mut points = Vec::new();
    for document in documents {
        for (number, content) in cutting.cut(document).into_iter().enumerate() {
            points.push(Point::new(document, number, content, origin, write));
        }
    }
    let Some(model) = &cutting.model else {
        return Ok(points);
    };
    for points in points.chunks_mut(TOGETHER) {
        let tokens = points.iter().map(|point| {
            let text = embedded_text(point.title(), point.content());
            model.tokens(Kind::Passage, &text)
        });
        let tokens: Vec<_> = tokens.collect();
        let vectors = model.embed(&tokens).map_err(IndexError::Weights)?;
        for (point, vector) in points.iter_mut().zip(vectors) {
            point.set_meaning(vector);
        }
    }
    Ok(points)
}
