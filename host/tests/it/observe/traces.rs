//! Spans, as a collector reads them that speaks the real protocol.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Bytes, extract::State, routing::post};
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Any},
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message as _;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

use crate::{
    http::web::{PATIENCE, Web},
    server::Server,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A collector: what it takes, and how often it refuses before.
pub(crate) struct Collector {
    address: SocketAddr,
    spans: mpsc::UnboundedReceiver<(HeaderMap, Span)>,
}

struct Taking {
    sender: mpsc::UnboundedSender<(HeaderMap, Span)>,
    refusals: std::sync::atomic::AtomicUsize,
}

async fn take(State(taking): State<Arc<Taking>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    use std::sync::atomic::Ordering::Relaxed;
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let refuse = taking
        .refusals
        .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
    if refuse.is_ok() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for resource in request.resource_spans {
        let about = resource.resource.unwrap().attributes;
        assert_eq!(text(&about, "service.name"), Some("sandbox"));
        for span in resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            let _ = taking.sender.send((headers.clone(), span));
        }
    }
    StatusCode::OK
}

impl Collector {
    pub(crate) async fn start(refusals: usize) -> Self {
        let (sender, spans) = mpsc::unbounded_channel();
        let taking = Taking {
            sender,
            refusals: refusals.into(),
        };
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::new(taking));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, spans }
    }

    fn config(&self) -> serde_json::Value {
        let endpoint = format!("http://{}/v1/traces", self.address);
        json!({ "endpoint": endpoint, "headers": { "x-token": "secret" } })
    }

    async fn web(&self) -> Web {
        Web::with(json!({
            "resources": { "echo": {}, "counter": {} },
            "observe": { "traces": self.config() },
        }))
        .await
    }

    async fn any(&mut self) -> (HeaderMap, Span) {
        timeout(PATIENCE, self.spans.recv())
            .await
            .expect("a span comes")
            .unwrap()
    }

    /// The next call's.
    pub(crate) async fn next(&mut self) -> (HeaderMap, Span) {
        loop {
            let (headers, span) = self.any().await;
            if span.kind() == SpanKind::Server {
                return (headers, span);
            }
        }
    }

    /// All spans, until there is one of each of these names.
    async fn with_names(&mut self, names: &[&str]) -> Vec<Span> {
        let mut spans = Vec::<Span>::new();
        let is_there = |spans: &[Span], name: &&str| spans.iter().any(|span| span.name == **name);
        while !names.iter().all(|name| is_there(&spans, name)) {
            spans.push(self.any().await.1);
        }
        spans
    }
}

pub(crate) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|one| one.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text),
        _ => None,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    digits.collect()
}

