//! Cancellation: what is dropped and told, in which order, and how often the host hears of the end.
#![expect(unsafe_code, reason = "opens the table as a host does")]

use std::{
    future,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use sandbox_plugin_api::{
    abi,
    host::{BackendHandle, Function, Request, Status, Table},
    plugin,
    prelude::*,
    testkit::{TestKit, wait},
};

use crate::support::{PATIENCE, SignalOnDrop, install_host, kit, listen, lock, signal, until};

#[derive(Default)]
struct Waits;

/// Lets a test hold a destructor or a blocking tool back.
static GATES: Mutex<Vec<(String, mpsc::Receiver<()>)>> = Mutex::new(Vec::new());

fn gate(key: &str) -> mpsc::Sender<()> {
    let (open, gate) = mpsc::channel();
    lock(&GATES).push((key.to_owned(), gate));
    open
}

fn pass_gate(key: &str) {
    let gate = {
        let mut gates = lock(&GATES);
        let position = gates.iter().position(|(name, _)| name == key);
        gates
            .swap_remove(position.expect("the test made the gate"))
            .1
    };
    gate.recv_timeout(PATIENCE)
        .expect("the test opens the gate");
}

struct SlowDrop(String);

impl Drop for SlowDrop {
    fn drop(&mut self) {
        signal(&self.0, "dropping");
        pass_gate(&self.0);
        signal(&self.0, "dropped");
    }
}

#[backend(name = "waits", description = "Waits until it is cancelled.")]
impl Waits {
    #[tool]
    async fn forever(&self, key: String) -> Result<()> {
        let _dropped = SignalOnDrop(key.clone(), "dropped");
        signal(&key, "started");
        future::pending().await
    }

    #[tool(inline)]
    async fn forever_inline(&self, key: String) -> Result<()> {
        let _dropped = SignalOnDrop(key, "dropped");
        future::pending().await
    }

    #[tool]
    async fn slow_drop(&self, key: String) -> Result<()> {
        let _dropped = SlowDrop(key.clone());
        signal(&key, "started");
        future::pending().await
    }

    #[tool(blocking)]
    fn block(&self, key: String, context: &CallContext) -> Result<&'static str> {
        signal(&key, "started");
        while !context.is_cancelled() {
            thread::yield_now();
        }
        Ok("saw it")
    }

    #[tool(blocking)]
    fn block_at_gate(&self, key: String) -> Result<()> {
        signal(&key, "started");
        pass_gate(&key);
        Ok(())
    }

    #[tool]
    async fn tells_a_task(&self, key: String, context: &CallContext) -> Result<()> {
        let token = context.cancellation();
        let name = key.clone();
        tokio::spawn(async move {
            token.cancelled().await;
            signal(&name, "told");
        });
        signal(&key, "started");
        future::pending().await
    }

    #[tool]
    async fn quick(&self) -> Result<u8> {
        Ok(1)
    }
}

fn waits() -> TestKit<Waits> {
    kit(json!({}))
}

/// The same backend without the kit, for what only the host's side shows.
fn handle() -> Arc<BackendHandle> {
    plugin::register(&[plugin::Registration::of::<Waits>()]);
    // SAFETY: the entry function of this very program.
    let table = unsafe { Table::open(entry, install_host()) };
    table.unwrap().create("Waits", b"{}", ".").unwrap()
}

unsafe extern "C" fn entry(host: *const abi::Host) -> *const abi::Plugin {
    // SAFETY: the promise of the caller, handed on.
    unsafe { plugin::entry(host) }
}

const FOREVER: u32 = 0;
const BLOCK_AT_GATE: u32 = 4;

fn call(tool: u32, params: &str) -> Request<'_> {
    Request {
        tool,
        params: params.as_bytes(),
        ..Request::default()
    }
}

