//! The compact list: two tools to find and call all others with, for models with little room.

use std::sync::Arc;

use rmcp::model::{CallToolResult, JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use super::{Mcp, reply, visit::Visit};
use crate::failure::Failure;
use sandbox_protocol::ErrorKind;

const SEARCH_TOOLS: &str = "search_tools";
const CALL_TOOL: &str = "call_tool";

/// How many tools a search finds.
const FOUND: usize = 10;

/// What a call of one of the two asks for.
pub(super) enum Asked {
    /// An answer that is here.
    Found(CallToolResult),
    /// A call of this tool with these arguments.
    Call(Box<str>, JsonObject),
}

/// Whether one of the two has this name.
pub(super) fn has(name: &str) -> bool {
    [SEARCH_TOOLS, CALL_TOOL].contains(&name)
}

/// The two tools.
pub(super) fn tools() -> Vec<Tool> {
    let tool = |name, description, schema: Value, annotations| {
        let schema = schema.as_object().cloned().unwrap_or_default();
        Tool::new(name, description, schema).with_annotations(annotations)
    };
    vec![
        tool(
            CALL_TOOL,
            "Call a tool that `search_tools` found.",
            json!({
                "type": "object",
                "properties": {
                    "name": { "type": "string", "description": "The tool's name." },
                    "arguments": { "type": "object", "description": "Its arguments, by its input schema." },
                },
                "required": ["name"],
            }),
            ToolAnnotations::new(),
        ),
        tool(
            SEARCH_TOOLS,
            "Find tools by what they are for; each comes with its input schema. Without words, the names of all.",
            json!({
                "type": "object",
                "properties": { "query": { "type": "string", "description": "Words that say what to do." } },
            }),
            ToolAnnotations::new().read_only(true),
        ),
    ]
}

/// Reads a call of one of the two.
pub(super) fn call(mcp: &Arc<Mcp>, visit: &Visit, name: &str, mut arguments: JsonObject) -> Asked {
    if name == SEARCH_TOOLS {
        let query = arguments.get("query").and_then(Value::as_str);
        return Asked::Found(search(mcp, visit, query.unwrap_or_default()));
    }
    let called = arguments.get("name").and_then(Value::as_str).map(Box::from);
    match (called, arguments.shift_remove("arguments")) {
        (Some(called), Some(Value::Object(arguments))) => Asked::Call(called, arguments),
        (Some(called), None | Some(Value::Null)) => Asked::Call(called, JsonObject::new()),
        _ => {
            let wanted = "`name` must be a string and `arguments` an object";
            Asked::Found(reply::of_failure(&Failure::new(
                ErrorKind::Parameter,
                wanted,
            )))
        }
    }
}

fn search(mcp: &Mcp, visit: &Visit, query: &str) -> CallToolResult {
    let tools = mcp.offer.everything(&visit.scope, visit.handle.is_some());
    let words: Vec<_> = query.split_whitespace().map(str::to_lowercase).collect();
    if words.is_empty() {
        let names: Vec<_> = tools.iter().map(|tool| &tool.name).collect();
        return reply::done(json!({ "tools": names }));
    }
    let mut found: Vec<_> = tools
        .iter()
        .map(|tool| (score(tool, &words), tool))
        .collect();
    found.retain(|(score, _)| *score > 0);
    // The sort keeps the order of names among equals.
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let found = found.iter().take(FOUND).map(|(_, tool)| {
        json!({
            "name": tool.name,
            "description": tool.description,
            "input_schema": tool.input_schema,
        })
    });
    reply::done(json!({ "tools": found.collect::<Vec<_>>() }))
}

/// How well the words fit: a word in the name counts for more than one in the description.
fn score(tool: &Tool, words: &[String]) -> usize {
    let name = tool.name.to_lowercase();
    let title = tool.title.as_deref().unwrap_or_default();
    let description = tool.description.as_deref().unwrap_or_default();
    let about = format!("{title} {description}").to_lowercase();
    let one = |word: &String| {
        4 * usize::from(name.contains(word.as_str())) + usize::from(about.contains(word.as_str()))
    };
    words.iter().map(one).sum()
}
