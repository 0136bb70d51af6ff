//! The backend: its life, its tools, and the limits of what callers may ask.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use sandbox_embedding::{Device, Model};
use sandbox_plugin_api::prelude::*;
use tokio::{sync::watch, task};

use crate::{
    answers::{
        BatchAnswer, DeleteAnswer, IndexAnswer, IndexStats, NewDocument, SearchAnswer,
        SessionDefaults, StatsAnswer, context,
    },
    batch::{self, Asked},
    batcher::{Batcher, Ticket},
    config::Config,
    cutting::Cutting,
    document::check_id,
    failure::{explain, explain_model},
    index::{Filter, FilterError, Index, IndexError, Place, Progress, Question},
    library::Library,
    mode::Mode,
    qdrant::{Cluster, Qdrant},
    queries::Queries,
    room::Kept,
};

/// Retrieval over a corpus on disk.
pub struct Rag {
    config: Config,
    place: Place,
    model: Option<(PathBuf, Device)>,
    /// The Qdrant server, if the documents are there.
    cluster: Option<Cluster>,
    /// There between `warmup` and `shutdown`.
    opened: RwLock<Option<Opened>>,
    queries: Arc<Queries>,
}

/// An open index, and with a model the way to it.
#[derive(Clone)]
struct Opened {
    library: Arc<dyn Library>,
    batcher: Option<Batcher>,
}

/// What a call asks for, checked.
struct Wanted {
    top_k: usize,
    mode: Mode,
}

// The searches run on the plugin's own runtime, not on its blocking threads: nothing else is on
// that runtime, a search takes microseconds to a few milliseconds, and as many run at a time as
// the runtime has threads, however many callers there are.
#[backend(
    name = "rag",
    class = "RAGBackend",
    description = "Retrieval: finds passages of a corpus that answer a question.",
    session_config = SessionDefaults
)]
impl Rag {
    fn new(config: Config, env: &BackendEnv) -> Result<Self> {
        config.check()?;
        Ok(Self {
            place: config.place(env.config_dir()),
            model: config.model(env.config_dir()),
            cluster: config.cluster(),
            config,
            opened: RwLock::default(),
            queries: Arc::default(),
        })
    }

    /// Opens the index, after building it when it is new or the corpus has changed.
    async fn warmup(&self, context: &CallContext) -> Result<()> {
        // A second warm-up opens the index anew; the lock must be free for that.
        self.close().await?;
        let model = self.load_model().await?;
        let library = match &self.cluster {
            None => self.open_index(context, model.clone()).await,
            Some(cluster) => self.connect(cluster, context, model.clone()).await,
        };
        let library = library.map_err(|error| self.explain(&error))?;
        let batcher = model
            .map(|model| Batcher::start(model, self.config.batching(), Arc::clone(&self.queries)))
            .transpose()?;
        self.replace(Some(Opened { library, batcher }));
        Ok(())
    }

    /// What `rag:stats` tells: how large the index is, and how many questions wait.
    async fn probe(&self) -> Result<StatsAnswer> {
        self.ready()?;
        self.stats().await
    }

    /// Closes the index, after the changes that it has taken.
    async fn shutdown(&self) -> Result<()> {
        self.close().await
    }

