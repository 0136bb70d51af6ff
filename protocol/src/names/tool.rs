//! Which tool a caller means.
//!
//! The index is built once from all tools; a lookup allocates nothing, and by an exact name it is one
//! hash. See [`ToolIndex::resolve`] for the rules.

use std::collections::{BTreeMap, HashMap};

/// Finds tools by the names that callers use.
#[derive(Debug)]
pub struct ToolIndex<T> {
    /// Full name to place in `tools`.
    exact: HashMap<Box<str>, usize>,
    /// Resource, then action, to place in `tools`.
    resources: HashMap<Box<str>, HashMap<Box<str>, usize>>,
    /// Bare action to the places of all tools that have it.
    actions: HashMap<Box<str>, Vec<usize>>,
    tools: Vec<(Box<str>, T)>,
    longest: usize,
}

/// What a name turned out to mean.
#[derive(Debug, PartialEq, Eq)]
pub enum Resolution<'a, T> {
    /// One tool.
    Found(&'a T),
    /// A bare action that several tools have: their full names, in order.
    Ambiguous(Vec<&'a str>),
    /// No tool.
    NotFound,
}

/// Two tools have the same full name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two tools are called `{0}`")]
pub struct DuplicateTool(pub String);

impl<T> ToolIndex<T> {
    /// Builds the index from tools and their full names.
    ///
    /// # Errors
    ///
    /// When two tools have one name.
    pub fn new<N: Into<Box<str>>>(
        tools: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Self, DuplicateTool> {
        // Sorted, so that candidates come in a stable order.
        let mut sorted = BTreeMap::new();
        for (name, tool) in tools {
            let name: Box<str> = name.into();
            if sorted.contains_key(&name) {
                return Err(DuplicateTool(name.into()));
            }
            sorted.insert(name, tool);
        }
        let mut index = Self {
            exact: HashMap::with_capacity(sorted.len()),
            resources: HashMap::new(),
            actions: HashMap::new(),
            longest: sorted.keys().map(|name| name.len()).max().unwrap_or(0),
            tools: sorted.into_iter().collect(),
        };
        for (place, (name, _)) in index.tools.iter().enumerate() {
            index.exact.insert(name.clone(), place);
            if let Some((resource, action)) = name.split_once(':') {
                let actions = index.resources.entry(resource.into()).or_default();
                actions.insert(action.into(), place);
                index.actions.entry(action.into()).or_default().push(place);
            }
        }
        Ok(index)
    }

    /// Finds the tool that a caller means.
    ///
    /// An exact full name wins. Else `resource.action`, `resource_action` and `resource-action` are
    /// read as `resource:action` when such a tool exists, the longest resource name first. Else a bare
    /// action that exactly one tool has.
    pub fn resolve(&self, name: &str) -> Resolution<'_, T> {
        if let Some(&place) = self.exact.get(name) {
            return Resolution::Found(&self.tools[place].1);
        }
        // Nothing longer is a tool's name, and a caller may send megabytes of separators.
        if name.len() > self.longest {
            return Resolution::NotFound;
        }
        if let Some(place) = self.by_separator(name) {
            return Resolution::Found(&self.tools[place].1);
        }
        match self.actions.get(name).map(Vec::as_slice) {
            None | Some([]) => Resolution::NotFound,
            Some([place]) => Resolution::Found(&self.tools[*place].1),
            Some(places) => {
                Resolution::Ambiguous(places.iter().map(|&place| &*self.tools[place].0).collect())
            }
        }
    }

    fn by_separator(&self, name: &str) -> Option<usize> {
        name.rmatch_indices(['.', '_', '-']).find_map(|(at, _)| {
            let actions = self.resources.get(&name[..at])?;
            actions.get(&name[at + 1..]).copied()
        })
    }

    /// All tools with their full names, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &T)> {
        self.tools.iter().map(|(name, tool)| (&**name, tool))
    }

    /// How many tools there are.
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The full names most like a name that was not found, the likest first: at most three.
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        // Comparing costs the product of the lengths; what is far longer is like none of them.
        if name.len() > 2 * self.longest {
            return Vec::new();
        }
        let mut scored: Vec<_> = self
            .iter()
            .filter_map(|(full, _)| {
                let action = full.split_once(':').map_or(full, |(_, action)| action);
                let score =
                    strsim::jaro_winkler(name, full).max(strsim::jaro_winkler(name, action));
                (score >= LIKE).then_some((score, full))
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.into_iter().take(3).map(|(_, full)| full).collect()
    }
}

/// From this similarity on, a name is worth proposing: a slip of a letter or two stays above it.
const LIKE: f64 = 0.85;

#[cfg(test)]
#[path = "tool_tests.rs"]
mod tests;
