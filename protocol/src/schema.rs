//! The JSON Schemas of the types whose form on the wire their fields do not show.
//!
//! Only with the feature `schema`: a client that merely speaks the protocol does not carry them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{Code, Seconds, Timestamp};

/// Implements the trait by an inline schema: these are values, not worth a name of their own.
macro_rules! inline {
    ($($type:ty => $name:literal, $schema:tt;)+) => {$(
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

/// Stands for JSON objects that the server only carries.
pub(crate) struct Object;

inline! {
    Object => "Object", { "type": "object" };
    Code => "Code", { "type": "integer", "format": "int32" };
    Seconds => "Seconds", { "type": "number", "exclusiveMinimum": 0 };
    Timestamp => "Timestamp", { "type": "string", "format": "date-time" };
}
