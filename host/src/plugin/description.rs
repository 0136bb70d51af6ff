//! What a backend offers, as its library describes it once it is loaded: read into types, and checked
//! before anything is made from it. Owns the meaning of the description's JSON.

mod fault;

use std::{collections::HashSet, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

pub use fault::DescriptionFault;

use super::inspect::DeclaredBackend;
use crate::schema::{Checker, SchemaError};

/// Which of its resources a backend has per session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Everything is shared: no sessions.
    Shared,
    /// A resource per session.
    Session,
    /// Something shared, and a part of it per session.
    Hybrid,
}

impl Kind {
    /// Its name, as configurations and descriptions spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Session => "session",
            Self::Hybrid => "hybrid",
        }
    }
}

/// What a backend offers.
#[derive(Debug)]
pub struct Description {
    /// Its name: resource type, and prefix of its tools.
    pub name: String,
    /// Its class in its library.
    pub class: String,
    /// Its kind.
    pub kind: Kind,
    /// What it is for.
    pub description: String,
    /// Its own version.
    pub version: String,
    /// Whether its library checks parameters itself.
    pub checks_params: bool,
    /// Its configuration.
    pub config: Checker,
    /// The configuration of its sessions.
    pub session_config: Checker,
    /// Its tools; an operation names them by their place.
    pub tools: Vec<Tool>,
}

/// A tool of a backend.
#[derive(Debug, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the hints of the description's JSON"
)]
pub struct Tool {
    /// Its full name.
    pub name: String,
    /// Further full names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The resource type it belongs to; the backend's name when its library does not say.
    #[serde(default)]
    pub resource_type: String,
    /// A title for people.
    #[serde(default)]
    pub title: String,
    /// When and how to use it.
    #[serde(default)]
    pub description: String,
    /// Whether lists leave it out.
    #[serde(default)]
    pub hidden: bool,
    /// How long it may take, in seconds.
    #[serde(default)]
    pub timeout: Option<f64>,
    /// Changes nothing.
    #[serde(default)]
    pub read_only: bool,
    /// May destroy something.
    #[serde(default)]
    pub destructive: bool,
    /// Calling it twice is the same as calling it once.
    #[serde(default)]
    pub idempotent: bool,
    /// Whether it works in a session.
    #[serde(default)]
    pub needs_session: bool,
    /// The schema of its parameters, as the library wrote it.
    #[serde(default = "any_object")]
    pub input_schema: Box<RawValue>,
    /// The schema of its result, as the library wrote it.
    #[serde(default)]
    pub output_schema: Option<Box<RawValue>>,
    /// Checks parameters for a library that does not.
    #[serde(skip)]
    pub checker: Option<Arc<Checker>>,
}

/// The description as it is written.
#[derive(Deserialize)]
struct Written {
    name: String,
    class: String,
    kind: Kind,
    #[serde(default)]
    description: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    checks_params: bool,
    #[serde(default)]
    config_schema: Option<Value>,
    #[serde(default)]
    session_config_schema: Option<Value>,
    #[serde(default)]
    tools: Vec<Tool>,
}

impl Description {
    /// Reads a description of the backend that the manifest declares.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub(super) fn read(
        json: &[u8],
        declared: &DeclaredBackend,
    ) -> Result<Self, Vec<DescriptionFault>> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let mut written: Written =
            serde_path_to_error::deserialize(&mut reader).map_err(|error| {
                vec![DescriptionFault::Unreadable {
                    reason: error.to_string(),
                }]
            })?;
        let mut faults = Vec::new();
        compare("name", &declared.name, &written.name, &mut faults);
        compare("class", &declared.class, &written.class, &mut faults);
        let config = compile(
            "the configuration's schema",
            written.config_schema,
            &mut faults,
        );
        let session = compile(
            "the session configuration's schema",
            written.session_config_schema,
            &mut faults,
        );
        let mut names = HashSet::new();
        for tool in &mut written.tools {
            if tool.resource_type.is_empty() {
                tool.resource_type.clone_from(&written.name);
            }
            check_names(tool, &mut names, &mut faults);
            check_rest(tool, written.kind, &mut faults);
            let checker = check_schemas(tool, &mut faults);
            if !written.checks_params {
                tool.checker = checker.map(Arc::new);
            }
        }
        match (config, session) {
            (Some(config), Some(session_config)) if faults.is_empty() => Ok(Self {
                name: written.name,
                class: written.class,
                kind: written.kind,
                description: written.description,
                version: written.version,
                checks_params: written.checks_params,
                config,
                session_config,
                tools: written.tools,
            }),
            _ => Err(faults),
        }
    }
}

fn compare(
    what: &'static str,
    manifest: &str,
    description: &str,
    faults: &mut Vec<DescriptionFault>,
) {
    if manifest != description {
        faults.push(DescriptionFault::OtherThanManifest {
            what,
            manifest: manifest.to_owned(),
            description: description.to_owned(),
        });
    }
}

/// A schema that is absent allows every object.
fn compile(
    what: &str,
    schema: Option<Value>,
    faults: &mut Vec<DescriptionFault>,
) -> Option<Checker> {
    let schema = schema.unwrap_or_else(|| json!({ "type": "object" }));
    let fault = |SchemaError { pointer, reason }| DescriptionFault::Schema {
        what: what.to_owned(),
        pointer,
        reason,
    };
    Checker::compile(schema)
        .map_err(|error| faults.push(fault(error)))
        .ok()
}

