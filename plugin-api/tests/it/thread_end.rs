//! The end of a thread: destructors of thread-locals log and call, when those of the SDK are gone already.

use std::{cell::RefCell, sync::Arc, thread};

use sandbox_plugin_api::{
    host::{Answer, Request, Status},
    prelude::*,
    testkit::TestKit,
};

use crate::support::{kit, records};

#[derive(Default)]
struct Last;

#[backend(name = "last", description = "Is called as the last thing.")]
impl Last {
    #[tool(inline)]
    fn fine(&self) -> Result<u8> {
        tracing::info!("spoken by a tool at a thread's end");
        Ok(1)
    }

    #[tool(inline)]
    fn boom(&self) -> Result<()> {
        panic!("boom at a thread's end")
    }
}

/// Runs when the thread's locals are destroyed.
struct AtEnd(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

thread_local! {
    static AT_END: AtEnd = const { AtEnd(RefCell::new(None)) };
}

/// The answer of an inline tool, which is there at once.
fn call(kit: &TestKit<Last>, tool: &str) -> Answer {
    let mut pending = kit.begin(tool, &json!({}), Request::default(), None);
    pending.try_take().unwrap()
}

#[test]
fn logs_calls_and_panics_work_to_the_very_end_of_a_thread() {
    let kit: Arc<TestKit<Last>> = Arc::new(kit(json!({})));
    let ended = thread::spawn(move || {
        // Registered before the SDK's locals, and so destroyed after them.
        AT_END.with(|at_end| {
            let kit = Arc::clone(&kit);
            at_end.0.replace(Some(Box::new(move || {
                tracing::info!("spoken at a thread's end");
                assert_eq!(call(&kit, "last:fine").data(), b"1");
                assert_eq!(call(&kit, "last:boom").status(), Status::Panicked);
            })));
        });
        assert_eq!(call(&kit, "last:boom").status(), Status::Panicked);
    });
    ended.join().unwrap();
    assert_eq!(records("spoken at a thread's end").len(), 1);
    assert_eq!(records("spoken by a tool at a thread's end").len(), 1);
}