#[test]
fn a_cancelled_future_is_dropped_before_it_completes() {
    let heard = listen("forever");
    let kit = waits();
    let pending = kit.begin(
        "waits:forever",
        &json!({ "key": "forever" }),
        Request::default(),
        None,
    );
    assert_eq!(heard.next(), "started");
    pending.cancel();
    let answer = wait(pending);
    assert_eq!((answer.status(), answer.code()), (Status::Cancelled, 2002));
    assert_eq!(heard.now().as_deref(), Some("dropped"));
}

#[test]
fn an_inline_tool_that_waits_is_cancelled_too() {
    let heard = listen("inline");
    let kit = waits();
    let pending = kit.begin(
        "waits:forever_inline",
        &json!({ "key": "inline" }),
        Request::default(),
        None,
    );
    pending.cancel();
    assert_eq!(wait(pending).status(), Status::Cancelled);
    assert_eq!(heard.now().as_deref(), Some("dropped"));
}

#[test]
fn completion_waits_for_destructors() {
    let heard = listen("slow");
    let open = gate("slow");
    let kit = waits();
    let mut pending = kit.begin(
        "waits:slow_drop",
        &json!({ "key": "slow" }),
        Request::default(),
        None,
    );
    assert_eq!(heard.next(), "started");
    pending.cancel();
    assert_eq!(heard.next(), "dropping");
    assert!(
        pending.try_take().is_none(),
        "completed before its destructors were done"
    );
    open.send(()).unwrap();
    assert_eq!(wait(pending).status(), Status::Cancelled);
    assert_eq!(heard.now().as_deref(), Some("dropped"));
}

#[test]
fn a_blocking_tool_sees_that_it_is_cancelled() {
    let heard = listen("block");
    let kit = waits();
    let pending = kit.begin(
        "waits:block",
        &json!({ "key": "block" }),
        Request::default(),
        None,
    );
    assert_eq!(heard.next(), "started");
    pending.cancel();
    let answer = wait(pending);
    assert_eq!(answer.status(), Status::Completed);
    assert_eq!(answer.data(), br#""saw it""#);
}

#[test]
fn a_token_tells_tasks_that_the_tool_started() {
    let heard = listen("token");
    let kit = waits();
    let pending = kit.begin(
        "waits:tells_a_task",
        &json!({ "key": "token" }),
        Request::default(),
        None,
    );
    assert_eq!(heard.next(), "started");
    pending.cancel();
    assert_eq!(heard.next(), "told");
    assert_eq!(wait(pending).status(), Status::Cancelled);
}

#[test]
fn cancelling_late_and_often_does_nothing() {
    let kit = waits();
    let mut pending = kit.begin("waits:quick", &json!({}), Request::default(), None);
    let mut answer = None;
    until(|| {
        answer = answer.take().or_else(|| pending.try_take());
        answer.is_some()
    });
    pending.cancel();
    pending.cancel();
    assert_eq!(answer.unwrap().data(), b"1");
    assert!(pending.try_take().is_none(), "a second answer");
}

#[test]
fn dropping_the_call_cancels_it() {
    let heard = listen("drop");
    let backend = handle();
    let keep = SignalOnDrop("drop".to_owned(), "kept no longer");
    let request = call(FOREVER, r#"{"key":"drop"}"#);
    let pending = backend.start(Function::Call, &request, None, Some(Box::new(keep)));
    assert_eq!(heard.next(), "started");
    drop(pending);
    assert_eq!(heard.next(), "dropped");
    assert_eq!(heard.next(), "kept no longer");
}

#[test]
fn what_is_kept_is_kept_until_the_work_is_done() {
    let heard = listen("keep");
    let open = gate("keep");
    let backend = handle();
    let keep = SignalOnDrop("keep".to_owned(), "kept no longer");
    let request = call(BLOCK_AT_GATE, r#"{"key":"keep"}"#);
    let pending = backend.start(Function::Call, &request, None, Some(Box::new(keep)));
    assert_eq!(heard.next(), "started");
    drop((pending, backend));
    assert_eq!(heard.now(), None, "dropped under the running tool");
    open.send(()).unwrap();
    assert_eq!(heard.next(), "kept no longer");
}
