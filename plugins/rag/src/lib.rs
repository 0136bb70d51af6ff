//! The rag backend: retrieval over a corpus on disk.
