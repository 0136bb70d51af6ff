//! The accessibility tree as text: what a person with a screen reader has, and what agents navigate by. Elements carry a
//! `ref`, by which the other tools find them; it names the same element as long as its document lives.
#![expect(
    clippy::format_push_string,
    reason = "short texts, and no error to handle"
)]
#![expect(clippy::struct_field_names, reason = "the names are the protocol's")]

use std::collections::HashMap;

use chromiumoxide_cdp::cdp::browser_protocol::{
    accessibility::{self, GetChildAxNodesParams, GetFullAxTreeParams, GetRootAxNodeParams},
    dom::GetFrameOwnerParams,
    page::{FrameId, GetFrameTreeParams},
};
use sandbox_plugin_api::prelude::*;
use tokio::time::Instant;

use super::{
    content::{Cut, evaluate_as},
    tab::Tab,
};
use crate::failure::{Fault, Outcome};

/// A page with more frames than this is shown without the rest.
const MAX_FRAMES: usize = 50;
/// Trees deeper than this are drawn flat: the indentation would be all there is.
const MAX_DEPTH: usize = 40;
/// Longer names and values say no more.
const MAX_NAME: usize = 400;

/// Roles that only hold others together.
const WRAPPERS: &[&str] = &[
    "none",
    "generic",
    "InlineTextBox",
    "LineBreak",
    "RootWebArea",
    "presentation",
    "LayoutTable",
];

/// Roles that are used, whether or not they have a name.
const CONTROLS: &[&str] = &[
    "button",
    "link",
    "textbox",
    "searchbox",
    "checkbox",
    "radio",
    "combobox",
    "listbox",
    "option",
    "menuitem",
    "menuitemcheckbox",
    "menuitemradio",
    "slider",
    "spinbutton",
    "switch",
    "tab",
    "treeitem",
    "Date",
    "DateTime",
    "InputTime",
    "ColorWell",
    "MenuListPopup",
    "Iframe",
];

/// Pages with more elements are drawn from their beginning.
const LARGE: usize = 20_000;
/// So many elements of such a page are asked for their children.
const MAX_ASKED: usize = 4000;

/// Draws the page.
pub(crate) async fn snapshot(
    tab: &Tab,
    interesting_only: bool,
    most: usize,
    deadline: Instant,
) -> Outcome<Cut> {
    let elements: usize =
        evaluate_as(tab, "document.getElementsByTagName('*').length", deadline).await?;
    if elements > LARGE {
        return beginning(tab, interesting_only, most, deadline).await;
    }
    let mut frames = Frames::default();
    let root: FrameTree = tab
        .call_as(&GetFrameTreeParams::default(), deadline)
        .await?;
    let main = tree(tab, None, deadline).await?;
    let mut waiting: Vec<Frame> = root.frame_tree.child_frames;
    while let Some(frame) = waiting.pop() {
        if frames.by_owner.len() == MAX_FRAMES {
            break;
        }
        // A frame may go while it is looked at; the page is then drawn without it.
        let id = FrameId::new(frame.frame.id.clone());
        let owner = tab
            .call(&GetFrameOwnerParams::new(id.clone()), deadline)
            .await;
        let content = tree(tab, Some(id), deadline).await;
        match (owner, content) {
            (Ok(owner), Ok(content)) => {
                frames
                    .by_owner
                    .insert(*owner.backend_node_id.inner(), content);
                waiting.extend(frame.child_frames);
            }
            (Err(Fault::Failed(_)), _) | (_, Err(Fault::Failed(_))) => {}
            (Err(fault), _) | (_, Err(fault)) => return Err(fault),
        }
    }
    let mut drawing = Drawing {
        tab,
        frames,
        interesting_only,
        text: String::new(),
    };
    drawing.tree(&main, 0);
    Ok(Cut::new(drawing.text, most))
}

/// The beginning of a page that is too large to be asked for as a whole: that would take minutes.
async fn beginning(
    tab: &Tab,
    interesting_only: bool,
    most: usize,
    deadline: Instant,
) -> Outcome<Cut> {
    tab.call(&accessibility::EnableParams {}, deadline).await?;
    let tree = partial(tab, most, deadline).await;
    tab.tell(&accessibility::DisableParams {});
    let mut drawing = Drawing {
        tab,
        frames: Frames::default(),
        interesting_only,
        text: String::new(),
    };
    drawing.tree(&tree?, 0);
    let mut cut = Cut::new(drawing.text, most);
    cut.truncated = true;
    Ok(cut)
}

