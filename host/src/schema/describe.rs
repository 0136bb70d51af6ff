//! Says in words what a schema expects and what a value is. Owns the wording, not the finding of faults.

use serde_json::{Map, Value};

/// References and alternatives are followed this deep; a schema that nests further is described as "a value".
const DEPTH: usize = 8;

/// A string that was found is quoted up to this many characters: enough to recognise it.
const QUOTED: usize = 60;

/// What `node` of the schema `root` accepts, as the end of a sentence that begins with "expected".
pub(super) fn expected(root: &Value, node: &Value) -> String {
    describe(root, node, DEPTH)
}

/// What `value` is, as the end of a sentence that begins with "found".
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => {
            let cut: String = text.chars().take(QUOTED).collect();
            let more = if cut.len() < text.len() { "…" } else { "" };
            format!("the string {cut:?}{more}")
        }
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn describe(root: &Value, node: &Value, depth: usize) -> String {
    let Some(node) = node.as_object().filter(|_| depth > 0) else {
        return "a value".to_owned();
    };
    if let Some(target) = reference(root, node) {
        return describe(root, target, depth - 1);
    }
    if let Some(Value::Array(options)) = node.get("enum") {
        return alternatives(once_in_any_case(options).map(named));
    }
    if let Some(constant) = node.get("const") {
        return named(constant);
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(Value::Array(branches)) = node.get(keyword) {
            return alternatives(
                branches
                    .iter()
                    .map(|branch| describe(root, branch, depth - 1)),
            );
        }
    }
    match node.get("type") {
        Some(Value::String(kind)) => of_type(node, kind),
        Some(Value::Array(kinds)) => alternatives(
            kinds
                .iter()
                .filter_map(Value::as_str)
                .map(|kind| of_type(node, kind)),
        ),
        _ => "a value".to_owned(),
    }
}

/// What a local `$ref` of `node` points to.
pub(super) fn reference<'a>(root: &'a Value, node: &Map<String, Value>) -> Option<&'a Value> {
    let target = node.get("$ref")?.as_str()?;
    root.pointer(target.strip_prefix('#')?)
}

fn of_type(node: &Map<String, Value>, kind: &str) -> String {
    match kind {
        "integer" => bounded(node, "an integer"),
        "number" => bounded(node, "a number"),
        "boolean" => "true or false".to_owned(),
        "null" => "null".to_owned(),
        "array" => "an array".to_owned(),
        "object" => "an object".to_owned(),
        "string" => text(node),
        other => format!("a value of type {other}"),
    }
}

fn bounded(node: &Map<String, Value>, kind: &str) -> String {
    let bound = |keyword: &str| node.get(keyword).filter(|bound| bound.is_number());
    match (
        bound("minimum"),
        bound("maximum"),
        bound("exclusiveMinimum"),
    ) {
        (Some(low), Some(high), _) => format!("{kind} from {low} to {high}"),
        (Some(low), None, _) => format!("{kind}, at least {low}"),
        (None, Some(high), Some(above)) => format!("{kind} above {above}, at most {high}"),
        (None, Some(high), None) => format!("{kind}, at most {high}"),
        (None, None, Some(above)) => format!("{kind} above {above}"),
        (None, None, None) => kind.to_owned(),
    }
}

fn text(node: &Map<String, Value>) -> String {
    if let Some(pattern) = node.get("pattern").and_then(Value::as_str) {
        return format!("a string that matches `{pattern}`");
    }
    match node.get("minLength").and_then(Value::as_u64) {
        Some(1) => "a non-empty string".to_owned(),
        Some(least @ 2..) => format!("a string of at least {least} characters"),
        _ => "a string".to_owned(),
    }
}

fn named(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => other.to_string(),
    }
}

/// Options that differ only in case are one choice to a reader: the first spelling stands for all.
fn once_in_any_case(options: &[Value]) -> impl Iterator<Item = &Value> {
    options.iter().enumerate().filter_map(|(index, option)| {
        let said = option.as_str().is_some_and(|text| {
            options[..index]
                .iter()
                .filter_map(Value::as_str)
                .any(|earlier| earlier.eq_ignore_ascii_case(text))
        });
        (!said).then_some(option)
    })
}

fn alternatives(options: impl Iterator<Item = String>) -> String {
    let mut options: Vec<String> = options.collect();
    options.dedup();
    match options.pop() {
        None => "nothing".to_owned(),
        Some(last) if options.is_empty() => last,
        Some(last) => format!("{} or {last}", options.join(", ")),
    }
}
