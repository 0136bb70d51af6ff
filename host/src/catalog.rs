//! Which backends there are, and which tool a name means. Made once at start, then only read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sandbox_protocol::{
    ErrorKind, Resolution, ToolIndex,
    names::DuplicateTool,
    response::{ToolDescription, ToolList},
};
use serde_json::{json, value::RawValue};

use crate::{
    backend::Backend,
    failure::Failure,
    observe::numbers::ToolNumbers,
    plugin::{self, Kind},
    schema::Checker,
};

/// A tool, ready to be called.
pub struct Tool {
    /// Its backend.
    pub backend: Arc<Backend>,
    /// Its place in the backend's description.
    pub index: u32,
    /// Its full name.
    pub name: Box<str>,
    /// How long it may run, unless the call says otherwise.
    pub timeout: Duration,
    /// Not shown in lists unless asked for.
    pub hidden: bool,
    /// Runs without a session of the worker's.
    pub stateless: bool,
    /// Checks parameters for a plugin that does not do so itself.
    pub checker: Option<Arc<Checker>>,
    /// Its counters.
    pub numbers: ToolNumbers,
    /// What clients read about it.
    pub description: ToolDescription,
}

/// All backends and their tools.
pub struct Catalog {
    backends: BTreeMap<Box<str>, Arc<Backend>>,
    tools: ToolIndex<Tool>,
}

impl Catalog {
    /// Builds the catalog.
    ///
    /// # Errors
    ///
    /// When two tools have one name.
    pub fn new(backends: Vec<Arc<Backend>>) -> Result<Self, DuplicateTool> {
        let tools = ToolIndex::new(backends.iter().flat_map(tools_of))?;
        let by_name = backends
            .into_iter()
            .map(|backend| (backend.name.as_ref().into(), backend));
        Ok(Self {
            backends: by_name.collect(),
            tools,
        })
    }

    /// The tool that a name means.
    ///
    /// # Errors
    ///
    /// Code 1001, with the candidates or the nearest names.
    pub fn tool(&self, name: &str) -> Result<&Tool, Failure> {
        match self.tools.resolve(name) {
            Resolution::Found(tool) => Ok(tool),
            Resolution::Ambiguous(candidates) => Err(Failure::new(
                ErrorKind::ToolAmbiguous,
                format!(
                    "several tools are called `{name}`: {}",
                    candidates.join(", ")
                ),
            )
            .with_data(json!({ "candidates": candidates }))),
            Resolution::NotFound => Err(self.no_tool(name)),
        }
    }

    fn no_tool(&self, name: &str) -> Failure {
        /// As much of an unknown name as is worth repeating.
        const SHOWN: usize = 80;
        let shown: String = name.chars().take(SHOWN).collect();
        let nearest = self.tools.nearest(name);
        let advice = if nearest.is_empty() {
            "GET /api/v1/tools lists what there is".to_owned()
        } else {
            format!("did you mean {}?", nearest.join(" or "))
        };
        Failure::new(
            ErrorKind::ToolNotFound,
            format!("no tool is called `{shown}`; {advice}"),
        )
        .with_data(json!({ "nearest": nearest }))
    }

    /// The backend of this resource type.
    ///
    /// # Errors
    ///
    /// Code 1005.
    pub fn backend(&self, name: &str) -> Result<&Arc<Backend>, Failure> {
        self.backends.get(name).ok_or_else(|| {
            let names: Vec<_> = self.backends.keys().map(AsRef::as_ref).collect();
            let message = format!(
                "no backend has the resource type `{name}`; there are: {}",
                names.join(", ")
            );
            Failure::new(ErrorKind::ResourceNotFound, message)
        })
    }

    /// All backends, by name.
    pub fn backends(&self) -> impl ExactSizeIterator<Item = &Arc<Backend>> {
        self.backends.values()
    }

    /// All tools, once per name, by name.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter().map(|(_, tool)| tool)
    }

    /// The tools that a list shows.
    pub fn shown(&self) -> impl Iterator<Item = &Tool> {
        self.tools().filter(|tool| !tool.hidden)
    }

    /// How many tools a list shows.
    pub fn visible(&self) -> usize {
        self.shown().count()
    }

    /// What clients read about all tools.
    pub fn list(&self, include_hidden: bool) -> ToolList {
        let shown = self
            .tools
            .iter()
            .filter(|(_, tool)| include_hidden || !tool.hidden);
        let tools: Vec<_> = shown.map(|(_, tool)| tool.description.clone()).collect();
        ToolList {
            count: tools.len(),
            tools,
        }
    }
}

/// A backend's tools, once per name that they have.
fn tools_of(backend: &Arc<Backend>) -> Vec<(Box<str>, Tool)> {
    let description = &backend.plugin.description;
    let tools = description.tools.iter().zip(0..).flat_map(|(tool, index)| {
        let names = std::iter::once(&tool.name).chain(&tool.aliases);
        names.map(move |name| (name.as_str().into(), entry(backend, tool, index, name)))
    });
    tools.collect()
}

fn entry(backend: &Arc<Backend>, tool: &plugin::Tool, index: u32, name: &str) -> Tool {
    let stateless = backend.kind == Kind::Shared;
    let action = name.split_once(':').map_or(name, |(_, action)| action);
    Tool {
        backend: Arc::clone(backend),
        index,
        name: name.into(),
        timeout: tool
            .timeout
            .map_or(backend.limits.tool, Duration::from_secs_f64),
        hidden: tool.hidden || name != tool.name,
        stateless,
        checker: tool.checker.clone(),
        numbers: ToolNumbers::default(),
        description: ToolDescription {
            name: action.to_owned(),
            full_name: name.to_owned(),
            resource_type: Some(tool.resource_type.clone()),
            stateless,
            description: tool.description.clone(),
            input_schema: tool.input_schema.clone(),
            annotations: annotations(tool),
        },
    }
}

/// The hints of a tool, under the names that MCP gave them.
fn annotations(tool: &plugin::Tool) -> Box<RawValue> {
    let hints = json!({
        "title": tool.title,
        "readOnlyHint": tool.read_only,
        "destructiveHint": tool.destructive,
        "idempotentHint": tool.idempotent,
    });
    RawValue::from_string(hints.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
