//! Spans as OTLP's protobuf writes them, straight into the buffer that will be sent.
//!
//! The messages are few, frozen, and written once per call; a tree of structs for each of them would cost more than
//! the call's own answer. `tests/it/traces.rs` reads the result by the official definitions.

/// Who a span is to others.
#[derive(Clone, Copy, Debug)]
pub(super) enum SpanKind {
    /// A part of something.
    Internal = 1,
    /// The answer to a request.
    Server = 2,
}

/// A wire type of protobuf.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
}

/// A span under construction, as an element of `ScopeSpans.spans`; complete when it is dropped.
pub(super) struct SpanWriter<'a> {
    out: &'a mut Vec<u8>,
    begin: usize,
}

impl<'a> SpanWriter<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>, trace: &[u8], span: &[u8]) -> Self {
        let begin = open(out, 2);
        bytes(out, 1, trace);
        bytes(out, 2, span);
        Self { out, begin }
    }

    pub(super) fn state(&mut self, state: &str) {
        text(self.out, 3, state);
    }

    pub(super) fn parent(&mut self, parent: Option<&[u8]>) {
        if let Some(parent) = parent {
            bytes(self.out, 4, parent);
        }
    }

    pub(super) fn name(&mut self, name: &str) {
        text(self.out, 5, name);
    }

    pub(super) fn kind(&mut self, kind: SpanKind) {
        tag(self.out, 6, Wire::Varint);
        varint(self.out, kind as u64);
    }

    /// Nanoseconds since the epoch.
    pub(super) fn times(&mut self, start: u64, end: u64) {
        for (field, time) in [(7, start), (8, end)] {
            tag(self.out, field, Wire::Fixed64);
            self.out.extend_from_slice(&time.to_le_bytes());
        }
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        text_attribute(self.out, 9, key, value);
    }

    pub(super) fn number(&mut self, key: &str, value: i64) {
        let value = value.cast_unsigned();
        attribute(self.out, 9, key, 1 + varint_size(value), |out| {
            tag(out, 3, Wire::Varint);
            varint(out, value);
        });
    }

    pub(super) fn float(&mut self, key: &str, value: f64) {
        attribute(self.out, 9, key, 1 + size_of::<f64>(), |out| {
            tag(out, 4, Wire::Fixed64);
            out.extend_from_slice(&value.to_le_bytes());
        });
    }

    pub(super) fn truth(&mut self, key: &str, value: bool) {
        attribute(self.out, 9, key, 2, |out| {
            tag(out, 2, Wire::Varint);
            varint(out, u64::from(value));
        });
    }

    /// It did not succeed.
    pub(super) fn failed(&mut self, message: &str) {
        const ERROR: u64 = 2;
        let begin = open(self.out, 15);
        text(self.out, 2, message);
        tag(self.out, 3, Wire::Varint);
        varint(self.out, ERROR);
        close(self.out, begin);
    }
}

impl Drop for SpanWriter<'_> {
    fn drop(&mut self) {
        close(self.out, self.begin);
    }
}

/// The request that carries these spans.
pub(super) fn request(resource: &[(&str, &str)], spans: &[Vec<u8>]) -> Vec<u8> {
    let size: usize = spans.iter().map(Vec::len).sum();
    let mut out = Vec::with_capacity(size + 512);
    let resource_spans = open(&mut out, 1);
    let about = open(&mut out, 1);
    for (key, value) in resource {
        text_attribute(&mut out, 1, key, value);
    }
    close(&mut out, about);
    let scope_spans = open(&mut out, 2);
    let scope = open(&mut out, 1);
    text(&mut out, 1, "sandbox");
    text(&mut out, 2, env!("CARGO_PKG_VERSION"));
    close(&mut out, scope);
    for spans in spans {
        out.extend_from_slice(spans);
    }
    close(&mut out, scope_spans);
    close(&mut out, resource_spans);
    out
}

fn text_attribute(out: &mut Vec<u8>, field: u64, key: &str, value: &str) {
    attribute(out, field, key, size(value.len()), |out| {
        bytes(out, 1, value.as_bytes());
    });
}

