//! What a caller reads when parameters do not fit: where, what was expected, what was found.

use serde_json::{Value, json};

use crate::error::{Code, Error};

/// A step on the way to a value.
pub(super) enum Step {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(usize),
}

/// The way to a key that nothing read.
pub(super) fn steps_of_ignored(path: &serde_ignored::Path<'_>) -> Vec<Step> {
    use serde_ignored::Path;
    let (parent, step) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Some(Step::Index(*index))),
        Path::Map { parent, key } => (parent, Some(Step::Key(key.clone()))),
        // An option and a newtype are no steps in the JSON.
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => (parent, None),
    };
    let mut steps = steps_of_ignored(parent);
    steps.extend(step);
    steps
}

/// The way to a value that does not fit.
pub(super) fn steps_of(path: &serde_path_to_error::Path) -> Vec<Step> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Map { key } => Some(Step::Key(key.clone())),
            // A variant's name is no step in the JSON, and of an unknown step there is no name.
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// The complaint about a key that nothing knows.
pub(super) fn unknown(steps: &[Step], schema: &Value) -> Error {
    let pointer = pointer(steps);
    let (known, name) = match steps.split_last() {
        Some((Step::Key(name), way)) => (names(follow(schema, way)), name.as_str()),
        _ => (Vec::new(), ""),
    };
    let nearest = nearest(name, &known);
    let advice = match (nearest, known.as_slice()) {
        (Some(name), _) => format!("did you mean `{name}`?"),
        (None, []) => "there are none".to_owned(),
        (None, [only]) => format!("there is {only}"),
        (None, _) => format!("there are {}", known.join(", ")),
    };
    let message = format!("parameter {pointer} is not known; {advice}");
    let data = json!({ "pointer": pointer, "found": "unknown parameter", "nearest": nearest });
    Error::new(Code::Param, message).with_data(data)
}

/// Turns serde's sentence into a pointer, what was expected and what was found.
pub(super) fn misfit(steps: &[Step], sentence: &str, schema: &Value) -> Error {
    let quoted = |start| {
        sentence
            .strip_prefix(start)
            .and_then(|rest| rest.split('`').next())
    };
    let below = |name: &str| {
        let name = Step::Key(name.to_owned());
        let mut way: Vec<Step> = steps.iter().map(Step::copy).collect();
        // Some readers count the name as a step, others stop before it.
        if !matches!((steps.last(), &name), (Some(Step::Key(last)), Step::Key(name)) if last == name)
        {
            way.push(name);
        }
        way
    };
    if let Some(name) = quoted("unknown field `") {
        return unknown(&below(name), schema);
    }
    if let Some(name) = quoted("missing field `") {
        let pointer = pointer(&below(name));
        let data = json!({ "pointer": pointer, "expected": "a value", "found": "nothing" });
        let message = format!("parameter {pointer} is missing");
        return Error::new(Code::Param, message).with_data(data);
    }
    let pointer = pointer(steps);
    let (found, expected) = found_and_expected(sentence);
    let message = match &expected {
        Some(expected) => format!("parameter {pointer}: expected {expected}, found {found}"),
        None => format!("parameter {pointer}: {sentence}"),
    };
    let data = json!({ "pointer": pointer, "expected": expected, "found": found });
    Error::new(Code::Param, message).with_data(data)
}

impl Step {
    fn copy(&self) -> Self {
        match self {
            Self::Key(key) => Self::Key(key.clone()),
            Self::Index(index) => Self::Index(*index),
        }
    }
}

/// Takes "invalid type: string "a", expected i64" apart.
fn found_and_expected(sentence: &str) -> (&str, Option<String>) {
    let rest = sentence
        .split_once(": ")
        .filter(|(kind, _)| kind.starts_with("invalid "))
        .map_or(sentence, |(_, rest)| rest);
    rest.split_once(", expected ")
        .map_or((sentence, None), |(found, expected)| {
            (found, Some(plain(expected, found)))
        })
}

/// Names Rust's types as users of JSON know them; the range only to those who gave an integer.
fn plain(expected: &str, found: &str) -> String {
    let range = match expected {
        "i64" | "i128" | "isize" => "",
        "u64" | "u128" | "usize" => " of at least 0",
        "i8" => " from -128 to 127",
        "u8" => " from 0 to 255",
        "i16" => " from -32768 to 32767",
        "u16" => " from 0 to 65535",
        "i32" => " from -2147483648 to 2147483647",
        "u32" => " from 0 to 4294967295",
        "f32" | "f64" => return "a number".to_owned(),
        "a sequence" => return "an array".to_owned(),
        "a map" => return "an object".to_owned(),
        other => {
            let other = other.strip_prefix("one of ").unwrap_or(other);
            return match other.strip_prefix("struct ") {
                Some(_) => "an object".to_owned(),
                None => other.to_owned(),
            };
        }
    };
    let range = if found.starts_with("integer") {
        range
    } else {
        ""
    };
    format!("an integer{range}")
}

/// RFC 6901.
fn pointer(steps: &[Step]) -> String {
    let mut pointer = String::new();
    for step in steps {
        pointer.push('/');
        match step {
            Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

/// The schema at the end of the way, as far as it is plain objects, arrays and options.
fn follow<'a>(schema: &'a Value, way: &[Step]) -> &'a Value {
    way.iter().fold(schema, |schema, step| {
        let schema = through_option(schema);
        match step {
            Step::Key(key) => &schema["properties"][key],
            Step::Index(_) => &schema["items"],
        }
    })
}

/// The schema of what an option holds.
fn through_option(schema: &Value) -> &Value {
    let options = schema["anyOf"].as_array();
    options
        .and_then(|all| all.iter().find(|one| one["type"] != "null"))
        .unwrap_or(schema)
}

/// The names of a schema's properties: those of all variants of an enum, and of what is flattened into a struct.
pub(super) fn names(schema: &Value) -> Vec<String> {
    let mut names = Vec::new();
    add_names(schema, &mut names);
    names
}

fn add_names(schema: &Value, names: &mut Vec<String>) {
    for name in schema["properties"].as_object().into_iter().flatten() {
        if !names.contains(name.0) {
            names.push(name.0.clone());
        }
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for part in schema[key].as_array().into_iter().flatten() {
            add_names(part, names);
        }
    }
}

/// The known name that `name` is most likely a slip of.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .iter()
        .map(|candidate| {
            let likeness = likeness(&name, &candidate.to_lowercase());
            (likeness, candidate.as_str())
        })
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// How alike two names are, from 0 to 1.
fn likeness(left: &str, right: &str) -> f64 {
    // The first measure sees nothing in common where two letters of a short name changed places.
    let one_slip = left.len() > 2 && strsim::damerau_levenshtein(left, right) == 1;
    strsim::jaro_winkler(left, right).max(if one_slip { 0.8 } else { 0.0 })
}
