//! The request bodies of every route.
//!
//! [`parse`] reads them on the server with messages that name the field. `null` counts as absent
//! everywhere, unknown fields are ignored. `worker_id` is optional in every type, because a header
//! may serve instead: [`WorkerId::choose`](crate::WorkerId::choose) decides.

mod depth;
mod execute;
mod null;
mod parse;
mod session;

pub use depth::{MAX_DEPTH, nests_deeper};
pub use execute::{Action, BatchRequest, ExecuteRequest, parse_params};
pub use parse::{BadRequest, parse, parse_or_default, trace_of};
pub use session::{
    CreateSession, InitBatch, InitFromConfig, InitResource, KillSession, RefreshSession,
    ResourceConfigs, Shutdown, Warmup, WorkerRequest, WorkerResource,
};