/// Writes an attribute whose value, with its tag, takes so many bytes: most of what a span consists of.
fn attribute(
    out: &mut Vec<u8>,
    field: u64,
    key: &str,
    value_size: usize,
    value: impl FnOnce(&mut Vec<u8>),
) {
    tag(out, field, Wire::Bytes);
    varint(out, (size(key.len()) + size(value_size)) as u64);
    bytes(out, 1, key.as_bytes());
    tag(out, 2, Wire::Bytes);
    varint(out, value_size as u64);
    value(out);
}

/// What so many bytes take with their tag and their length.
const fn size(length: usize) -> usize {
    1 + varint_size(length as u64) + length
}

const fn varint_size(value: u64) -> usize {
    // Seven bits to a byte, and one byte for nothing at all.
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// How many bytes a nested message's length takes: enough for 256 MiB, whatever it will be.
const LENGTH: usize = 4;

/// Begins a nested message, whose length is written when it is closed.
fn open(out: &mut Vec<u8>, field: u64) -> usize {
    tag(out, field, Wire::Bytes);
    out.extend_from_slice(&[0; LENGTH]);
    out.len()
}

/// Writes the length, with leading zeroes: readers of varints take them.
fn close(out: &mut [u8], begin: usize) {
    let mut length = out.len() - begin;
    for place in &mut out[begin - LENGTH..begin] {
        *place = low_bits(length as u64) | 0x80;
        length >>= 7;
    }
    out[begin - 1] &= 0x7f;
}

fn tag(out: &mut Vec<u8>, field: u64, wire: Wire) {
    varint(out, field << 3 | wire as u64);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

const fn low_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

fn bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    tag(out, field, Wire::Bytes);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Text; empty text is left out, as the format does it.
fn text(out: &mut Vec<u8>, field: u64, text: &str) {
    if !text.is_empty() {
        bytes(out, field, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value,
        trace::v1::status::StatusCode,
    };
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_span_reads_as_it_was_written() {
        let mut out = Vec::new();
        let mut span = SpanWriter::begin(&mut out, &[1; 16], &[2; 8]);
        span.state("vendor=1");
        span.parent(Some(&[3; 8]));
        span.name("vm:click");
        span.kind(SpanKind::Server);
        span.times(5, u64::MAX);
        let long = "x".repeat(300);
        span.text("worker", "");
        span.text("session", &long);
        span.number("code", -7);
        span.number("size", 1 << 40);
        span.float("share", 0.5);
        span.truth("sure", true);
        span.failed("broken");
        drop(span);
        drop(SpanWriter::begin(&mut out, &[1; 16], &[4; 8]));
        let request = request(&[("service.name", "sandbox")], &[out]);
        let read = ExportTraceServiceRequest::decode(&request[..]).unwrap();
        let resource = &read.resource_spans[0];
        let named = &resource.resource.as_ref().unwrap().attributes[0];
        assert_eq!(named.key, "service.name");
        let spans = &resource.scope_spans[0].spans;
        assert_eq!(spans.len(), 2);
        let span = &spans[0];
        assert_eq!(
            (&*span.trace_id, &*span.span_id),
            (&[1; 16][..], &[2; 8][..])
        );
        assert_eq!(
            (&*span.parent_span_id, &*span.trace_state),
            (&[3; 8][..], "vendor=1")
        );
        assert_eq!((&*span.name, span.kind), ("vm:click", 2));
        assert_eq!(
            (span.start_time_unix_nano, span.end_time_unix_nano),
            (5, u64::MAX)
        );
        let values = span
            .attributes
            .iter()
            .map(|one| one.value.clone().unwrap().value.unwrap());
        let expected = [
            Value::StringValue(String::new()),
            Value::StringValue(long),
            Value::IntValue(-7),
            Value::IntValue(1 << 40),
            Value::DoubleValue(0.5),
            Value::BoolValue(true),
        ];
        assert!(values.eq(expected));
        let status = span.status.as_ref().unwrap();
        assert_eq!(
            (status.code(), &*status.message),
            (StatusCode::Error, "broken")
        );
    }
}
