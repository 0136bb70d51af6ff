//! Holds `docs/configuration.md` to the schema: its reference is generated, and this test refuses drift.
//!
//! To renew it after a change of the keys: `SANDBOX_WRITE_DOCS=1 cargo test -p sandbox --test it documentation`.

use std::{fmt::Write, fs};

use sandbox::config::{json_schema, refused_keys};
use serde_json::{Map, Value};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const BEGIN: &str = "<!-- generated from the schema: begin -->\n";
const END: &str = "<!-- generated from the schema: end -->";

#[test]
fn the_reference_names_every_key() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("the page marks where the reference begins");
    let (written, after) = rest
        .split_once(END)
        .expect("the page marks where the reference ends");
    let generated = reference(&json_schema());
    if std::env::var_os("SANDBOX_WRITE_DOCS").is_some() {
        fs::write(PAGE, format!("{before}{BEGIN}{generated}{END}{after}")).unwrap();
        return;
    }
    assert!(
        written == generated,
        "docs/configuration.md no longer matches the keys; renew it with\n  \
         SANDBOX_WRITE_DOCS=1 cargo test -p sandbox --test it documentation"
    );
}

fn reference(schema: &Value) -> String {
    let mut text = String::new();
    object(schema, schema, "", &mut text);
    text.push_str("\n### Keys that are refused\n\n| key | why | what to do |\n|---|---|---|\n");
    for (key, reason, advice) in refused_keys() {
        let _ = writeln!(text, "| `{key}` | {reason} | {advice} |");
    }
    text.push('\n');
    text
}

/// One section per object: its own keys in a table, then the objects inside it.
fn object(root: &Value, node: &Value, at: &str, text: &mut String) {
    let Some(properties) = node["properties"].as_object() else {
        return;
    };
    let required = node["required"].as_array().cloned().unwrap_or_default();
    let title = if at.is_empty() {
        "The file".to_owned()
    } else {
        format!("`{at}`")
    };
    let _ = write!(
        text,
        "\n### {title}\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
    );
    for (key, property) in properties {
        let default = match (
            &property["default"],
            required.contains(&Value::from(key.as_str())),
        ) {
            (_, true) => "required".to_owned(),
            (Value::Null | Value::Object(_), _) => "–".to_owned(),
            (default, _) => format!("`{default}`"),
        };
        let meaning = meaning(property).replace('\n', " ");
        let _ = writeln!(
            text,
            "| `{key}` | {} | {default} | {meaning} |",
            value(root, property)
        );
    }
    for (key, property) in properties {
        let path = if at.is_empty() {
            key.clone()
        } else {
            format!("{at}.{key}")
        };
        let inner = resolved(root, property);
        object(root, inner, &path, text);
        if let Some(entries) = inner
            .get("additionalProperties")
            .filter(|entries| entries.is_object())
        {
            object(
                root,
                resolved(root, entries),
                &format!("{path}.<name>"),
                text,
            );
        }
        if let Some(items) = inner.get("items") {
            object(root, resolved(root, items), &format!("{path}[]"), text);
        }
    }
}

fn meaning(property: &Value) -> &str {
    let said = property["description"].as_str();
    said.unwrap_or_else(|| panic!("every key needs a description: {property}"))
}

fn resolved<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    let target = |node: &'a Value| root.pointer(node.get("$ref")?.as_str()?.strip_prefix('#')?);
    let optional = |node: &'a Value| node.get("anyOf")?.as_array()?.iter().find_map(target);
    target(node).or_else(|| optional(node)).unwrap_or(node)
}

fn value(root: &Value, property: &Value) -> String {
    let node = resolved(root, property);
    // Among the alternatives is the placeholder, which the text tells of.
    let alternatives = node["anyOf"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let options = || alternatives.iter().find_map(|one| one["enum"].as_array());
    if let Some(options) = options() {
        return choices(options);
    }
    let named: Vec<Value> = alternatives
        .iter()
        .filter_map(|one| one.get("const").cloned())
        .collect();
    if !named.is_empty() {
        return choices(&named);
    }
    let kinds = match &node["type"] {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let kind = kinds[0].as_str().unwrap_or("any");
    let Some(node) = node.as_object() else {
        return kind.to_owned();
    };
    match kind {
        "integer" | "number" => format!("{kind}{}", range(node)),
        "array" => format!("list of {}s", value(root, &node["items"])),
        _ => kind.to_owned(),
    }
}

fn choices(options: &[Value]) -> String {
    let mut words: Vec<String> = Vec::new();
    for option in options {
        let word = option.as_str().unwrap_or_default().to_lowercase();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn range(node: &Map<String, Value>) -> String {
    match (node.get("minimum"), node.get("maximum")) {
        // The bounds of times and of the integer types themselves tell nobody anything.
        (_, Some(most)) if most.as_f64() >= Some(3e9) => String::new(),
        (Some(least), Some(most)) => format!(" {least}–{most}"),
        _ => String::new(),
    }
}
