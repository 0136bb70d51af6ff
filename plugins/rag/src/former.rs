//! The settings of the Python server's `rag` that are others here, or none.

use sandbox_plugin_api::former::FormerKeys;
use serde_json::Value;

pub(crate) fn former() -> FormerKeys {
    let one_index = "one index holds words and vectors, and is built from `corpus_path`";
    FormerKeys::new()
        .renamed("batch_size", "batcher_max_batch_size")
        .needless("model_type", ["sentence_transformers"])
        .refused(
            "model_type",
            "a model is a folder as sentence-transformers lays it out",
            "remove it; `model_name` names the folder",
        )
        .without_effect(
            "index_type",
            "there is one kind of index, for words and for vectors, and it is built from `corpus_path`",
        )
        .refused(
            "dense_index_path",
            one_index,
            "name a folder for it in `index_path`; files of FAISS are not read",
        )
        .refused(
            "bm25_index_path",
            one_index,
            "remove it; `index_path` names the folder of both",
        )
        .needless("retrieval_mode", ["hybrid"])
        .refused(
            "retrieval_mode",
            "each search says how it is done, and with a model it is hybrid unless it does",
            "remove it; `mode` of `rag:search` is `hybrid`, `dense` or `text`",
        )
        .refused(
            "dense_weight",
            "the two rankings are merged by rank, with weights that follow from the query",
            "remove it",
        )
        .refused(
            "sparse_weight",
            "the two rankings are merged by rank, with weights that follow from the query",
            "remove it",
        )
        .needless("rerank", [false])
        .refused("rerank", "there is no reranker", "remove it")
        .needless("rerank_model", [Value::Null])
        .refused("rerank_model", "there is no reranker", "remove it")
}
