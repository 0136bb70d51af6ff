//! Much at once: large parameters, large answers, many calls.

use std::sync::atomic::{AtomicUsize, Ordering};

use sandbox_plugin_api::{
    host::{Pending, Request},
    prelude::*,
    testkit::{TestKit, success, wait},
};
use tokio::sync::Notify;

use crate::support::kit;

#[derive(Default)]
struct Heavy {
    arrived: AtomicUsize,
    all_are_here: Notify,
}

#[backend(name = "heavy", description = "Carries much.")]
impl Heavy {
    #[tool]
    async fn length(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }

    #[tool(inline)]
    async fn length_inline(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }

    #[tool(blocking)]
    fn length_blocking(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }

    #[tool(inline)]
    fn length_plain(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }

    #[tool]
    async fn pictures(&self, size: usize) -> Result<Reply> {
        Ok(Reply::new(json!({ "text": "é".repeat(size) }))?
            .with_png(vec![7; size])
            .with_binary("sound", "audio/wav", vec![9; size])
            .with_message("here")
            .with_meta("frames", 2))
    }

    /// Ends when as many calls as this run at the same time.
    #[tool]
    async fn meet(&self, of: usize, me: usize) -> Result<usize> {
        let mut all = std::pin::pin!(self.all_are_here.notified());
        all.as_mut().enable();
        if self.arrived.fetch_add(1, Ordering::SeqCst) + 1 == of {
            self.all_are_here.notify_waiters();
        } else {
            all.await;
        }
        Ok(me)
    }

    #[tool(inline)]
    fn echo(&self, me: usize) -> Result<usize> {
        Ok(me)
    }
}

fn heavy() -> TestKit<Heavy> {
    kit(json!({}))
}

#[test]
fn large_parameters_arrive_whole_in_every_mode() {
    let kit = heavy();
    for size in [16 * 1024, 17 * 1024, 4 * 1024 * 1024] {
        for tool in ["length", "length_inline", "length_blocking", "length_plain"] {
            let answer = kit.call(
                &format!("heavy:{tool}"),
                json!({ "text": "x".repeat(size) }),
            );
            assert_eq!(answer.unwrap(), size, "{tool}");
        }
    }
}

#[test]
fn large_parameters_are_checked_too() {
    let params = json!({ "text": "x".repeat(20_000), "txet": 1 });
    let failure = heavy().call("heavy:length", params).unwrap_err();
    assert_eq!(failure.code, 1002);
    assert_eq!(
        failure.message,
        "parameter /txet is not known; did you mean `text`?"
    );
}

#[test]
fn a_large_answer_comes_with_its_binary_parts() {
    const SIZE: usize = 8 * 1024 * 1024;
    let kit = heavy();
    let pending = kit.begin(
        "heavy:pictures",
        &json!({ "size": SIZE }),
        Request::default(),
        None,
    );
    let answer = success(&wait(pending)).unwrap();
    assert_eq!(answer.data["text"].as_str().unwrap().len(), 2 * SIZE);
    assert_eq!(
        (answer.message.as_str(), &answer.meta),
        ("here", &json!({ "frames": 2 }))
    );
    let [image, sound] = answer.blobs.as_slice() else {
        panic!("two blobs");
    };
    assert_eq!((image.0.as_str(), image.1.as_str()), ("image", "image/png"));
    assert_eq!((sound.0.as_str(), sound.1.as_str()), ("sound", "audio/wav"));
    assert!(image.2 == vec![7; SIZE] && sound.2 == vec![9; SIZE]);
}

#[test]
fn ten_thousand_calls_run_at_the_same_time() {
    const CALLS: usize = 10_000;
    let kit = heavy();
    let calls: Vec<Pending> = (0..CALLS)
        .map(|me| {
            kit.begin(
                "heavy:meet",
                &json!({ "of": CALLS, "me": me }),
                Request::default(),
                None,
            )
        })
        .collect();
    for (me, call) in calls.into_iter().enumerate() {
        assert_eq!(success(&wait(call)).unwrap().data, me);
    }
}

#[test]
fn threads_call_at_the_same_time() {
    let kit = heavy();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let kit = &kit;
            scope.spawn(move || {
                for round in 0..200 {
                    let me = thread * 1000 + round;
                    assert_eq!(kit.call("heavy:echo", json!({ "me": me })).unwrap(), me);
                }
            });
        }
    });
}
