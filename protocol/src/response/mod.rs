//! The answers of every route: what stands in `data`, or the whole of a bare answer.

mod server;
mod session;
mod tool;

pub use server::{
    BackendCondition, BackendHealth, BackendState, Health, Readiness, Ready, ReadyOrNot,
    ShutdownStarted, WarmupOutcome, WarmupStatus, WarmupSummary, WarmupVerdict,
};
pub use session::{
    ConfigLoaded, Disconnected, Existing, Heartbeat, InitBatchResults, InitResult, InitVerdict,
    RefreshDetail, SessionCreated, SessionDestroyed, SessionEntry, SessionList, SessionRefreshed,
    SessionState, SessionStatus, SessionsRefreshed, WorkerStatus,
};
pub use tool::{BatchResults, ToolDescription, ToolList};
