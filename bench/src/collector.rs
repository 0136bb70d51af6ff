//! Takes spans as a collector does, and forgets them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Bytes, routing::post};
use tokio::{net::TcpListener, task::JoinHandle};

/// A collector; it ends when this is dropped.
pub(crate) struct Collector {
    address: SocketAddr,
    bytes: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Collector {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let bytes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&bytes);
        let take = async move |body: Bytes| {
            counter.fetch_add(body.len(), Ordering::Relaxed);
        };
        let router = Router::new()
            .route("/v1/traces", post(take))
            .layer(axum::extract::DefaultBodyLimit::disable());
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            bytes,
            serving,
        })
    }

    /// Where spans are to be sent.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// Whether anything came.
    pub(crate) fn took_any(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