    /// Find the passages of the corpus that answer a question best. Use it before answering from
    /// memory: put `context` into the prompt, and cite the results' ids or titles.
    ///
    /// The query is plain text, in any language; a question or a few words both work.
    #[tool(
        read_only,
        idempotent,
        title = "Search the corpus",
        example = r#"{"query": "How do plants turn sunlight into energy?", "top_k": 3}"#,
        example = r#"{"query": "光合作用", "filter": {"lang": "zh"}}"#
    )]
    async fn search(
        &self,
        info: Option<&SessionInfo>,
        /// What to look for.
        query: String,
        /// How many results at most. Without it, the session's or the server's setting.
        #[schemars(range(min = 1))]
        top_k: Option<usize>,
        /// How to look: `text` by words, `dense` by meaning, `hybrid` by both. Without it, hybrid if
        /// the server has an embedding model, else text.
        mode: Option<Mode>,
        /// Only documents whose metadata has these values, `{"year": 1969}`; an array has each of
        /// its values, a nested field is `outer.inner`.
        filter: Option<Map<String, Value>>,
    ) -> Result<SearchAnswer> {
        self.queries.arrived(1);
        let _under_way = self.queries.begin();
        let opened = self.ready()?;
        let wanted = opened.wanted(&self.config, info, top_k, mode)?;
        let mut tickets = opened.announce(&wanted, 1);
        self.check_query("/query", &query)?;
        let filter = filter
            .as_ref()
            .map(Filter::new)
            .transpose()
            .map_err(|error| wrong_filter(&error))?;
        let filter = filter.unwrap_or_default();
        let question = Question::new(&query, wanted.mode, filter, wanted.top_k);
        let meant = tickets.pop().map(|ticket| ticket.ask(&query));
        if meant.is_none() {
            self.queries.ran();
        }
        let results = batch::answer_to(&*opened.library, question, meant)
            .await
            .map_err(|error| self.explain(&error))?;
        let kept = Kept::within(self.config.max_answer_bytes, results);
        Ok(SearchAnswer {
            query,
            context: context(&kept.passages),
            results: kept.passages,
            truncated: kept.full_bytes.is_some(),
            full_bytes: kept.full_bytes,
        })
    }

    /// Answer several questions in one call, faster than one by one. Results, contexts and queries
    /// are in the same order; a query that fails is listed in `errors` and has no results. With `truncated`, ask those in
    /// `truncated_queries` again, alone or with a smaller `top_k`.
    #[tool(
        read_only,
        idempotent,
        title = "Search for several questions",
        example = r#"{"queries": ["Who built the first steam engine?", "什么是人工智能"], "top_k": 2}"#
    )]
    async fn batch_search(
        &self,
        info: Option<&SessionInfo>,
        /// What to look for, one after the other.
        queries: Vec<String>,
        /// How many results at most for each.
        #[schemars(range(min = 1))]
        top_k: Option<usize>,
        /// How to look: `text` by words, `dense` by meaning, `hybrid` by both. Without it, hybrid if
        /// the server has an embedding model, else text.
        mode: Option<Mode>,
    ) -> Result<BatchAnswer> {
        at_most(
            "/queries",
            queries.len(),
            self.config.max_queries,
            "queries",
        )?;
        self.queries.arrived(queries.len());
        let opened = self.ready()?;
        let wanted = opened.wanted(&self.config, info, top_k, mode)?;
        let mut tickets = opened.announce(&wanted, queries.len());
        if tickets.is_empty() {
            self.queries.ran();
        }
        let (mut asked, mut results) = (Vec::new(), Vec::new());
        for (place, query) in queries.iter().enumerate() {
            let ticket = tickets.pop();
            match self.check_query(&format!("/queries/{place}"), query) {
                Ok(()) => asked.push(Asked {
                    place,
                    question: Question::new(query, wanted.mode, Filter::default(), wanted.top_k),
                    meant: ticket.map(|ticket| ticket.ask(query)),
                    under_way: self.queries.begin(),
                }),
                Err(error) => results.push((place, Err(error))),
            }
        }
        let room = self.config.max_answer_bytes / queries.len().max(1);
        let found = batch::search(&opened.library, asked, room).await;
        let explained =
            |result: Result<_, IndexError>| result.map_err(|error| self.explain(&error));
        results.extend(
            found
                .into_iter()
                .map(|(place, result)| (place, explained(result))),
        );
        Ok(batch::answer(queries.len(), results))
    }

    /// Add documents to the corpus, or replace those with the same id. When this answers, they are
    /// on disk and found by the next search.
    #[tool(
        idempotent,
        title = "Add documents",
        example = r#"{"documents": [{"id": "note-1", "title": "Cache sizes", "text": "The first level cache of this machine holds 32 KiB.", "metadata": {"kind": "note"}}]}"#
    )]
    async fn index(
        &self,
        /// The documents.
        documents: Vec<NewDocument>,
    ) -> Result<IndexAnswer> {
        at_most(
            "/documents",
            documents.len(),
            self.config.max_documents,
            "documents",
        )?;
        let (library, max_bytes) = (self.ready()?.library, self.config.max_document_bytes);
        let checked = documents.into_iter().enumerate().map(|(place, document)| {
            document.check(max_bytes).map_err(|error| {
                Error::param(&format!("/documents/{place}/{}", error.field), error.reason)
            })
        });
        let documents = checked.collect::<Result<Vec<_>>>()?;
        let changed = library.put(documents).await;
        let changed = changed.map_err(|error| self.explain(&error))?;
        Ok(IndexAnswer {
            indexed: changed.written,
            replaced: changed.removed,
            total: changed.total,
        })
    }

    /// Remove documents by their ids. Ids that no document has are passed over.
    #[tool(
        destructive,
        idempotent,
        title = "Remove documents",
        example = r#"{"ids": ["note-1"]}"#
    )]
    async fn delete(
        &self,
        /// The documents' ids, as searches show them.
        ids: Vec<String>,
    ) -> Result<DeleteAnswer> {
        at_most("/ids", ids.len(), self.config.max_documents, "ids")?;
        for (place, id) in ids.iter().enumerate() {
            check_id(id).map_err(|error| Error::param(&format!("/ids/{place}"), error.reason))?;
        }
        let changed = self.ready()?.library.delete(ids).await;
        let changed = changed.map_err(|error| self.explain(&error))?;
        Ok(DeleteAnswer {
            deleted: changed.removed,
            total: changed.total,
        })
    }

    /// How many documents the corpus has, how large the index is, and how much it was asked.
    #[tool(read_only, idempotent, title = "Show the index", example = "{}")]
    async fn stats(&self) -> Result<StatsAnswer> {
        let opened = self.opened();
        let mut stats = None;
        if let Some(opened) = &opened {
            let counts = opened.library.counts().await;
            let counts = counts.map_err(|error| self.explain(&error))?;
            stats = Some(IndexStats {
                path: self.config.library_name(),
                documents: counts.documents,
                chunks: counts.passages,
                bytes: counts.bytes,
                model: opened.model().map(|model| model.identity().name.clone()),
                dimensions: opened.model().map(|model| model.identity().dimensions),
            });
        }
        Ok(StatsAnswer {
            initialized: opened.is_some(),
            index: stats,
            batcher: self.queries.stats(),
        })
    }
}