fn check_names(tool: &Tool, known: &mut HashSet<String>, faults: &mut Vec<DescriptionFault>) {
    for name in std::iter::once(&tool.name).chain(&tool.aliases) {
        if !is_name(name, &tool.resource_type) {
            faults.push(DescriptionFault::ToolName {
                name: name.clone(),
                resource: tool.resource_type.clone(),
            });
        }
        if !known.insert(name.clone()) {
            faults.push(DescriptionFault::ToolTwice { name: name.clone() });
        }
    }
}

/// Whether this is `action` or `resource:action`, in signs that need no quoting anywhere.
fn is_name(name: &str, resource: &str) -> bool {
    let part = |part: &str| {
        let sign = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '-' | '.');
        !part.is_empty() && part.len() <= 128 && part.chars().all(sign)
    };
    match name.split_once(':') {
        Some((prefix, action)) => prefix == resource && part(prefix) && part(action),
        None => part(name),
    }
}

fn check_rest(tool: &Tool, kind: Kind, faults: &mut Vec<DescriptionFault>) {
    // A duration that no clock can hold is no limit either.
    let limit =
        |seconds: f64| seconds > 0.0 && std::time::Duration::try_from_secs_f64(seconds).is_ok();
    if !tool.timeout.is_none_or(limit) {
        faults.push(DescriptionFault::Timeout {
            tool: tool.name.clone(),
        });
    }
    if tool.needs_session && kind == Kind::Shared {
        faults.push(DescriptionFault::SessionInShared {
            tool: tool.name.clone(),
        });
    }
}

fn check_schemas(tool: &Tool, faults: &mut Vec<DescriptionFault>) -> Option<Checker> {
    let read = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or(Value::Null);
    let output = tool.output_schema.as_deref().map(read);
    if let Some(output) = output.filter(|output| !output.is_null()) {
        compile(
            &format!("the result's schema of `{}`", tool.name),
            Some(output),
            faults,
        );
    }
    let input: Value = read(&tool.input_schema);
    let kind = input.get("type").cloned();
    let what = format!("the parameters' schema of `{}`", tool.name);
    let checker = compile(&what, Some(input), faults)?;
    if let Some(kind) = kind.filter(|kind| kind != "object") {
        faults.push(DescriptionFault::NoObject {
            tool: tool.name.clone(),
            found: kind
                .as_str()
                .map_or_else(|| kind.to_string(), ToOwned::to_owned),
        });
    }
    Some(checker)
}

fn any_object() -> Box<RawValue> {
    RawValue::from_string(r#"{"type":"object"}"#.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(description: &Value) -> Result<Description, Vec<String>> {
        let declared = DeclaredBackend {
            name: "a".to_owned(),
            class: "A".to_owned(),
            ..DeclaredBackend::default()
        };
        let faults =
            |faults: Vec<DescriptionFault>| faults.iter().map(ToString::to_string).collect();
        Description::read(description.to_string().as_bytes(), &declared).map_err(faults)
    }

    #[test]
    fn the_shortest_description() {
        let said = json!({"name": "a", "class": "A", "kind": "shared", "tools": [{"name": "a:b"}]});
        let description = read(&said).unwrap();
        let tool = &description.tools[0];
        assert_eq!((tool.resource_type.as_str(), tool.timeout), ("a", None));
        let checker = tool.checker.as_ref().unwrap();
        assert!(checker.is_valid(&json!({})) && !checker.is_valid(&json!([])));
    }

    #[test]
    fn a_library_that_checks_needs_no_checker() {
        let said = json!({"name": "a", "class": "A", "kind": "hybrid", "checks_params": true,
            "tools": [{"name": "b", "timeout": 0.5, "output_schema": null}]});
        assert!(read(&said).unwrap().tools[0].checker.is_none());
    }

    #[test]
    fn every_fault_is_told() {
        let said = json!({"name": "b", "class": "A", "kind": "shared",
        "config_schema": {"type": "objekt"},
        "tools": [
            {"name": "a:x y"}, {"name": "c:x"}, {"name": "t", "aliases": ["t"], "timeout": 0},
            {"name": "s", "needs_session": true, "input_schema": {"type": "array"}},
            {"name": "o", "output_schema": {"required": "x"}}]});
        let told = read(&said).unwrap_err().join("\n");
        for fault in [
            "the manifest says the name `a`, the description `b`",
            "the configuration's schema is not a JSON Schema: at `/type`",
            "`a:x y` is no name for a tool",
            "`c:x` is no name for a tool",
            "two tools have the name `t`",
            "the timeout of `t`",
            "`s` needs a session",
            "the parameters of `s` must be a JSON object, and its schema says `array`",
            "the result's schema of `o` is not a JSON Schema: at `/required`",
        ] {
            assert!(told.contains(fault), "{fault} is not in:\n{told}");
        }
    }

    #[test]
    fn what_is_no_description() {
        let told = read(&json!({"name": "a", "class": "A", "kind": "odd"})).unwrap_err();
        assert!(
            told[0].starts_with("the description cannot be read: kind: unknown variant `odd`"),
            "{told:?}"
        );
    }
}
