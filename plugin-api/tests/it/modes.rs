//! Where tools run: on the caller's thread, on the runtime, on a thread that may block.

use std::thread::{self, ThreadId};

use sandbox_plugin_api::{prelude::*, testkit::TestKit};

use crate::support::{kit, listen, signal};

#[derive(Default)]
struct Modes;

fn place() -> Value {
    json!({ "id": name(thread::current().id()), "name": thread::current().name() })
}

fn name(id: ThreadId) -> String {
    format!("{id:?}")
}

#[backend(name = "modes", description = "Tells where it runs.")]
impl Modes {
    #[tool]
    async fn task(&self) -> Result<Value> {
        Ok(place())
    }

    #[tool(inline)]
    async fn inline(&self) -> Result<Value> {
        Ok(place())
    }

    #[tool(inline)]
    fn plain(&self, context: &CallContext) -> Result<Value> {
        assert_eq!(context.tool(), "modes:plain");
        Ok(place())
    }

    #[tool(inline)]
    async fn inline_that_waits(&self) -> Result<Value> {
        let before = place();
        // A timer made on the caller's thread belongs to the plugin's runtime all the same.
        let hour = std::time::Duration::from_hours(1);
        tokio::time::timeout(hour, tokio::task::yield_now()).await?;
        Ok(json!([before, place()]))
    }

    #[tool(blocking)]
    fn blocking(&self) -> Result<Value> {
        // Only a thread that may block lets its runtime be blocked on.
        let answer = tokio::runtime::Handle::current().block_on(async { place() });
        Ok(answer)
    }

    #[tool(inline)]
    fn plain_spawns(&self) -> Result<u8> {
        let (sender, receiver) = std::sync::mpsc::channel();
        tokio::spawn(async move { sender.send(1) });
        Ok(receiver.recv()?)
    }

    #[tool]
    async fn spawns(&self) -> Result<Value> {
        let (listener, task) = (
            tokio::net::TcpListener::bind("127.0.0.1:0").await?,
            tokio::spawn(async { 1 }),
        );
        let address = listener.local_addr()?;
        let (client, server) =
            tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        Ok(json!([client.is_ok(), server.is_ok(), task.await?]))
    }
}

fn modes() -> (TestKit<Modes>, String) {
    (kit(json!({})), name(thread::current().id()))
}

#[test]
fn tools_run_on_the_plugin_s_runtime() {
    let (kit, here) = modes();
    let place = kit.call("modes:task", json!({})).unwrap();
    assert_ne!(place["id"], here);
    assert_eq!(place["name"], "plugin");
}

#[test]
fn inline_tools_run_on_the_caller_s_thread() {
    let (kit, here) = modes();
    assert_eq!(kit.call("modes:inline", json!({})).unwrap()["id"], here);
    assert_eq!(kit.call("modes:plain", json!({})).unwrap()["id"], here);
}

#[test]
fn an_inline_tool_that_waits_moves_to_the_runtime() {
    let (kit, here) = modes();
    let places = kit.call("modes:inline_that_waits", json!({})).unwrap();
    assert_eq!(places[0]["id"], here);
    assert_ne!(places[1]["id"], here);
}

#[test]
fn blocking_tools_may_block() {
    let (kit, here) = modes();
    assert_ne!(kit.call("modes:blocking", json!({})).unwrap()["id"], here);
}

#[test]
fn a_plain_inline_tool_may_spawn() {
    let (kit, _) = modes();
    for _ in 0..2 {
        assert_eq!(kit.call("modes:plain_spawns", json!({})).unwrap(), 1);
    }
    // Also on a thread that is inside another runtime.
    let other = tokio::runtime::Builder::new_current_thread().build();
    other.unwrap().block_on(async {
        assert_eq!(kit.call("modes:plain_spawns", json!({})).unwrap(), 1);
        let kit = &kit;
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(kit.call("modes:plain_spawns", json!({})).unwrap(), 1));
        });
    });
}

/// Spawns where no tool runs: when it is made, and when it or a session of it is dropped.
struct Ends;

struct EndsSession;

fn spawn_signal(what: &'static str) {
    tokio::spawn(async move { signal("ends", what) });
}

impl Drop for Ends {
    fn drop(&mut self) {
        spawn_signal("backend");
    }
}

impl Drop for EndsSession {
    fn drop(&mut self) {
        spawn_signal("session");
    }
}

#[backend(name = "ends", description = "Says goodbye.")]
impl Ends {
    fn new() -> Result<Self> {
        spawn_signal("new");
        Ok(Self)
    }

    async fn initialize(&self) -> Result<EndsSession> {
        Ok(EndsSession)
    }
}

#[test]
fn what_makes_and_drops_a_backend_and_a_session_may_spawn() {
    let heard = listen("ends");
    let kit = kit::<Ends>(json!({}));
    assert_eq!(heard.next(), "new");
    kit.session("ann", json!({})).unwrap().close().unwrap();
    assert_eq!(heard.next(), "session");
    drop(kit);
    assert_eq!(heard.next(), "backend");
}

#[test]
fn sockets_and_tasks_work_in_tools() {
    let (kit, _) = modes();
    assert_eq!(
        kit.call("modes:spawns", json!({})).unwrap(),
        json!([true, true, 1])
    );
}
