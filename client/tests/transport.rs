//! What the client does when the transport fails, against a peer that fails on purpose.
//!
//! How it gets on with a real server is held by the host's tests.
#![expect(clippy::unwrap_used, reason = "a failing peer is a failing test")]

use sandbox_client::{Client, Error};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// A peer on a port of its own that gives each connection the same bytes after each request.
struct Peer {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Peer {
    /// Answers `answer` to every request; an empty answer closes the connection, `None` never answers.
    async fn start(answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, answer, Arc::clone(&counter)));
            }
        });
        Self { url, requests }
    }

    fn client(&self) -> Client {
        let builder = Client::builder().url(&self.url).worker_id("w");
        builder.build().unwrap()
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, answer: Option<&str>, requests: Arc<AtomicUsize>) {
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        seen.extend_from_slice(&chunk[..read]);
        if !is_whole(&seen) {
            continue;
        }
        seen.clear();
        requests.fetch_add(1, Ordering::SeqCst);
        match answer {
            None => {}
            Some("") => return,
            Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
        }
    }
}

/// Answers once, and closes the connection on the next request.
async fn serve_once(mut stream: TcpStream, requests: Arc<AtomicUsize>) {
    for answer in [ENVELOPE, ""] {
        let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
        while !is_whole(&seen) {
            match stream.read(&mut chunk).await {
                Ok(read @ 1..) => seen.extend_from_slice(&chunk[..read]),
                _ => return,
            }
        }
        requests.fetch_add(1, Ordering::SeqCst);
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// An address that nobody listens on, and that nobody else is given while its socket is there.
fn unheard() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    (socket, url)
}

const ENVELOPE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\n{\"code\":0,\"data\":null}";

/// Whether a request with its body has arrived.
fn is_whole(seen: &[u8]) -> bool {
    let text = String::from_utf8_lossy(seen).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    body.len() >= length
}

#[tokio::test]
async fn an_execute_into_a_closing_connection_is_sent_once() {
    let peer = Peer::start(Some("")).await;
    let error = peer
        .client()
        .execute("a:b", &json!({}), None)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert!(!error.never_ran());
    assert_eq!(peer.requests(), 1);
}

#[tokio::test]
async fn an_execute_lost_on_a_kept_connection_is_not_repeated_on_a_new_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve_once(stream, Arc::clone(&counter)));
        }
    });
    let client = Client::builder().url(url).build().unwrap();
    client.execute("a:b", &json!({}), None).await.unwrap();
    let error = client.execute("a:b", &json!({}), None).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_execute_without_an_answer_is_sent_once_and_times_out() {
    let mut requests = 0;
    // On a busy machine the time may be up before the first one is sent.
    for seconds in [0.3, 3.0, 30.0] {
        let peer = Peer::start(None).await;
        let builder = Client::builder().url(&peer.url).worker_id("w");
        let limit = Duration::from_secs_f64(seconds);
        let client = builder.timeout(limit).build().unwrap();
        let error = client.execute("a:b", &json!({}), None).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        requests = peer.requests();
        if requests > 1 {
            break;
        }
    }
    // The second one says that nobody waits for the first any more.
    assert_eq!(requests, 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let (_taken, url) = unheard();
    let client = Client::builder().url(&url).build().unwrap();
    let error = client.execute("a:b", &json!({}), None).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(error.never_ran());
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn a_stranger_is_told_from_a_server() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n<html>hi</html";
    let peer = Peer::start(Some(answer)).await;
    let error = peer
        .client()
        .execute("a:b", &json!({}), None)
        .await
        .unwrap_err();
    let Error::Protocol { excerpt, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(excerpt.starts_with("<html>"), "{excerpt}");
    let error = peer.client().tools(false).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_transport_failure() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\nconnection: close\r\n\r\n{\"code\":0";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        let mut chunk = [0; 4096];
        while !is_whole(&seen) {
            let read = stream.read(&mut chunk).await.unwrap();
            seen.extend_from_slice(&chunk[..read]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let client = Client::builder().url(url).build().unwrap();
    let error = client.execute("a:b", &json!({}), None).await.unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let elsewhere = Peer::start(Some("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")).await;
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n",
        elsewhere.url
    );
    let peer = Peer::start(Some(answer.leak())).await;
    let client = Client::builder()
        .url(&peer.url)
        .api_key("k")
        .build()
        .unwrap();
    let error = client.execute("a:b", &json!({}), None).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    assert_eq!(elsewhere.requests(), 0);
}

#[tokio::test]
async fn waiting_for_a_server_ends_in_time_and_says_why() {
    let (_taken, url) = unheard();
    let client = Client::builder().url(url).build().unwrap();
    let waiting = client.wait_until_ready(Duration::from_secs(1));
    let error = tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .unwrap();
    assert!(matches!(error, Err(Error::Connect { .. })), "{error:?}");
}
