//! A worker's session: its desktop, the hands on it, its name, and its recording.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::desktop::{Desktop, Failure};
use crate::hands::Hands;
use crate::recording::Recording;

/// A session.
#[derive(Debug)]
pub struct Session {
    pub(crate) desktop: Arc<dyn Desktop>,
    pub(crate) hands: Hands,
    /// In answers and recordings.
    pub(crate) name: String,
    recording: Mutex<Option<Recording>>,
}

impl Session {
    pub(crate) fn new(desktop: Box<dyn Desktop>, custom_name: Option<&str>, id: &str) -> Self {
        let desktop: Arc<dyn Desktop> = desktop.into();
        Self {
            hands: Hands::new(Arc::clone(&desktop)),
            desktop,
            name: custom_name.unwrap_or(id).to_owned(),
            recording: Mutex::default(),
        }
    }

    /// Begins to record into a file of the folder, named after the session.
    pub(crate) async fn record(&self, folder: &Path, id: &str, fps: u32) -> Result<(), Failure> {
        let file = if self.name == id {
            id.to_owned()
        } else {
            format!("{}-{id}", self.name)
        };
        let recording = Recording::begin(Arc::clone(&self.desktop), folder, &file, fps).await?;
        *self
            .recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(recording);
        Ok(())
    }

    /// Ends everything and returns when nothing is left.
    pub(crate) async fn close(&self) -> Result<(), Failure> {
        let recording = self
            .recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(recording) = recording {
            recording.finish().await;
        }
        self.desktop.close().await
    }
}