/// The tree from its root in reading order, until there is enough to say.
async fn partial(tab: &Tab, most: usize, deadline: Instant) -> Outcome<Tree> {
    let root: AxNode = tab
        .call_as(&GetRootAxNodeParams::default(), deadline)
        .await?;
    let mut waiting = vec![root.node.node_id.clone()];
    let mut tree = Tree::new(vec![root.node]);
    let (mut asked, mut said) = (0, 0);
    while let Some(id) = waiting.pop() {
        if asked == MAX_ASKED || said > most {
            break;
        }
        if tree
            .nodes
            .get(&id)
            .is_none_or(|node| node.child_ids.is_empty() || node.role() == "StaticText")
        {
            continue;
        }
        asked += 1;
        let params = GetChildAxNodesParams::new(id.clone());
        let children: AxTree = tab.call_as(&params, deadline).await?;
        if let Some(node) = tree.nodes.get_mut(&id) {
            node.child_ids = children
                .nodes
                .iter()
                .map(|child| child.node_id.clone())
                .collect();
            waiting.extend(node.child_ids.iter().rev().cloned());
        }
        for child in children.nodes {
            // A container says nothing until its content is there, and its content is asked for in its turn.
            said += if child.child_ids.is_empty() || child.role() == "StaticText" {
                child.name().len()
            } else {
                0
            };
            tree.nodes.insert(child.node_id.clone(), child);
        }
    }
    Ok(tree)
}

async fn tree(tab: &Tab, frame: Option<FrameId>, deadline: Instant) -> Outcome<Tree> {
    let params = GetFullAxTreeParams {
        frame_id: frame,
        ..Default::default()
    };
    let answer: AxTree = tab.call_as(&params, deadline).await?;
    Ok(Tree::new(answer.nodes))
}

/// The trees of the frames, by the element that shows them.
#[derive(Default)]
struct Frames {
    by_owner: HashMap<i64, Tree>,
}

struct Tree {
    root: Option<String>,
    nodes: HashMap<String, Node>,
}

impl Tree {
    fn new(nodes: Vec<Node>) -> Self {
        Self {
            root: nodes.first().map(|node| node.node_id.clone()),
            nodes: nodes
                .into_iter()
                .map(|node| (node.node_id.clone(), node))
                .collect(),
        }
    }
}

struct Drawing<'a> {
    tab: &'a Tab,
    frames: Frames,
    interesting_only: bool,
    text: String,
}

