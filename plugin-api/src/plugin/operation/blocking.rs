//! Blocking functions: queued until a thread takes them, and taken back when none can be had or nobody wants them any more.

use std::sync::{Arc, Mutex, PoisonError};

use super::{BlockingFunction, Finisher, Operation, Reach, panicked_in, unavailable, unfinished};
use crate::{
    abi::Outcome,
    context::OperationState,
    plugin::guard::{guard, guard_for},
};

/// Queues a function with `spawn`, and gives the operation, or nothing when it has completed already.
///
/// The job stays in the operation until a thread takes it: tokio queues first and panics afterwards when there is no thread
/// at all, and what is queued it never gives back.
pub(super) fn start(
    function: BlockingFunction,
    state: Arc<OperationState>,
    finisher: Finisher,
    spawn: impl FnOnce(Arc<Operation>),
) -> Option<Arc<Operation>> {
    let job = BlockingJob {
        function: Some(function),
        state: Some(Arc::clone(&state)),
        finisher: Some(finisher),
    };
    let operation = Operation::new(state, Reach::Blocking(Mutex::new(Some(job))));
    let queued = Arc::clone(&operation);
    if let Err(message) = guard(|| spawn(queued))
        && let Some(job) = operation.take_job()
    {
        job.refuse(unavailable(format!(
            "no thread could be started: {message}"
        )));
        return None;
    }
    Some(operation)
}

impl Operation {
    /// Runs the job, unless it was taken back.
    pub(super) fn run(&self) {
        if let Some(job) = self.take_job() {
            job.run();
        }
    }

    /// The job, if there is one that nobody has taken.
    pub(super) fn take_job(&self) -> Option<BlockingJob> {
        match &self.reach {
            Reach::Blocking(job) => job.lock().unwrap_or_else(PoisonError::into_inner).take(),
            Reach::Task(_) => None,
        }
    }
}

/// A blocking function on its way to its completion.
pub(super) struct BlockingJob {
    function: Option<BlockingFunction>,
    state: Option<Arc<OperationState>>,
    finisher: Option<Finisher>,
}

impl BlockingJob {
    fn run(mut self) {
        if let Some(function) = self.function.take() {
            let outcome = guard_for(&mut self.state, function)
                .unwrap_or_else(|message| panicked_in(&mut self.state, message));
            self.finish(outcome);
        }
    }

    /// Completes with `outcome` without having run.
    fn refuse(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    /// Drops the function, and only then completes: with `outcome`, or with the panic of the drop.
    fn end(&mut self, outcome: Outcome) {
        if let Some(function) = self.function.take() {
            let outcome = match guard_for(&mut self.state, || drop(function)) {
                Ok(()) => outcome,
                Err(message) => panicked_in(&mut self.state, message),
            };
            self.finish(outcome);
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Some(finisher) = self.finisher.take() {
            finisher.finish(outcome);
        }
    }
}

impl Drop for BlockingJob {
    /// Reached with a function only when the job was cancelled before it ran.
    fn drop(&mut self) {
        self.end(unfinished());
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "stands in for a host")]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;
    use crate::{
        abi::{Completion, Opaque, STATUS_CANCELLED},
        context::Ids,
    };

    /// What happened, in its order.
    type Events = Sender<String>;

    unsafe extern "C" fn complete(user: *mut Opaque, outcome: *mut Outcome) {
        // SAFETY: `user` is the sender that `begin` leaked, and an operation completes once.
        let events = unsafe { Box::from_raw(user.cast::<Events>()) };
        // SAFETY: the outcome is good for the length of the call, and what it owns is the host's to take.
        let outcome = unsafe { outcome.read() };
        let is_cancelled = outcome.status == STATUS_CANCELLED;
        let said = format!("completed {} {is_cancelled}", outcome.code);
        events.send(said).expect("the test listens");
    }

    struct SaysDropped(Events);

    impl Drop for SaysDropped {
        fn drop(&mut self) {
            self.0.send("dropped".to_owned()).expect("the test listens");
        }
    }

    /// A function that is queued by `spawn` and says when it runs and when it is dropped.
    fn begin(spawn: impl FnOnce(Arc<Operation>)) -> (Option<Arc<Operation>>, Receiver<String>) {
        let (events, heard) = mpsc::channel();
        let finisher = Finisher::new(Completion {
            user: Box::into_raw(Box::new(events.clone())).cast(),
            complete,
        });
        let state = Arc::new(OperationState::new(Ids::new([b""; 5], "test")));
        let dropped = SaysDropped(events);
        let function = Box::new(move || {
            dropped.0.send("ran".to_owned()).expect("the test listens");
            Outcome::SUCCESS
        });
        (start(function, state, finisher, spawn), heard)
    }

    fn all(heard: &Receiver<String>) -> Vec<String> {
        heard.try_iter().collect()
    }

    #[test]
    fn a_job_that_no_thread_is_there_for_is_given_up() {
        let mut queue = Vec::new();
        let (operation, heard) = begin(|operation| {
            queue.push(operation);
            panic!("no threads");
        });
        assert!(operation.is_none());
        assert_eq!(all(&heard), ["dropped", "completed 2004 false"]);
        // A thread comes after all.
        for operation in &queue {
            operation.run();
        }
        assert_eq!(all(&heard), [""; 0]);
    }

    #[test]
    fn a_job_that_is_cancelled_before_a_thread_takes_it_is_over_at_once() {
        let mut queue = Vec::new();
        let (operation, heard) = begin(|operation| queue.push(operation));
        operation.expect("it waits for a thread").cancel();
        assert_eq!(all(&heard), ["dropped", "completed 2002 true"]);
        for operation in &queue {
            operation.run();
        }
        assert_eq!(all(&heard), [""; 0]);
    }

    #[test]
    fn a_job_that_a_thread_has_taken_runs_to_its_end() {
        let (operation, heard) = begin(|operation| {
            operation.run();
            panic!("afterwards");
        });
        assert!(operation.is_some());
        assert_eq!(all(&heard), ["ran", "dropped", "completed 0 false"]);
    }
}
