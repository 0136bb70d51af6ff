//! Reading a tool's parameters: once, into the tool's own type, with errors that say where and what.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{
    error::{Code, Error, Result},
    schema::schema_of,
};

/// Keys that clients of the former server add to the parameters: dropped, never trusted.
const RUNTIME_KEYS: [&str; 4] = ["worker_id", "session_id", "session_info", "trace_id"];

/// Reads parameters.
///
/// # Errors
///
/// Code 1002 with the JSON pointer, what was expected, what was found, and the nearest name.
pub(crate) fn parse<T: DeserializeOwned + JsonSchema>(json: &[u8]) -> Result<T> {
    let json = if json.is_empty() || json == b"null" {
        b"{}"
    } else {
        json
    };
    // serde reads a struct from an array too, in the order of its fields: nothing a client should do.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::new(Code::Param, "params must be a JSON object"));
    }
    let mut unknown = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let parsed = serde_ignored::deserialize(&mut reader, |path| unknown.push(path.to_string()));
    match parsed {
        Ok(value) => {
            unknown.retain(|key| !RUNTIME_KEYS.contains(&key.as_str()));
            match unknown.first() {
                None => Ok(value),
                Some(key) => Err(unknown_parameter(key, &names::<T>())),
            }
        }
        // The fast reader knows no paths: read again with one that does, to say where it went wrong.
        Err(_) => parse_slowly(json),
    }
}

/// Reads a session's configuration, which holds the backend's own keys too: those pass by.
///
/// # Errors
///
/// Code 1002, as for parameters, for keys that neither side knows.
pub(crate) fn parse_session<S, C>(json: &[u8]) -> Result<S>
where
    S: DeserializeOwned + JsonSchema,
    C: JsonSchema,
{
    let mut config: Map<String, Value> = if json.is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(json)?
    };
    let (own, backends) = (names::<S>(), names::<C>());
    config.retain(|key, _| own.contains(key) || !backends.contains(key));
    parse(&serde_json::to_vec(&config)?)
}

/// The names that the type's schema has; computed only when something is wrong.
fn names<T: JsonSchema>() -> Vec<String> {
    schema_of::<T>()
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

fn parse_slowly<T: DeserializeOwned + JsonSchema>(json: &[u8]) -> Result<T> {
    let known = names::<T>();
    let mut params: Map<String, Value> = serde_json::from_slice(json).map_err(|error| {
        Error::new(Code::Param, format!("params must be a JSON object: {error}"))
    })?;
    params.retain(|key, _| !RUNTIME_KEYS.contains(&key.as_str()));
    if let Some(key) = params.keys().find(|key| !known.contains(key)) {
        return Err(unknown_parameter(key, &known));
    }
    serde_path_to_error::deserialize(Value::Object(params)).map_err(|error| {
        let pointer = pointer(error.path());
        describe(&pointer, &error.inner().to_string())
    })
}

fn unknown_parameter(path: &str, known: &[String]) -> Error {
    let pointer = format!("/{}", path.replace('.', "/"));
    let nearest = nearest(path, known);
    let message = match nearest {
        Some(name) => format!("parameter {pointer} is not known; did you mean `{name}`?"),
        None if known.is_empty() => format!("parameter {pointer} is not known; the tool takes none"),
        None => format!(
            "parameter {pointer} is not known; the tool takes {}",
            known.join(", ")
        ),
    };
    Error::new(Code::Param, message)
        .with_data(json!({ "pointer": pointer, "found": "unknown parameter", "nearest": nearest }))
}

/// The known name that `name` is most likely a slip of.
pub(crate) fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate.as_str()))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer += &format!("/{index}"),
            Segment::Map { key } => pointer += &format!("/{key}"),
            // A variant's name is no step in the JSON, and of an unknown step there is no name.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// Turns serde's sentence into a pointer, what was expected and what was found.
fn describe(pointer: &str, sentence: &str) -> Error {
    if let Some(field) = sentence
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
    {
        let pointer = format!("{pointer}/{field}");
        return Error::new(Code::Param, format!("parameter {pointer} is missing"))
            .with_data(json!({ "pointer": pointer, "expected": "a value", "found": "nothing" }));
    }
    let (found, expected) = sentence
        .split_once(": ")
        .filter(|(kind, _)| kind.starts_with("invalid "))
        .map_or(sentence, |(_, rest)| rest)
        .split_once(", expected ")
        .map_or((sentence, None), |(found, expected)| (found, Some(plain(expected))));
    let message = match &expected {
        Some(expected) => format!("parameter {pointer}: expected {expected}, found {found}"),
        None => format!("parameter {pointer}: {sentence}"),
    };
    Error::new(Code::Param, message)
        .with_data(json!({ "pointer": pointer, "expected": expected, "found": found }))
}

/// Names Rust's types as JSON's users know them.
fn plain(expected: &str) -> String {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "an integer".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "an integer of at least 0".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Click {
        x: i64,
        #[serde(default)]
        points: Vec<Point>,
    }

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Point {
        x: u8,
    }

    fn read(json: &str) -> Result<Click> {
        parse(json.as_bytes())
    }

    fn message(json: &str) -> String {
        let error = read(json).unwrap_err();
        assert_eq!(error.code(), Code::Param);
        error.message().to_owned()
    }

    #[test]
    fn errors_say_where_and_what() {
        assert_eq!(message("{}"), "parameter /x is missing");
        assert_eq!(
            message(r#"{"x":"a"}"#),
            r#"parameter /x: expected an integer, found string "a""#
        );
        assert_eq!(
            message(r#"{"x":1,"points":[{"x":1},{"x":-4}]}"#),
            "parameter /points/1/x: expected an integer of at least 0, found integer `-4`"
        );
        assert_eq!(
            message(r#"{"x":1,"point":2}"#),
            "parameter /point is not known; did you mean `points`?"
        );
        assert!(message("[1]").starts_with("params must be a JSON object"));
    }

    #[test]
    fn runtime_keys_are_dropped() {
        let json = r#"{"x":1,"worker_id":"w","session_info":{"data":{}}}"#;
        assert_eq!(read(json).unwrap().x, 1);
        assert_eq!(message(r#"{"worker_id":"w"}"#), "parameter /x is missing");
    }

    #[test]
    fn absent_params_are_an_empty_object() {
        assert!(parse::<Map<String, Value>>(b"").unwrap().is_empty());
        assert!(parse::<Map<String, Value>>(b"null").unwrap().is_empty());
    }
}
