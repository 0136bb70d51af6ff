//! The rules by which tools, sessions and workers are named.

mod session;
mod tool;
mod worker;

pub use session::SessionName;
pub use tool::{DuplicateTool, Resolution, ToolIndex};
pub use worker::{BadWorkerId, WorkerId};
