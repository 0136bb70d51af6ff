//! A peer that speaks as much of Qdrant's gRPC protocol as the backend does, strictly: what the real
//! server would refuse, it refuses, and every field of a request that it does not know. It keeps points
//! in memory and compares them all.

mod collection;
mod services;

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use qdrant_client::qdrant::{collections_server::CollectionsServer, points_server::PointsServer};
use tokio::sync::oneshot;
use tonic::{
    Status,
    metadata::MetadataMap,
    transport::server::{Server, TcpIncoming},
};

use self::{collection::Collection, services::Services};

/// A running peer; with it, its address goes.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<Mutex<Collections>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the peer has.
#[derive(Default)]
pub(crate) struct Collections {
    by_name: HashMap<String, Collection>,
    /// The key that it asks for.
    pub(crate) key: Option<String>,
    /// How many more requests it answers; then it breaks down.
    pub(crate) answers: Option<usize>,
}

impl Peer {
    pub(crate) fn start() -> Self {
        Self::at(Ipv4Addr::LOCALHOST)
    }

    pub(crate) fn at(host: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(Collections::default()));
        let (stop, stopped) = oneshot::channel::<()>();
        let services = Services(Arc::clone(&state));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                // As the real server, it takes points of any size.
                let points = PointsServer::new(services.clone());
                let points = points.max_decoding_message_size(usize::MAX);
                let serving = Server::builder()
                    .add_service(points)
                    .add_service(CollectionsServer::new(services))
                    .serve_with_incoming(TcpIncoming::from(listener));
                tokio::select! {
                    ended = serving => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.take();
        self.thread.take().map(JoinHandle::join);
    }
}

impl Collections {
    /// Whether a request is answered at all.
    fn admit(&mut self, metadata: &MetadataMap) -> Result<(), Status> {
        let given = metadata.get("api-key").and_then(|key| key.to_str().ok());
        if self.key.is_some() && self.key.as_deref() != given {
            return Err(Status::unauthenticated(
                "Must provide an API key or an Authorization bearer token",
            ));
        }
        if let Some(left) = &mut self.answers {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| Status::internal("Service internal error: disk"))?;
        }
        Ok(())
    }

    fn get(&mut self, name: &str) -> Result<&mut Collection, Status> {
        self.by_name
            .get_mut(name)
            .ok_or_else(|| Status::not_found(format!("Collection `{name}` doesn't exist!")))
    }
}

fn wrong(message: impl Into<String>) -> Status {
    Status::invalid_argument(message)
}

/// What was taken from a message has left nothing else in it.
fn nothing_else<T: Default + PartialEq + std::fmt::Debug>(left: &T) -> Result<(), Status> {
    if *left == T::default() {
        return Ok(());
    }
    Err(wrong(format!("Format error: unknown fields in {left:?}")))
}
