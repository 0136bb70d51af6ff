//! What a plugin answers when the operating system gives no threads.

use std::{env, process::Command};

use sandbox_plugin_api::prelude::*;

use crate::support::kit;

#[derive(Default)]
struct Threadless;

#[backend(name = "threadless", description = "Needs threads.")]
impl Threadless {
    #[tool]
    async fn task(&self) -> Result<()> {
        Ok(())
    }

    #[tool(inline)]
    async fn inline(&self) -> Result<()> {
        Ok(())
    }

    #[tool(inline)]
    fn plain(&self) -> Result<u8> {
        Ok(1)
    }

    #[tool(blocking)]
    fn blocking(&self) -> Result<()> {
        Ok(())
    }
}

/// No machine has room for so large a stack: every start of a thread fails.
const STACK: &str = "140737488355328";

#[test]
fn a_plugin_that_gets_no_threads_says_so() {
    if env::var("RUST_MIN_STACK").as_deref() != Ok(STACK) {
        let this = "threads::a_plugin_that_gets_no_threads_says_so";
        let mut child = Command::new(env::current_exe().unwrap());
        child.args([this, "--exact", "--test-threads=1"]);
        let output = child.env("RUST_MIN_STACK", STACK).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let kit = kit::<Threadless>(json!({}));
    for tool in ["task", "inline", "blocking"] {
        let failure = kit.call(&format!("threadless:{tool}"), json!({}));
        let failure = failure.unwrap_err();
        assert_eq!(
            (failure.code, failure.panicked),
            (2004, false),
            "{failure:?}"
        );
    }
    assert_eq!(kit.call("threadless:plain", json!({})).unwrap(), 1);
}
