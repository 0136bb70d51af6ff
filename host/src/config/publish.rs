//! The JSON Schema of the configuration file: for editors, for the check, for the documentation.
//! Owns what is added to the derived schema: comments, placeholders, the plugins' own schemas, and their former keys.

use schemars::{generate::SchemaSettings, transform::transform_subschemas};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::written::File;
use crate::schema::{FORMER, Former};

/// The schema of the file, with `resources.<name>.config` left open.
pub fn json_schema() -> Value {
    json_schema_with_plugins(std::iter::empty())
}

/// The schema of the file, with the config schema of each given resource in its place.
pub fn json_schema_with_plugins<'a>(
    plugins: impl IntoIterator<Item = (&'a str, &'a Value)>,
) -> Value {
    let mut schema = checked();
    let mut named = Map::new();
    for (name, config) in plugins {
        named.insert(name.to_owned(), with_config(&mut schema, name, config));
    }
    if !named.is_empty() {
        schema["properties"]["resources"]["properties"] = Value::Object(named);
    }
    let Ok(mut schema) = schemars::Schema::try_from(schema) else {
        unreachable!("a schema is an object");
    };
    for_editors(&mut schema);
    schema.to_value()
}

/// The schema that a file is checked against: after comments are dropped and placeholders expanded.
pub(super) fn checked() -> Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<File>()
        .to_value()
}

/// The schema of one resource whose `config` is that of its plugin. The plugin's definitions stay inside
/// an embedded resource of their own (`$id`), so that its references keep their meaning.
fn with_config(schema: &mut Value, name: &str, config: &Value) -> Value {
    let mut config = config.clone();
    if let Some(config) = config.as_object_mut() {
        config.remove("$schema");
        config.insert(
            "$id".to_owned(),
            json!(format!("sandbox:resources/{name}/config")),
        );
    }
    let mut resource = schema["$defs"]["Resource"].clone();
    resource["properties"]["config"] = config;
    resource
}

/// A text that is one placeholder and nothing else.
const PLACEHOLDER: &str = r"^\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}$";

/// Allows in the file what is gone before the check: former keys, comment keys, and `${VAR}` for what is not just any
/// text.
fn for_editors(schema: &mut schemars::Schema) {
    transform_subschemas(&mut for_editors, schema);
    let Some(node) = schema.as_object_mut() else {
        return;
    };
    allow_former(node);
    if node
        .get("additionalProperties")
        .is_some_and(|open| open != true)
    {
        node.insert("patternProperties".to_owned(), json!({"^[_$]": true}));
    }
    let kinds: Vec<Value> = match node.get("type") {
        Some(Value::Array(kinds)) => kinds.clone(),
        Some(kind) => vec![kind.clone()],
        None => Vec::new(),
    };
    let scalar = ["integer", "number", "boolean"];
    if kinds
        .iter()
        .any(|kind| scalar.iter().any(|name| kind == name))
        && !kinds.contains(&json!("string"))
    {
        let mut kinds = kinds;
        kinds.push(json!("string"));
        node.insert("type".to_owned(), Value::Array(kinds));
        node.insert("pattern".to_owned(), json!(PLACEHOLDER));
    } else {
        allow_placeholder(node);
    }
}

/// Beside the texts that are listed or described, a placeholder may stand for one of them.
fn allow_placeholder(node: &mut Map<String, Value>) {
    let placeholder = json!({ "type": "string", "pattern": PLACEHOLDER });
    for rule in ["enum", "pattern"] {
        if !node.contains_key("anyOf")
            && let Some(rest) = node.remove(rule)
        {
            node.insert("anyOf".to_owned(), json!([{ rule: rest }, placeholder]));
        }
    }
    // One that is text may be one of several now.
    if let Some(Value::Array(mut alternatives)) = node.remove("oneOf") {
        let texts = |one: &Value| one.get("const").is_some_and(Value::is_string);
        if alternatives.iter().any(texts) {
            alternatives.push(placeholder);
        }
        node.insert("anyOf".to_owned(), Value::Array(alternatives));
    }
}

/// Declares the former keys of an object that are taken, as deprecated; those that are refused stay unknown.
fn allow_former(node: &mut Map<String, Value>) {
    let Some(Value::Object(former)) = node.get(FORMER).cloned() else {
        return;
    };
    let Some(Value::Object(properties)) = node.get_mut("properties") else {
        return;
    };
    for (key, said) in &former {
        let Ok(former) = Former::deserialize(said) else {
            continue;
        };
        if let (false, Some(declared)) = (properties.contains_key(key), taken(&former, properties))
        {
            properties.insert(key.clone(), declared);
        }
    }
}

/// What a former key takes, if anything.
fn taken(former: &Former, properties: &Map<String, Value>) -> Option<Value> {
    let mut declared = match &former.now {
        Some(now) => properties.get(now)?.clone(),
        None if former.note.is_some() => json!({}),
        None if former.needless.is_empty() => return None,
        None => json!({ "enum": former.needless }),
    };
    let about = match (&former.now, &former.note) {
        (Some(now), _) => format!("Another name of `{now}`."),
        (None, Some(note)) => format!("No effect: {note}."),
        (None, None) => "Says what holds anyway.".to_owned(),
    };
    let declaration = declared.as_object_mut()?;
    declaration.insert("description".to_owned(), json!(about));
    declaration.insert("deprecated".to_owned(), json!(true));
    Some(declared)
}
