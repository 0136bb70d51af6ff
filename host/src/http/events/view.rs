//! Who may see what: operators everything, others what belongs to their key.

use std::sync::Arc;

use http::HeaderMap;

use crate::{
    http::{asked::Visitor, front::Served, operator::is_operator},
    observe::feed::{CallView, Event, KEY},
    sessions::Session,
};

/// What one caller sees.
pub(super) struct View {
    /// Sees all, and what only operators should: the log, files, what a plugin's failure said.
    pub(super) operator: bool,
    /// The name of the caller's key.
    pub(super) key: Option<Arc<str>>,
}

impl View {
    pub(super) fn of(served: &Served, visitor: &Visitor, headers: &HeaderMap) -> Self {
        Self {
            operator: is_operator(served, visitor, headers),
            key: visitor.caller.key.clone(),
        }
    }

    pub(super) fn shows(&self, event: &Event) -> bool {
        match event {
            Event::CallStarted(call) | Event::CallEnded(call) => self.shows_call(call),
            Event::Session(change) => self.is_mine(change.key.as_deref()),
            Event::Backend(_) | Event::Missed { .. } => true,
            Event::Admin(_) | Event::Log(_) => self.operator,
        }
    }

    pub(super) fn shows_call(&self, call: &CallView) -> bool {
        // Of a longer name the feed knows the beginning only, which another key may share.
        let told_apart = self.key.as_ref().is_none_or(|key| key.len() < KEY);
        self.operator || (told_apart && self.is_mine(call.key.as_deref()))
    }

    pub(super) fn shows_session(&self, session: &Session) -> bool {
        self.is_mine(session.owner())
    }

    fn is_mine(&self, key: Option<&str>) -> bool {
        self.operator || self.key.as_deref() == key
    }
}
