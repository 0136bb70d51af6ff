//! What a running call tells of itself, on its way from the plugin to the client.

use std::sync::{Mutex, PoisonError};

use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
};
use sandbox_plugin_api::host::Events;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How many steps may wait for a slow client; further ones are left out.
const WAITING: usize = 64;

/// How much of a partial output is passed on.
const LONGEST: usize = 1024;

/// One step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Step {
    done: f64,
    total: Option<f64>,
    message: Option<String>,
}

/// Takes the steps from the plugin, on any of its threads.
pub(super) struct Progress {
    steps: Sender<Step>,
    last: Mutex<Option<Step>>,
}

impl Progress {
    pub(super) fn new() -> (Self, Receiver<Step>) {
        let (steps, waiting) = channel(WAITING);
        let last = Mutex::default();
        (Self { steps, last }, waiting)
    }

    /// The last step in words.
    pub(super) fn says(&self) -> Option<String> {
        let step = self.lock().clone()?;
        let total = step.total.map(|total| format!(" of {total}"));
        let message = step.message.map(|message| format!(": {message}"));
        Some(format!(
            "{}{}{}",
            step.done,
            total.unwrap_or_default(),
            message.unwrap_or_default()
        ))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Step>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events for Progress {
    fn progress(&self, done: f64, total: f64, message: &str) {
        let step = Step {
            done,
            total: (total > 0.0).then_some(total),
            message: (!message.is_empty()).then(|| message.to_owned()),
        };
        let mut last = self.lock();
        // The protocol wants each step to go on from the one before.
        if last.as_ref().is_some_and(|last| last.done >= done) || !done.is_finite() {
            return;
        }
        *last = Some(step.clone());
        let _ = self.steps.try_send(step);
    }

    /// The protocol knows no partial output. It is the message of a step for tools that report no others.
    fn output(&self, chunk: &str) {
        let mut last = self.lock();
        if last.as_ref().is_some_and(|last| last.total.is_some()) {
            return;
        }
        let done = last.as_ref().map_or(0.0, |last| last.done) + 1.0;
        let shown = chunk.trim_end();
        let start = shown.ceil_char_boundary(shown.len().saturating_sub(LONGEST));
        let step = Step {
            done,
            total: None,
            message: Some(shown[start..].to_owned()),
        };
        *last = Some(step.clone());
        let _ = self.steps.try_send(step);
    }
}

/// The client's end: who wants to hear of steps, and under which token.
pub(super) struct Listener {
    pub(super) peer: Peer<RoleServer>,
    pub(super) token: ProgressToken,
}

impl Listener {
    pub(super) async fn tell(&self, step: Step) {
        let mut told = ProgressNotificationParam::new(self.token.clone(), step.done);
        (told.total, told.message) = (step.total, step.message);
        // A client that has gone hears nothing more; its call ends otherwise.
        let _ = self.peer.notify_progress(told).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn steps_go_forward_and_output_does_not_mix_with_them() {
        let (progress, mut steps) = Progress::new();
        assert_eq!(progress.says(), None);
        progress.output("one\n");
        progress.progress(5.0, 10.0, "half");
        progress.progress(5.0, 10.0, "again");
        progress.progress(f64::NAN, 10.0, "");
        progress.output("two");
        progress.progress(10.0, 10.0, "");
        let step = |done, total, message: &str| Step {
            done,
            total,
            message: Some(message.to_owned()).filter(|message| !message.is_empty()),
        };
        for expected in [
            step(1.0, None, "one"),
            step(5.0, Some(10.0), "half"),
            step(10.0, Some(10.0), ""),
        ] {
            assert_eq!(steps.recv().await, Some(expected));
        }
        assert!(steps.try_recv().is_err());
        assert_eq!(progress.says().as_deref(), Some("10 of 10"));
    }
}
