//! A future that is polled only when it has woken its task.
//!
//! A connection's task wakes several times for each request. What else it waits for (the client's patience, the
//! server's end) takes locks to be asked about, and hardly ever has anything to say.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Polls its future only when that one has woken the task.
pub(super) struct Seldom<F> {
    future: Pin<Box<F>>,
    bell: Option<Arc<Bell>>,
}

/// What the future wakes: it remembers that it did, and wakes the task.
struct Bell {
    rung: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<F: Future> Seldom<F> {
    pub(super) fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            bell: None,
        }
    }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, bell } = &mut *self;
        let kept = bell.take_if(|bell| bell.task.will_wake(context.waker()));
        let bell = bell.insert(kept.unwrap_or_else(|| {
            // A future that has come to another task has to learn of it.
            let (rung, task) = (AtomicBool::new(true), context.waker().clone());
            Arc::new(Bell { rung, task })
        }));
        // Before the poll: what rings during it counts. Looked at first, since a swap is dearer.
        if !bell.rung.load(Ordering::Relaxed) || !bell.rung.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(bell));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::poll_fn};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_wakes_and_not_otherwise() {
        let (sender, mut receiver) = oneshot::channel();
        let polls = Cell::new(0);
        let mut seldom = Seldom::new(poll_fn(|context| {
            polls.set(polls.get() + 1);
            Pin::new(&mut receiver).poll(context)
        }));
        for _ in 0..3 {
            let polled = poll_fn(|context| Poll::Ready(Pin::new(&mut seldom).poll(context)));
            assert!(polled.await.is_pending());
        }
        assert_eq!(polls.get(), 1);
        sender.send("now").unwrap();
        assert_eq!(seldom.await, Ok("now"));
        assert_eq!(polls.get(), 2);
    }

    #[tokio::test]
    async fn it_wakes_the_task_to_which_it_has_come() {
        let (sender, receiver) = oneshot::channel();
        let mut seldom = Seldom::new(receiver);
        let polled = Pin::new(&mut seldom).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        let waiting = tokio::spawn(seldom);
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
    }
}
