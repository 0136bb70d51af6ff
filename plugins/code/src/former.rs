//! The settings of the Python server's `code` and `code_executor` that are others here, or none.

use sandbox_plugin_api::{former::FormerKeys, prelude::json};

pub(crate) fn former() -> FormerKeys {
    FormerKeys::new()
        .renamed("timeout", "default_timeout")
        .needless("runtime", ["python"])
        // Which Python it is is something that programs rely on, so another one is not taken silently.
        .refused(
            "runtime",
            "there are no images to choose from: programs run with the Python and the Node of this machine",
            "remove it; `python` and `node` name other ones, and `default_language` says which is meant by default",
        )
        .needless("sandbox_type", ["docker"])
        .refused(
            "sandbox_type",
            "there is one kind of sandbox, of namespaces, control groups and seccomp",
            "remove it; `sandbox` says how much of it is insisted on",
        )
        .refused(
            "allowed_packages",
            "programs may import whatever their Python has installed",
            "remove it; to decide what that is, name the Python of a virtual environment in `python`",
        )
        .needless(
            "supported_languages",
            [json!(["python", "javascript", "bash"])],
        )
        .refused(
            "supported_languages",
            "every session may run Python, JavaScript and Bash",
            "remove it; `default_language` says which is meant by default",
        )
        .needless("allow_bash", [true])
        .refused(
            "allow_bash",
            "`code:bash` is always there, and as isolated as every program",
            "remove it; `mcp.tools` keeps a tool from MCP clients",
        )
        .without_effect(
            "workspace_root",
            "a session's files lie in a filesystem of their own, of `workspace_size`, and in no folder of this machine",
        )
        .without_effect("claude_code_root", "the tools are part of this backend")
}
