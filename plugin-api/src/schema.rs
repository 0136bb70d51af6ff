//! JSON Schemas of parameters, results and configurations, in the one form that clients get.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};

/// The schema of `T`: draft 2020-12, in one piece, without the name of the Rust type.
pub fn schema_of<T: JsonSchema>() -> Schema {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema
}

/// The schema of an object with named fields: further ones are refused, and clients should know.
pub fn closed_schema_of<T: JsonSchema>() -> Schema {
    let mut schema = schema_of::<T>();
    if schema.get("properties").is_none() {
        schema.insert("properties".to_owned(), serde_json::json!({}));
    }
    schema.insert("type".to_owned(), "object".into());
    if schema.get("additionalProperties").is_none() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    schema
}

/// The schema of a result's type, for types that have one; others have none.
///
/// A method of the type itself wins over a method of its reference: that is what chooses.
#[doc(hidden)]
#[macro_export]
macro_rules! output_schema {
    ($type:ty) => {{
        #[allow(unused_imports)]
        use $crate::private::probe::{WithSchema as _, WithoutSchema as _};
        (&$crate::private::probe::Probe::<$type>::NEW).schema()
    }};
}

/// The parts of [`output_schema!`](crate::output_schema).
#[doc(hidden)]
pub mod probe {
    use std::marker::PhantomData;

    use schemars::{JsonSchema, Schema};

    pub struct Probe<T>(PhantomData<T>);

    impl<T> Probe<T> {
        pub const NEW: Self = Self(PhantomData);
    }

    pub trait WithSchema {
        fn schema(&self) -> Option<Schema>;
    }

    impl<T: JsonSchema> WithSchema for Probe<T> {
        fn schema(&self) -> Option<Schema> {
            Some(super::schema_of::<T>())
        }
    }

    pub trait WithoutSchema {
        fn schema(&self) -> Option<Schema>;
    }

    impl<T> WithoutSchema for &Probe<T> {
        fn schema(&self) -> Option<Schema> {
            None
        }
    }
}
