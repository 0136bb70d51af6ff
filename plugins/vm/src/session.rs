//! A worker's session: its desktop, the hands on it, and its name.

use std::sync::Arc;

use crate::desktop::Desktop;
use crate::hands::Hands;

/// A session.
#[derive(Debug)]
pub struct Session {
    pub(crate) desktop: Arc<dyn Desktop>,
    pub(crate) hands: Hands,
    /// In answers and recordings.
    pub(crate) name: String,
}

impl Session {
    pub(crate) fn new(desktop: Box<dyn Desktop>, name: String) -> Self {
        let desktop: Arc<dyn Desktop> = desktop.into();
        Self {
            hands: Hands::new(Arc::clone(&desktop)),
            desktop,
            name,
        }
    }
}
