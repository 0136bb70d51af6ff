//! The outermost object of the parameters, and whether its reader keeps any key that it finds there.
//!
//! A struct with named fields passes over what it does not know. A map would keep the runtime's keys, and so would a struct
//! that flattens one, an enum with a tag, and a `Value`: these ask for a map or for anything, and that shows.

use std::cell::Cell;

use serde::{Deserializer, de::Visitor, forward_to_deserialize_any};

/// What `serde_json` calls the type that takes a value as it is written: it must see the reader itself.
const AS_WRITTEN: &str = "$serde_json::private::RawValue";

/// The reader of the outermost object; sets the flag when it is asked for whatever keys there are.
pub(super) struct Outermost<'a, D>(pub(super) D, pub(super) &'a Cell<bool>);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Outermost<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.1.set(true);
        self.0.deserialize_any(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.1.set(true);
        self.0.deserialize_map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if name == AS_WRITTEN {
            return self.0.deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    // The value is an object, and not null.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_some(self)
    }

    // None of these is an object: what asks for one of them is told so.
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct identifier ignored_any
    }
}