impl Drawing<'_> {
    fn tree(&mut self, tree: &Tree, depth: usize) {
        // A stack of our own: how deep a page nests is the page's choice.
        let mut stack: Vec<(&str, usize, &str)> = tree
            .root
            .iter()
            .map(|root| (root.as_str(), depth, ""))
            .collect();
        while let Some((id, depth, parent_name)) = stack.pop() {
            let Some(node) = tree.nodes.get(id) else {
                continue;
            };
            let drawn = self.node(node, depth, parent_name);
            let (below, name) = if drawn {
                (depth + 1, node.name())
            } else {
                (depth, parent_name)
            };
            // What a control says of itself is its name already.
            if drawn && self.interesting_only && node.is_leaf_control() {
                continue;
            }
            if node.role() == "Iframe" {
                let content = node
                    .backend_dom_node_id
                    .and_then(|owner| self.frames.by_owner.remove(&owner));
                if let Some(content) = content {
                    self.tree(&content, below);
                }
            }
            stack.extend(
                node.child_ids
                    .iter()
                    .rev()
                    .map(|child| (child.as_str(), below, name)),
            );
        }
    }

    /// Draws one line, unless the node is not worth one.
    fn node(&mut self, node: &Node, depth: usize, parent_name: &str) -> bool {
        let (role, name) = (node.role(), node.name());
        if role == "InlineTextBox" || node.is_hidden() {
            return false;
        }
        if role == "StaticText" {
            // Text that is its parent's name is said.
            if name.trim().is_empty()
                || (self.interesting_only && name.trim() == parent_name.trim())
            {
                return false;
            }
            self.line(depth, &format!("text: {}", short(name)));
            return false;
        }
        let dull = node.ignored
            || (WRAPPERS.contains(&role) && (name.is_empty() || role == "RootWebArea"))
            || (name.is_empty()
                && node.child_ids.is_empty()
                && node.value().is_none()
                && !CONTROLS.contains(&role));
        if dull && (self.interesting_only || node.ignored) {
            return false;
        }
        let mut line = role.to_owned();
        if !name.is_empty() {
            line.push_str(&format!(" {:?}", short(name)));
        }
        node.states(&mut line);
        if let Some(node) = node.backend_dom_node_id {
            line.push_str(&format!(" [ref=e{}]", self.tab.name(node)));
        }
        if let Some(value) = node.value().filter(|value| *value != name) {
            line.push_str(&format!(": {}", short(&value)));
        }
        self.line(depth, &line);
        true
    }

    fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&"  ".repeat(depth.min(MAX_DEPTH)));
        self.text.push_str("- ");
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// One line, and not too long.
fn short(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(MAX_NAME) {
        words.truncate(end);
        words.push('…');
    }
    words
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FrameTree {
    frame_tree: Frame,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    frame: FrameFacts,
    #[serde(default)]
    child_frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct FrameFacts {
    id: String,
}

#[derive(Deserialize)]
struct AxNode {
    node: Node,
}

#[derive(Deserialize)]
struct AxTree {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    node_id: String,
    #[serde(default)]
    ignored: bool,
    role: Option<AxValue>,
    name: Option<AxValue>,
    value: Option<AxValue>,
    #[serde(default)]
    properties: Vec<Property>,
    #[serde(default)]
    child_ids: Vec<String>,
    #[serde(rename = "backendDOMNodeId")]
    backend_dom_node_id: Option<i64>,
}

#[derive(Deserialize)]
struct AxValue {
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Property {
    name: String,
    value: AxValue,
}

impl Node {
    fn role(&self) -> &str {
        self.role
            .as_ref()
            .and_then(|role| role.value.as_str())
            .unwrap_or("none")
    }

    fn name(&self) -> &str {
        self.name
            .as_ref()
            .and_then(|name| name.value.as_str())
            .unwrap_or_default()
    }

    fn value(&self) -> Option<String> {
        match &self.value.as_ref()?.value {
            Value::Null => None,
            Value::String(text) => (!text.is_empty()).then(|| text.clone()),
            other => Some(other.to_string()),
        }
    }

    fn is_hidden(&self) -> bool {
        self.properties
            .iter()
            .any(|property| property.name == "hidden" && property.value.value == Value::Bool(true))
    }

    fn is_leaf_control(&self) -> bool {
        matches!(
            self.role(),
            "button"
                | "checkbox"
                | "radio"
                | "option"
                | "switch"
                | "textbox"
                | "searchbox"
                | "slider"
                | "spinbutton"
                | "tab"
                | "menuitem"
                | "menuitemcheckbox"
                | "menuitemradio"
                | "heading"
                | "image"
                | "Date"
                | "ColorWell"
        ) && self.child_ids.len() <= 1
    }

    /// What else there is to know: checked, disabled, the level of a heading.
    fn states(&self, line: &mut String) {
        // What is on or off stands first.
        let on_or_off =
            |property: &&Property| matches!(property.name.as_str(), "checked" | "pressed");
        let (first, rest): (Vec<_>, Vec<_>) = self.properties.iter().partition(on_or_off);
        for property in first.into_iter().chain(rest) {
            let value = &property.value.value;
            let is = |text: &str| {
                value.as_str() == Some(text) || (text == "true" && *value == Value::Bool(true))
            };
            match property.name.as_str() {
                "checked" | "pressed" if is("mixed") => {
                    line.push_str(&format!(" [{}=mixed]", property.name));
                }
                "checked" | "pressed" | "disabled" | "selected" | "required" | "readonly"
                | "focused" | "modal"
                    if is("true") =>
                {
                    line.push_str(&format!(" [{}]", property.name));
                }
                "invalid" if is("true") => line.push_str(" [invalid]"),
                "expanded" => line.push_str(if is("true") {
                    " [expanded]"
                } else {
                    " [collapsed]"
                }),
                "level" => line.push_str(&format!(" [level={value}]")),
                "url" if self.role() == "link" => {
                    line.push_str(&format!(
                        " [url={}]",
                        short(value.as_str().unwrap_or_default())
                    ));
                }
                _ => {}
            }
        }
    }
}
