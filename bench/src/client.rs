//! A client of HTTP/1.1 that costs next to nothing, so that what is measured is the server: one
//! connection, one request at a time, bodies with a `Content-Length` only.

use std::{io, net::SocketAddr};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// As many headers as an answer may have.
const HEADERS: usize = 32;

/// A connection that is kept open.
pub(crate) struct Connection {
    stream: TcpStream,
    /// The answer that is being read; kept, so that it is allocated once.
    incoming: Vec<u8>,
}

/// What a request asks for, body apart.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Target {
    /// The path.
    pub(crate) path: String,
    /// Further headers, as they are sent: each ends its line.
    pub(crate) headers: String,
}

impl Target {
    /// The route that runs a tool.
    pub(crate) fn execute() -> Self {
        Self {
            path: "/api/v1/execute".to_owned(),
            headers: String::new(),
        }
    }
}

/// An answer.
pub(crate) struct Answer<'a> {
    /// The status.
    pub(crate) status: u16,
    /// The head.
    pub(crate) head: &'a [u8],
    /// The body; one that came in chunks still has their sizes in it.
    pub(crate) body: &'a [u8],
}

/// Where an answer's head and body end.
struct Extent {
    status: u16,
    head: usize,
    end: usize,
}

impl Connection {
    /// Connects, without waiting to fill packets.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            incoming: Vec::with_capacity(8 * 1024),
        })
    }

    /// Sends a request as [`request`] writes it, and reads the answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.incoming.clear();
        let extent = loop {
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(extent) = extent(&self.incoming)?
                && self.incoming.len() >= extent.end
            {
                break extent;
            }
        };
        Ok(Answer {
            status: extent.status,
            head: &self.incoming[..extent.head],
            body: &self.incoming[extent.head..extent.end],
        })
    }
}

/// Writes a request; without a body it is a GET.
pub(crate) fn request(address: SocketAddr, path: &str, body: &str) -> Vec<u8> {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Writes a request with a body.
pub(crate) fn request_to(address: SocketAddr, target: &Target, body: &str) -> Vec<u8> {
    let Target { path, headers } = target;
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         {headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// How far the answer goes, once its head is complete.
fn extent(bytes: &[u8]) -> io::Result<Option<Extent>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(head) => head,
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or(0);
    if response
        .headers
        .iter()
        .any(|header| header.name.eq_ignore_ascii_case("transfer-encoding"))
    {
        // One request at a time: nothing follows the last chunk.
        let complete = bytes[head..].ends_with(b"0\r\n\r\n");
        return Ok(complete.then_some(Extent {
            status,
            head,
            end: bytes.len(),
        }));
    }
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| str::from_utf8(header.value).ok()?.parse::<usize>().ok())
        .ok_or_else(|| io::Error::other("an answer without content-length"))?;
    Ok(Some(Extent {
        status,
        head,
        end: head + length,
    }))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_in_two_pieces_is_read_whole_and_the_connection_goes_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = [0; 1024];
            let count = stream.read(&mut seen).await.unwrap();
            let head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nab";
            stream.write_all(head).await.unwrap();
            tokio::task::yield_now().await;
            stream.write_all(b"cde").await.unwrap();
            let first = seen[..count].to_vec();
            let _ = stream.read(&mut seen).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
            first
        });
        let mut connection = Connection::open(address).await.unwrap();
        let answer = connection
            .call(&request(address, "/x", "{}"))
            .await
            .unwrap();
        assert_eq!((answer.status, answer.body), (404, &b"abcde"[..]));
        let answer = connection.call(&request(address, "/y", "")).await.unwrap();
        assert_eq!((answer.status, answer.body), (200, &b""[..]));
        let sent = String::from_utf8(server.await.unwrap()).unwrap();
        assert!(sent.starts_with("POST /x HTTP/1.1\r\n") && sent.ends_with("\r\n\r\n{}"));
    }

    #[test]
    fn an_answer_that_is_no_http_is_an_error() {
        assert!(extent(b"SSH-2.0-OpenSSH\r\n").is_err());
        assert!(extent(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(extent(b"HTTP/1.1 200 OK\r\ncontent-le").unwrap().is_none());
    }
}