fn execute(action: &str, params: serde_json::Value) -> serde_json::Value {
    json!({ "worker_id": "ann", "action": action, "params": params })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_span_of_its_callers_trace() {
    let mut collector = Collector::start(0).await;
    let web = collector.web().await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers = [("traceparent", &*parent), ("tracestate", "vendor=1")];
    let body = execute("counter:add", json!({}));
    let got = web.post_with("/api/v1/execute", &headers, body).await;
    assert_eq!(got.body["meta"]["trace_id"], TRACE);
    let (headers, span) = collector.next().await;
    assert_eq!(headers["x-token"], "secret");
    assert_eq!(
        (hex(&span.trace_id), &*hex(&span.parent_span_id)),
        (TRACE.to_owned(), "00f067aa0ba902b7")
    );
    assert_eq!(
        (&*span.name, span.kind(), &*span.trace_state),
        ("counter:add", SpanKind::Server, "vendor=1")
    );
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.status.is_none());
    assert_eq!(text(&span.attributes, "sandbox.worker"), Some("ann"));
    assert_eq!(text(&span.attributes, "sandbox.backend"), Some("counter"));
    assert_eq!(
        text(&span.attributes, "sandbox.session"),
        got.body["meta"]["session_id"].as_str()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_so_and_a_caller_who_decided_against_it_is_heard() {
    let mut collector = Collector::start(0).await;
    let web = collector.web().await;
    let not = format!("00-{TRACE}-00f067aa0ba902b7-00");
    let body = execute("echo:echo", json!({ "value": 1 }));
    web.post_with("/api/v1/execute", &[("traceparent", &not)], body)
        .await;
    let got = web.execute("echo:text", json!({})).await;
    let (_, span) = collector.next().await;
    assert_eq!(
        hex(&span.trace_id),
        got.body["meta"]["trace_id"].as_str().unwrap()
    );
    let status = span.status.as_ref().unwrap();
    assert_eq!(
        (status.code(), &*status.message),
        (SpanStatus::Error, got.message())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_busy_gets_them_later_and_the_last_ones_when_the_server_stops() {
    let mut collector = Collector::start(2).await;
    let web = collector.web().await;
    web.execute("echo:echo", json!({ "value": 1 })).await;
    assert_eq!(collector.next().await.1.name, "echo:echo");
    web.execute("echo:text", json!({ "text": "last" })).await;
    let closing = web.engine.sandbox.observers.close();
    timeout(Duration::from_secs(20), closing).await.unwrap();
    assert_eq!(collector.spans.try_recv().unwrap().1.name, "echo:text");
}

/// Through the real server: the table that it lends to plugins is one per process.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_traces_is_part_of_its_call() {
    let mut collector = Collector::start(0).await;
    let server = Server::start_of(json!({
        "server": {},
        "resources": { "hybrid": { "backend_class": "hybrid" } },
        "observe": { "traces": collector.config() },
    }));
    let answer = server
        .client("ann")
        .execute("hybrid:traced", &json!({}), None)
        .await
        .unwrap();
    let spans = collector
        .with_names(&["hybrid:traced", "part", "inner"])
        .await;
    let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (call, part, inner) = (span("hybrid:traced"), span("part"), span("inner"));
    assert_eq!(
        (&part.parent_span_id, &inner.parent_span_id),
        (&call.span_id, &part.span_id)
    );
    for span in [part, inner] {
        assert_eq!(
            (&span.trace_id, span.kind()),
            (&call.trace_id, SpanKind::Internal)
        );
    }
    let told = format!("00-{}-{}-01", hex(&call.trace_id), hex(&call.span_id));
    assert_eq!(answer.data["traceparent"], told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_call_needs_is_made_within_it_and_a_warm_up_is_a_trace_of_its_own() {
    let mut collector = Collector::start(0).await;
    let server = Server::start_of(json!({
        "server": {},
        "resources": { "hybrid": { "backend_class": "hybrid" } },
        "observe": { "traces": collector.config() },
    }));
    let client = server.client("ann");
    client
        .execute("hybrid:traced", &json!({}), None)
        .await
        .unwrap();
    let names = [
        "hybrid:traced",
        "initialize hybrid",
        "opening",
        "warmup hybrid",
        "heating",
    ];
    let spans = collector.with_names(&names).await;
    let [call, initialize, opening, warmup, heating] =
        names.map(|name| spans.iter().find(|span| span.name == name).unwrap());
    assert_eq!(initialize.parent_span_id, call.span_id);
    assert_eq!(opening.parent_span_id, initialize.span_id);
    assert!(
        [initialize, opening]
            .iter()
            .all(|span| span.trace_id == call.trace_id)
    );
    assert_eq!(text(&initialize.attributes, "sandbox.worker"), Some("ann"));
    assert_eq!(
        text(&initialize.attributes, "sandbox.session"),
        text(&call.attributes, "sandbox.session")
    );
    assert!(warmup.parent_span_id.is_empty() && warmup.trace_id != call.trace_id);
    assert_eq!(heating.parent_span_id, warmup.span_id);
    assert_eq!(text(&warmup.attributes, "sandbox.backend"), Some("hybrid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_made_in_the_trace_that_asked_for_it() {
    let mut collector = Collector::start(0).await;
    let web = collector.web().await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let body = json!({ "worker_id": "ann", "resource_type": "counter" });
    let headers = [("traceparent", &*parent)];
    web.post_with("/api/v1/session/create", &headers, body)
        .await;
    let spans = collector.with_names(&["initialize counter"]).await;
    let span = spans.last().unwrap();
    assert_eq!(
        (&*hex(&span.trace_id), &*hex(&span.parent_span_id)),
        (TRACE, "00f067aa0ba902b7")
    );
}
