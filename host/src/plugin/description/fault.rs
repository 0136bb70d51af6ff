//! What can be wrong with a description. Owns the words, not the finding.

use serde::Serialize;

/// What is wrong with a description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum DescriptionFault {
    /// It cannot be read.
    #[error("the description cannot be read: {reason}")]
    Unreadable {
        /// What is wrong.
        reason: String,
    },
    /// It says something else than the manifest.
    #[error("the manifest says the {what} `{manifest}`, the description `{description}`")]
    OtherThanManifest {
        /// Name or class.
        what: &'static str,
        /// The manifest's.
        manifest: String,
        /// The description's.
        description: String,
    },
    /// What is said to be a schema is none.
    #[error("{what} is not a JSON Schema: at `{pointer}`: {reason}")]
    Schema {
        /// Whose schema.
        what: String,
        /// Where in it.
        pointer: String,
        /// What is wrong there.
        reason: String,
    },
    /// A tool's parameters are no object.
    #[error("the parameters of `{tool}` must be a JSON object, and its schema says `{found}`")]
    NoObject {
        /// The tool.
        tool: String,
        /// What the schema says.
        found: String,
    },
    /// A tool's name is not `action` or `resource:action`.
    #[error(
        "`{name}` is no name for a tool: expected `action` or `{resource}:action`, of letters, digits, `_`, `-` and `.`"
    )]
    ToolName {
        /// The name.
        name: String,
        /// The tool's resource type.
        resource: String,
    },
    /// Two tools have one name.
    #[error("two tools have the name `{name}`")]
    ToolTwice {
        /// The name.
        name: String,
    },
    /// A time limit that is none.
    #[error("the timeout of `{tool}` must be a number of seconds above 0")]
    Timeout {
        /// The tool.
        tool: String,
    },
    /// A tool needs what its backend has not.
    #[error("`{tool}` needs a session, and its backend has none: its kind is `shared`")]
    SessionInShared {
        /// The tool.
        tool: String,
    },
}
