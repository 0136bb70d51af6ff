//! What a plugin's source begins with: `use sandbox_plugin_api::prelude::*;`.

pub use schemars::{self, JsonSchema};
pub use serde::{self, Deserialize, Serialize};
pub use serde_json::{self, Map, Value, json, value::RawValue};

pub use crate::{
    BackendEnv, CallContext, Code, Error, Reply, Result, SessionInfo, backend, tool, tools,
};
