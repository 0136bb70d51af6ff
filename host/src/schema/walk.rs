//! Walks a value and its schema side by side. Owns the walk, and the finding of declared paths and of known keys.

use serde_json::{Map, Value};

use super::{describe::reference, pointer::child};

/// Schemas may refer to themselves; no configuration is nested this deep.
const DEPTH: usize = 32;

/// Keys are looked for this deep; each reference costs a step.
const HOME_DEPTH: usize = 10;

/// Pointers of all strings of `value` whose schema says `"format": "path"`.
pub(super) fn paths(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    visit(schema, value, &mut |node, value, at| {
        if value.is_string() && node.get("format").is_some_and(|format| format == "path") {
            found.push(at.to_owned());
        }
    });
    found.sort();
    found.dedup();
    found
}

/// Shows `seen` every part of `value` with each part of the schema that is about it, and its pointer.
pub(super) fn visit(
    schema: &Value,
    value: &Value,
    seen: &mut impl FnMut(&Map<String, Value>, &Value, &str),
) {
    step(schema, schema, value, "", DEPTH, seen);
}

fn step(
    root: &Value,
    node: &Value,
    value: &Value,
    at: &str,
    depth: usize,
    seen: &mut impl FnMut(&Map<String, Value>, &Value, &str),
) {
    let Some(node) = node.as_object().filter(|_| depth > 0) else {
        return;
    };
    seen(node, value, at);
    if let Some(target) = reference(root, node) {
        step(root, target, value, at, depth - 1, seen);
    }
    for branch in branches(node) {
        step(root, branch, value, at, depth - 1, seen);
    }
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                if let Some(items) = node.get("items") {
                    let at = child(at, index.to_string());
                    step(root, items, element, &at, depth - 1, seen);
                }
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                let declared = node
                    .get("properties")
                    .and_then(|properties| properties.get(key));
                if let Some(next) = declared.or_else(|| node.get("additionalProperties")) {
                    step(root, next, member, &child(at, key), depth - 1, seen);
                }
            }
        }
        _ => {}
    }
}

/// All keys that `node` declares for an object, its alternatives' and parts' included.
pub(super) fn known_keys<'a>(root: &'a Value, node: &'a Value) -> Vec<&'a str> {
    let mut keys = Vec::new();
    collect_keys(root, node, DEPTH, &mut keys);
    keys
}

fn collect_keys<'a>(root: &'a Value, node: &'a Value, depth: usize, keys: &mut Vec<&'a str>) {
    let Some(node) = node.as_object().filter(|_| depth > 0) else {
        return;
    };
    if let Some(Value::Object(properties)) = node.get("properties") {
        for key in properties.keys() {
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
    }
    if let Some(target) = reference(root, node) {
        collect_keys(root, target, depth - 1, keys);
    }
    for branch in branches(node) {
        collect_keys(root, branch, depth - 1, keys);
    }
}

/// The objects, as dotted paths, in which `key` would be known.
pub(super) fn homes(schema: &Value, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect_homes(schema, schema, key, "", HOME_DEPTH, &mut found);
    found.dedup();
    found
}

fn collect_homes(
    root: &Value,
    node: &Value,
    key: &str,
    at: &str,
    depth: usize,
    found: &mut Vec<String>,
) {
    let Some(node) = node.as_object().filter(|_| depth > 0) else {
        return;
    };
    if let Some(target) = reference(root, node) {
        collect_homes(root, target, key, at, depth - 1, found);
    }
    for branch in branches(node) {
        collect_homes(root, branch, key, at, depth - 1, found);
    }
    if let Some(Value::Object(properties)) = node.get("properties") {
        if properties.contains_key(key) {
            found.push(at.to_owned());
        }
        for (name, property) in properties {
            let below = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}.{name}")
            };
            collect_homes(root, property, key, &below, depth - 1, found);
        }
    }
    if let Some(entry) = node.get("additionalProperties") {
        collect_homes(root, entry, key, &format!("{at}.<name>"), depth - 1, found);
    }
}

fn branches(node: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    ["allOf", "anyOf", "oneOf"]
        .into_iter()
        .filter_map(|keyword| node.get(keyword)?.as_array())
        .flatten()
}