impl Rag {
    fn opened(&self) -> Option<Opened> {
        self.opened
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn ready(&self) -> Result<Opened> {
        self.opened()
            .ok_or_else(|| Error::unavailable("the index is not open: warm the backend up first"))
    }

    fn replace(&self, opened: Option<Opened>) -> Option<Opened> {
        std::mem::replace(
            &mut *self.opened.write().unwrap_or_else(PoisonError::into_inner),
            opened,
        )
    }

    /// The model's folder as the configuration says it.
    fn model_name(&self) -> Option<String> {
        let name = self.config.model_name.as_deref();
        name.map(|name| Path::display(name).to_string())
    }

    async fn load_model(&self) -> Result<Option<Arc<Model>>> {
        let Some((folder, device)) = self.model.clone() else {
            return Ok(None);
        };
        let loaded = task::spawn_blocking(move || Model::load(&folder, device)).await?;
        let name = self.model_name().unwrap_or_default();
        let model = loaded.map_err(|error| explain_model(&error, &name))?;
        Ok(Some(Arc::new(model)))
    }

    /// Gives the index up. It closes when the calls that use it have ended.
    async fn close(&self) -> Result<()> {
        if let Some(opened) = self.replace(None) {
            // The last one to give it up waits for the thread that writes.
            task::spawn_blocking(move || drop(opened)).await?;
        }
        Ok(())
    }

    async fn open_index(
        &self,
        context: &CallContext,
        model: Option<Arc<Model>>,
    ) -> Result<Arc<dyn Library>, IndexError> {
        let (sender, mut receiver) = watch::channel(None::<Progress>);
        let (place, cancelled) = (self.place.clone(), context.cancellation());
        let mut opening = task::spawn_blocking(move || {
            Index::open(&place, model, &cancelled, |progress| {
                sender.send_replace(Some(progress));
            })
        });
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened.map_err(|_| IndexError::Failed)?,
                Ok(()) = receiver.changed() => {
                    if let Some(progress) = *receiver.borrow_and_update() {
                        report(context, progress);
                    }
                }
            }
        };
        Ok(Arc::new(Arc::new(opened?)))
    }

    async fn connect(
        &self,
        cluster: &Cluster,
        context: &CallContext,
        model: Option<Arc<Model>>,
    ) -> Result<Arc<dyn Library>, IndexError> {
        let cutting = Cutting {
            chunking: self.place.chunking,
            model,
        };
        let progress = |progress| report(context, progress);
        let cancelled = context.cancellation();
        let qdrant = Qdrant::open(cluster, &self.place, cutting, &cancelled, progress).await?;
        Ok(Arc::new(qdrant))
    }

    fn explain(&self, error: &IndexError) -> Error {
        explain(error, &self.config.library_name())
    }

    fn check_query(&self, pointer: &str, query: &str) -> Result<()> {
        if query.trim().is_empty() {
            return Err(Error::param(pointer, "expected text that is not empty"));
        }
        at_most(pointer, query.len(), self.config.max_query_bytes, "bytes")
    }
}

