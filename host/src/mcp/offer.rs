//! The tools as clients of this protocol see them: other names, the same tools. Made once at start.

use std::{collections::BTreeMap, sync::Arc};

use rmcp::model::{Tool, ToolAnnotations};

use super::{
    compact, own, schema,
    scope::{Patterns, Scope},
};
use crate::{
    catalog::{self, Catalog},
    plugin::Kind,
    schema::nearest,
};

/// A tool that is offered.
pub(super) struct Offered {
    /// The name that dispatch knows: `vm:screenshot`.
    pub(super) action: Box<str>,
    /// Its backend.
    pub(super) backend: Arc<str>,
    /// Whether its backend works in sessions.
    pub(super) in_session: bool,
    /// As clients see it whose connection has a session.
    tool: Tool,
    /// As the others see it, with an argument that names the session.
    with_session: Option<Tool>,
    wants_headers: bool,
}

impl Offered {
    /// As a client sees it.
    pub(super) fn tool(&self, has_handle: bool) -> &Tool {
        let with_session = self.with_session.as_ref().filter(|_| !has_handle);
        with_session.unwrap_or(&self.tool)
    }

    /// Whether the argument `session_id` names the session of the call, rather than being the tool's own.
    pub(super) fn takes_session(&self) -> bool {
        self.with_session.is_some()
    }

    /// Whether a result without structured content would be against its schema.
    pub(super) fn has_output_schema(&self) -> bool {
        self.tool.output_schema.is_some()
    }
}

/// All tools that are offered, by the names that this protocol's clients use.
pub(super) struct Offer {
    tools: BTreeMap<Box<str>, Offered>,
    own: Vec<Tool>,
    compact: Vec<Tool>,
}

impl Offer {
    pub(super) fn new(catalog: &Catalog, patterns: &[String]) -> Self {
        let patterns = Patterns::new(patterns.iter().map(String::as_str));
        let mut tools = BTreeMap::new();
        for tool in catalog.tools().filter(|tool| !tool.hidden) {
            let name = free_name(&tool.name, &tools);
            if patterns.allow(&[&name, &tool.name]) {
                tools.insert(name.clone(), offered(tool, &name));
            }
        }
        Self {
            tools,
            own: own::tools(),
            compact: compact::tools(),
        }
    }

    /// The tool of this name, if the client sees it.
    pub(super) fn find(&self, name: &str, scope: &Scope) -> Option<&Offered> {
        let offered = self.tools.get(name)?;
        sees(scope, name, offered).then_some(offered)
    }

    /// What the client sees, in the order of the names.
    pub(super) fn seen<'a>(
        &'a self,
        scope: &'a Scope,
    ) -> impl Iterator<Item = (&'a str, &'a Offered)> {
        let named = self.tools.iter().map(|(name, offered)| (&**name, offered));
        named.filter(|(name, offered)| sees(scope, name, offered))
    }

    /// The list that a client gets.
    pub(super) fn list(&self, scope: &Scope, has_handle: bool) -> Vec<Tool> {
        if scope.compact {
            self.compact.clone()
        } else {
            self.everything(scope, has_handle)
        }
    }

    /// All that a client can call.
    pub(super) fn everything(&self, scope: &Scope, has_handle: bool) -> Vec<Tool> {
        let in_session = self.seen(scope).any(|(_, offered)| offered.in_session);
        let tools = self.seen(scope);
        let mut tools: Vec<_> = tools.map(|(_, it)| it.tool(has_handle).clone()).collect();
        let own = self.own.iter();
        tools.extend(
            own.filter(|tool| in_session || !own::is_about_sessions(&tool.name))
                .cloned(),
        );
        tools
    }

    /// The tool for the SDK's check of headers that repeat arguments, which costs only tools that have any.
    pub(super) fn tool_with_headers(&self, name: &str) -> Option<&Tool> {
        let offered = self.tools.get(name)?;
        offered.wants_headers.then_some(&offered.tool)
    }

    /// The name most like one that is no tool's.
    pub(super) fn nearest<'a>(&'a self, name: &str, scope: &'a Scope) -> Option<&'a str> {
        // Comparing costs the product of the lengths.
        const LONGEST: usize = 128;
        let seen = self.seen(scope).map(|(name, _)| name);
        (name.len() <= LONGEST).then(|| nearest(name, seen))?
    }
}

fn sees(scope: &Scope, name: &str, offered: &Offered) -> bool {
    let of_backend = |backend: &str| *backend == *offered.backend;
    scope.backend.as_deref().is_none_or(of_backend)
        && scope.patterns.allow(&[name, &offered.action])
}

/// `vm:screenshot` as `vm_screenshot`, or with more underscores where another tool has that name.
fn free_name(full: &str, taken: &BTreeMap<Box<str>, Offered>) -> Box<str> {
    let (backend, action) = full.split_once(':').unwrap_or((full, ""));
    let mut between = "_".to_owned();
    loop {
        let name = format!("{backend}{between}{action}");
        if !taken.contains_key(&*name) && !own::has(&name) && !compact::has(&name) {
            return name.into();
        }
        between.push('_');
    }
}

fn offered(tool: &catalog::Tool, name: &str) -> Offered {
    let written = &tool.backend.plugin.description.tools[tool.index as usize];
    let input = schema::input(&written.input_schema);
    let in_session = tool.backend.kind != Kind::Shared;
    let with_session = in_session.then(|| schema::with_session(&input)).flatten();
    let annotations = ToolAnnotations::from_raw(
        None,
        Some(written.read_only),
        Some(written.destructive),
        Some(written.idempotent),
        None,
    );
    let mut listed = Tool::new(name.to_owned(), written.description.clone(), input)
        .with_annotations(annotations);
    listed.title = Some(written.title.clone()).filter(|title| !title.is_empty());
    listed.output_schema = schema::output(written.output_schema.as_deref());
    let with_session = with_session.map(|schema| {
        let mut tool = listed.clone();
        tool.input_schema = Arc::new(schema);
        tool
    });
    Offered {
        action: tool.name.clone(),
        backend: Arc::clone(&tool.backend.name),
        in_session,
        tool: listed,
        with_session,
        wants_headers: schema::wants_headers(&written.input_schema),
    }
}
