//! The operations of the host itself, as `meta.tool` names them.

/// What the host did, when it was not a tool that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A session was asked for by name.
    SessionCreate,
    /// A session was taken down.
    SessionDestroy,
    /// A worker's sessions were listed.
    SessionList,
    /// A session was taken down by its id.
    SessionKill,
    /// One or all sessions of a worker had their time to live restarted.
    SessionRefresh,
    /// A worker said that it is there.
    SessionHeartbeat,
    /// A worker's state was asked for.
    SessionStatus,
    /// A worker left, and its sessions with it.
    SessionDisconnect,
    /// A resource was initialised for a worker.
    InitResource,
    /// Several resources were initialised for a worker.
    InitBatch,
    /// A configuration file was read for a worker.
    InitFromConfig,
    /// Several actions were run in one request.
    BatchExecute,
}

impl Operation {
    /// The value of `meta.tool`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionCreate => "session:create",
            Self::SessionDestroy => "session:destroy",
            Self::SessionKill => "session:kill",
            Self::SessionList => "session:list",
            Self::SessionRefresh => "session:refresh",
            Self::SessionHeartbeat => "session:heartbeat",
            Self::SessionStatus => "session:status",
            Self::SessionDisconnect => "session:disconnect",
            Self::InitResource => "init:resource",
            Self::InitBatch => "init:batch",
            Self::InitFromConfig => "init:from_config",
            Self::BatchExecute => "batch:execute",
        }
    }

    /// The value of `meta.resource_type`.
    pub const fn resource_type(self) -> Option<&'static str> {
        match self {
            Self::BatchExecute => None,
            _ => Some("session"),
        }
    }
}
