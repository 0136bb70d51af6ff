//! What a plugin author depends on: backends, tools, sessions, and the ABI below them.
