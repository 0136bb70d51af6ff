//! The settings of the Python server's `bash` that are others here, or none.

use sandbox_plugin_api::former::FormerKeys;

pub(crate) fn former() -> FormerKeys {
    FormerKeys::new()
        .renamed("timeout", "default_timeout")
        .renamed("cwd", "default_cwd")
        .needless("shell_type", ["local"])
        .refused(
            "shell_type",
            "commands run on this machine, each session in a sandbox of its own, not in a container or over SSH",
            "remove it",
        )
        .needless("shell", ["bash", "/bin/bash", "/usr/bin/bash"])
        .refused(
            "shell",
            "the shell is bash",
            "remove it; a session's own configuration may name the path of another bash",
        )
}