impl Opened {
    fn model(&self) -> Option<&Model> {
        self.batcher
            .as_ref()
            .map(|batcher| batcher.model().as_ref())
    }

    /// What a call asks for, if it can be had: the call's word counts before the session's, and that
    /// before the server's.
    fn wanted(
        &self,
        config: &Config,
        info: Option<&SessionInfo>,
        top_k: Option<usize>,
        mode: Option<Mode>,
    ) -> Result<Wanted> {
        let session = match info {
            Some(info) => session_defaults(info)?,
            None => SessionDefaults::default(),
        };
        let usual = match self.batcher {
            Some(_) => Mode::Hybrid,
            None => Mode::Text,
        };
        let mode = mode.or(session.mode).unwrap_or(usual);
        if mode != Mode::Text && self.batcher.is_none() {
            return Err(no_model(mode));
        }
        let (top_k, most) = (top_k.or(session.top_k), config.max_top_k);
        let top_k = top_k.unwrap_or(config.default_top_k);
        if (1..=most).contains(&top_k) {
            return Ok(Wanted { top_k, mode });
        }
        Err(Error::param(
            "/top_k",
            format_args!("expected 1 to {most}, found {top_k}"),
        ))
    }

    /// Tells the model that questions are on their way, if they are to be asked by their meaning.
    fn announce(&self, wanted: &Wanted, count: usize) -> Vec<Ticket> {
        match &self.batcher {
            Some(batcher) if wanted.mode != Mode::Text => {
                (0..count).map(|_| batcher.announce()).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn session_defaults(info: &SessionInfo) -> Result<SessionDefaults> {
    match info.config().get() {
        "null" => Ok(SessionDefaults::default()),
        config => serde_json::from_str(config)
            .map_err(|error| Error::new(Code::Param, format!("the session's config: {error}"))),
    }
}

fn no_model(mode: Mode) -> Error {
    Error::unavailable(format!(
        "mode {} needs an embedding model, and this backend has none: ask with mode text or leave the \
         mode out, or have the operator set model_name in the backend's config to a model's folder",
        mode.name()
    ))
    .with_data(json!({ "pointer": "/mode", "available": ["text"] }))
}

fn wrong_filter(error: &FilterError) -> Error {
    match error {
        FilterError::Value { field, .. } => Error::param(&format!("/filter/{field}"), error),
        FilterError::Fields { .. } => Error::param("/filter", error),
    }
}

fn at_most(pointer: &str, found: usize, limit: usize, what: &str) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::param(
        pointer,
        format_args!("expected at most {limit} {what}, found {found}"),
    ))
}

#[expect(clippy::cast_precision_loss, reason = "progress is for the eye")]
fn report(context: &CallContext, progress: Progress) {
    let message = format!("{} documents are in the index", progress.documents);
    context.progress(progress.bytes as f64, progress.of as f64, &message);
}
