//! What a worker sees of its sessions: also of one that is being made, and of one that goes.

use std::sync::Arc;

use sandbox_protocol::{
    Timestamp,
    response::{SessionEntry, SessionState, SessionStatus},
};

use super::{Clock, Session, session::name_of};

/// A session on its way: what is known before it is there.
pub struct Coming {
    /// The id that it will have.
    pub id: Box<str>,
    /// When it was asked for, in milliseconds of the clock.
    pub(super) since: u64,
}

/// A session as it was seen.
pub struct Seen {
    /// Of which type.
    pub resource_type: Arc<str>,
    id: Box<str>,
    status: SessionStatus,
    created_at: Timestamp,
    last_activity: Timestamp,
    expires_at: Option<Timestamp>,
}

impl Seen {
    pub(super) fn coming(resource_type: Arc<str>, coming: &Coming, clock: &Clock) -> Self {
        let since = clock.at(coming.since);
        Self {
            resource_type,
            id: coming.id.clone(),
            status: SessionStatus::Creating,
            created_at: since,
            last_activity: since,
            // Its time begins when it is there.
            expires_at: None,
        }
    }

    pub(super) fn of(session: &Session) -> Self {
        Self {
            resource_type: Arc::clone(&session.backend.name),
            id: session.id.clone(),
            status: session.status(),
            created_at: session.created_at(),
            last_activity: session.last_activity(),
            expires_at: Some(session.expires_at()),
        }
    }

    /// Whether it is there and stays.
    pub fn is_there(&self) -> bool {
        !matches!(
            self.status,
            SessionStatus::Creating | SessionStatus::Closing
        )
    }

    /// Its line in a list.
    pub fn entry(&self) -> SessionEntry {
        SessionEntry {
            resource_type: self.resource_type.to_string(),
            session_id: self.id.to_string(),
            session_name: name_of(&self.id).to_owned(),
            status: self.status,
            // What a call makes for itself alone, its worker does not see.
            auto_created: false,
            created_at: self.created_at,
            last_activity: self.last_activity,
            expires_at: self.expires_at,
        }
    }

    /// The same, in the status of its worker.
    pub fn state(&self) -> SessionState {
        SessionState {
            session_id: self.id.to_string(),
            status: self.status,
            created_at: self.created_at,
            last_activity: self.last_activity,
        }
    }
}
