//! What minor versions added: structs that begin with the frozen ones, behind the size that those carry.
//!
//! A writer of minor 1 fills the larger struct and says its size; a reader looks at the size before it looks at
//! what was added. So the older side of either kind sees what it knows.

use super::{Completion, Host, Opaque, OperationRequest, Plugin, Slice};

/// [`Host`] since minor 1.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Host1 {
    /// What every host has.
    pub base: Host,
    /// Takes a span that has ended. Any thread, any time.
    pub span: unsafe extern "C" fn(record: *const SpanRecord),
}

/// [`Plugin`] since minor 1.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plugin1 {
    /// What every plugin has.
    pub base: Plugin,
    /// Says how a backend is: an operation like `warmup`, for a backend that is warm. Null when no
    /// backend of the library can say; one that cannot answers with success and no data.
    pub probe: Option<
        unsafe extern "C" fn(
            backend: *mut Opaque,
            request: *const OperationRequest,
            completion: Completion,
        ) -> *mut Opaque,
    >,
}

/// [`OperationRequest`] since minor 1.
#[repr(C)]
#[derive(Debug)]
pub struct OperationRequest1 {
    /// What every request has.
    pub base: OperationRequest,
    /// The W3C `traceparent` for what happens inside the operation, or empty. Its last digit is odd
    /// when spans are wanted.
    pub traceparent: Slice,
    /// The `tracestate` that goes with it, or empty.
    pub tracestate: Slice,
}

/// A span of a plugin's, when it has ended.
#[repr(C)]
#[derive(Debug)]
pub struct SpanRecord {
    /// The size of this struct in bytes.
    pub size: usize,
    /// When it began, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// The span, as a W3C `traceparent`.
    pub traceparent: Slice,
    /// The id of the span that it is a part of: 16 hex digits.
    pub parent: Slice,
    /// What it is called.
    pub name: Slice,
    /// The part of the program that it is in, for example a module path.
    pub target: Slice,
    /// A JSON object with its fields, or empty.
    pub fields: Slice,
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// What was added stays where it is, behind the frozen structs.
    #[test]
    fn what_was_added_keeps_its_place() {
        let sizes = [
            (
                size_of::<Host1>(),
                offset_of!(Host1, span),
                size_of::<Host>(),
            ),
            (
                size_of::<Plugin1>(),
                offset_of!(Plugin1, probe),
                size_of::<Plugin>(),
            ),
            (
                size_of::<OperationRequest1>(),
                offset_of!(OperationRequest1, traceparent),
                size_of::<OperationRequest>(),
            ),
        ];
        assert_eq!(sizes, [(64, 56, 56), (112, 104, 104), (152, 120, 120)]);
        assert_eq!(offset_of!(OperationRequest1, tracestate), 136);
        let record = [
            offset_of!(SpanRecord, start_ns),
            offset_of!(SpanRecord, end_ns),
            offset_of!(SpanRecord, traceparent),
            offset_of!(SpanRecord, parent),
            offset_of!(SpanRecord, name),
            offset_of!(SpanRecord, target),
            offset_of!(SpanRecord, fields),
            size_of::<SpanRecord>(),
        ];
        assert_eq!(record, [8, 16, 24, 40, 56, 72, 88, 104]);
    }
}
