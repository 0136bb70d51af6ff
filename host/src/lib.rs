//! The command sandbox: a server that gives agents their tools.
