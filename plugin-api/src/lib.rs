//! What a plugin of the sandbox server is written with: backends, tools, sessions, and the ABI below.
//!
//! A plugin is a dynamic library with one or more *backends*. A backend is a struct with
//! [`#[backend]`](macro@backend) on an impl block; its *tools* are the functions in it with
//! `#[tool]`. Their parameters are ordinary typed arguments: from their types and doc comments comes
//! the JSON Schema that clients and agents read, and against them every call is checked before
//! the function runs.
//!
//! # A whole plugin
//!
//! ```
//! #![forbid(unsafe_code)]
//! use sandbox_plugin_api::prelude::*;
//!
//! /// Looks words up.
//! #[derive(Default)]
//! struct DictionaryBackend;
//!
//! #[backend(name = "dictionary", description = "Looks words up.")]
//! impl DictionaryBackend {
//!     /// Say how long a word is. Use this when a text must fit.
//!     #[tool(read_only, example = r#"{"word": "héron"}"#)]
//!     async fn length(
//!         &self,
//!         /// The word, in any script.
//!         word: String,
//!         /// Count bytes instead of characters.
//!         #[default(false)]
//!         bytes: bool,
//!     ) -> Result<Value> {
//!         if word.contains(' ') {
//!             return Err(Error::param("/word", "one word, please"));
//!         }
//!         let length = if bytes { word.len() } else { word.chars().count() };
//!         Ok(json!({ "word": word, "length": length }))
//!     }
//! }
//!
//! sandbox_plugin_api::export!(DictionaryBackend);
//!
//! // In the plugin's tests: the backend through its real vtable, as the server drives it.
//! # fn main() -> std::result::Result<(), sandbox_plugin_api::testkit::Failure> {
//! use sandbox_plugin_api::testkit::TestKit;
//!
//! let kit = TestKit::<DictionaryBackend>::new(json!({}))?;
//! assert_eq!(kit.call("dictionary:length", json!({ "word": "héron" }))?["length"], 5);
//! let slip = kit.call("dictionary:length", json!({ "wrod": "héron" })).unwrap_err();
//! assert_eq!(slip.code, 1002);
//! assert_eq!(slip.message, "parameter /wrod is not known; did you mean `word`?");
//! kit.run_examples();
//! # Ok(())
//! # }
//! ```
//!
//! The library's `Cargo.toml` says `crate-type = ["cdylib", "rlib"]` and depends on this crate; its
//! tests depend on it with the feature `testkit`.
//!
//! # The three kinds of backends
//!
//! The kind follows from which functions there are. All of them are optional.
//!
//! | function | when | |
//! |---|---|---|
//! | `fn new(config, &BackendEnv) -> Result<Self>` | when the server starts; without it `Default` makes the backend | no slow work here; keys that `config` has no longer: [`former`] |
//! | `async fn warmup(&self, &CallContext) -> Result<()>` | before the first call, once | makes what all share |
//! | `async fn probe(&self, &CallContext) -> Result<impl Serialize>` | when an operator asks for `/ready?verbose` or `/metrics`, while it is warm | a quick look at what it depends on; what it returns is shown, and the numbers in it are metrics: `{"pool": {"ready": 2}}` is `pool.ready` |
//! | `async fn initialize(&self, config, &SessionInfo, &CallContext) -> Result<Session>` | for each session | makes what is the session's own |
//! | `async fn cleanup(&self, &Session, …) -> Result<()>` | at a session's end, once | |
//! | `async fn shutdown(&self, …) -> Result<()>` | when the server stops | |
//!
//! Every parameter but `&self` may be left out, and they may stand in any order.
//!
//! ## Shared: one resource for all
//!
//! `warmup` and `shutdown`, no sessions: a search index, a model, a connection pool. A worker may still open one, to set
//! something for its calls: `#[backend(…, session_config = Settings)]` says what, the server checks it, and tools find it
//! in [`SessionInfo::config`].
//!
//! ```
//! use std::sync::RwLock;
//!
//! use sandbox_plugin_api::prelude::*;
//!
//! /// What stands in the configuration file under `resources.rag.config`.
//! #[derive(Deserialize, JsonSchema)]
//! struct Config {
//!     /// The texts to search in.
//!     corpus: Vec<String>,
//!     /// How many results there are when the caller does not say.
//!     #[serde(default = "ten")]
//!     default_top_k: usize,
//! }
//!
//! fn ten() -> usize {
//!     10
//! }
//!
//! struct RagBackend {
//!     config: Config,
//!     model: RwLock<Option<Model>>,
//! }
//!
//! struct Model(Vec<String>);
//!
//! #[backend(name = "rag", description = "Finds texts.")]
//! impl RagBackend {
//!     fn new(config: Config) -> Result<Self> {
//!         if config.corpus.is_empty() {
//!             return Err(Error::config("the corpus is empty"));
//!         }
//!         Ok(Self { config, model: RwLock::new(None) })
//!     }
//!
//!     async fn warmup(&self) -> Result<()> {
//!         let model = Model(self.config.corpus.clone());
//!         *self.model.write().expect("no writer panics") = Some(model);
//!         Ok(())
//!     }
//!
//!     async fn shutdown(&self) -> Result<()> {
//!         *self.model.write().expect("no writer panics") = None;
//!         Ok(())
//!     }
//!
//!     /// Find the texts that contain the query.
//!     #[tool("rag:search", read_only, example = r#"{"query": "bird"}"#)]
//!     async fn search(
//!         &self,
//!         /// What to look for.
//!         query: String,
//!         /// At most so many results.
//!         top_k: Option<usize>,
//!     ) -> Result<Value> {
//!         let model = self.model.read().expect("no writer panics");
//!         let model = model.as_ref().ok_or_else(|| Error::failed("not warmed up"))?;
//!         let found = model.0.iter().filter(|text| text.contains(&query));
//!         let results: Vec<_> = found.take(top_k.unwrap_or(self.config.default_top_k)).collect();
//!         Ok(json!({ "query": query, "results": results }))
//!     }
//! }
//!
//! sandbox_plugin_api::export!(RagBackend);
//! # fn main() -> std::result::Result<(), sandbox_plugin_api::testkit::Failure> {
//! # use sandbox_plugin_api::testkit::TestKit;
//! let kit = TestKit::<RagBackend>::new(json!({ "corpus": ["a bird", "two birds", "a fish"] }))?;
//! kit.warmup()?;
//! let answer = kit.call("rag:search", json!({ "query": "bird", "top_k": 1 }))?;
//! assert_eq!(answer["results"], json!(["a bird"]));
//! kit.run_examples();
//! kit.shutdown()?;
//! # Ok(())
//! # }
//! ```
//!
//! ## Session: a resource for each worker
//!
//! `initialize` and `cleanup`. What `initialize` returns is the session: the author's own type,
//! which the tools get as `&Machine` here. Calls in one session may run at the same time, so what
//! changes stands behind a lock.
//!
//! ```
//! use std::sync::Mutex;
//!
//! use sandbox_plugin_api::prelude::*;
//!
//! #[derive(Default)]
//! struct VmBackend;
//!
//! /// What a client may say when it creates a session.
//! #[derive(Deserialize, JsonSchema)]
//! struct MachineConfig {
//!     /// Width and height in pixels.
//!     #[serde(default = "full_hd")]
//!     screen_size: (u32, u32),
//! }
//!
//! fn full_hd() -> (u32, u32) {
//!     (1920, 1080)
//! }
//!
//! struct Machine {
//!     screen_size: (u32, u32),
//!     pointer: Mutex<(u32, u32)>,
//! }
//!
//! #[backend(name = "vm", description = "A desktop for each worker.", version = "1.0.0")]
//! impl VmBackend {
//!     async fn initialize(&self, config: MachineConfig) -> Result<Machine> {
//!         Ok(Machine { screen_size: config.screen_size, pointer: Mutex::default() })
//!     }
//!
//!     async fn cleanup(&self, machine: &Machine, info: &SessionInfo) -> Result<()> {
//!         let pointer = *machine.pointer.lock().expect("nobody panics with it");
//!         assert!(info.worker_id() == "worker" && pointer == (20, 30));
//!         Ok(())
//!     }
//!
//!     /// Take a picture of the screen.
//!     #[tool("vm:screenshot", read_only, example = "{}")]
//!     async fn screenshot(&self, machine: &Machine) -> Result<Reply> {
//!         let png = b"\x89PNG and so on".to_vec();
//!         Ok(Reply::new(json!({ "size": machine.screen_size }))?.with_png(png))
//!     }
//!
//!     /// Click somewhere.
//!     #[tool("vm:click")]
//!     async fn click(
//!         &self,
//!         machine: &Machine,
//!         /// Pixels from the left.
//!         x: u32,
//!         /// Pixels from the top.
//!         y: u32,
//!     ) -> Result<Value> {
//!         if x >= machine.screen_size.0 {
//!             return Err(Error::param("/x", format!("the screen has {}", machine.screen_size.0)));
//!         }
//!         *machine.pointer.lock().expect("nobody panics with it") = (x, y);
//!         Ok(json!({ "clicked": [x, y] }))
//!     }
//! }
//!
//! sandbox_plugin_api::export!(VmBackend);
//! # fn main() -> std::result::Result<(), sandbox_plugin_api::testkit::Failure> {
//! # use sandbox_plugin_api::testkit::TestKit;
//! let kit = TestKit::<VmBackend>::new(json!({}))?;
//! let session = kit.session("worker", json!({ "screen_size": [800, 600] }))?;
//! let answer = session.call_whole("vm:screenshot", json!({}))?;
//! assert_eq!(answer.data, json!({ "size": [800, 600] }));
//! assert_eq!(answer.blobs[0].0, "image");
//! session.call("vm:click", json!({ "x": 20, "y": 30 }))?;
//! assert_eq!(session.call("vm:click", json!({ "x": 900, "y": 0 })).unwrap_err().code, 1002);
//! session.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! ## Hybrid: something shared, and a part of it for each session
//!
//! All four. One browser for everybody, a page for each worker:
//!
//! ```
//! use sandbox_plugin_api::prelude::*;
//! use tokio::sync::{Mutex, mpsc};
//!
//! #[derive(Default)]
//! struct BrowserBackend {
//!     browser: Mutex<Option<mpsc::Sender<String>>>,
//! }
//!
//! struct Page {
//!     browser: mpsc::Sender<String>,
//! }
//!
//! #[backend(name = "browser", description = "A page for each worker.")]
//! impl BrowserBackend {
//!     async fn warmup(&self) -> Result<()> {
//!         let (browser, mut requests) = mpsc::channel::<String>(8);
//!         // The plugin has a runtime of its own: tasks, timers, sockets and processes just work.
//!         tokio::spawn(async move { while requests.recv().await.is_some() {} });
//!         *self.browser.lock().await = Some(browser);
//!         Ok(())
//!     }
//!
//!     async fn shutdown(&self) -> Result<()> {
//!         self.browser.lock().await.take();
//!         Ok(())
//!     }
//!
//!     async fn initialize(&self) -> Result<Page> {
//!         let browser = self.browser.lock().await.clone();
//!         let browser = browser.ok_or_else(|| Error::unavailable("the browser does not run"))?;
//!         Ok(Page { browser })
//!     }
//!
//!     /// Open an address.
//!     #[tool("browser:goto", alias = "navigate", timeout = 30, example = r#"{"url": "about:blank"}"#)]
//!     async fn goto(&self, page: &Page, url: String, context: &CallContext) -> Result<Value> {
//!         context.progress(0.0, 1.0, "asking the browser");
//!         // When the call is cancelled, this is where it ends.
//!         page.browser.send(url.clone()).await?;
//!         Ok(json!({ "url": url }))
//!     }
//! }
//!
//! sandbox_plugin_api::export!(BrowserBackend);
//! # fn main() -> std::result::Result<(), sandbox_plugin_api::testkit::Failure> {
//! # use sandbox_plugin_api::testkit::TestKit;
//! let kit = TestKit::<BrowserBackend>::new(json!({}))?;
//! assert_eq!(kit.session("early", json!({})).err().map(|failure| failure.code), Some(2004));
//! kit.warmup()?;
//! let session = kit.session("worker", json!({}))?;
//! let answer = session.call("browser:navigate", json!({ "url": "about:blank" }))?;
//! assert_eq!(answer["url"], "about:blank");
//! session.close()?;
//! kit.run_examples();
//! kit.shutdown()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Tools
//!
//! `#[tool]`, `#[tool("name")]` or `#[tool("resource:action", …)]` with, in any order:
//!
//! | argument | meaning |
//! |---|---|
//! | `"name"` or `name = "…"` | the name; without it the function's. The part before a colon is the resource type |
//! | `resource_type = "…"` | the resource type, when it is neither in the name nor the backend's |
//! | `alias = "…"` | one more name; may be repeated |
//! | `description = "…"`, `title = "…"` | for agents and people; without a description the doc comment |
//! | `hidden` | not in lists, unless asked for |
//! | `timeout = 30` | seconds, when the caller says nothing |
//! | `read_only`, `destructive`, `idempotent` | hints for agents |
//! | `example = r#"{…}"#` | parameters of a call that works: published, and run by the test kit; may be repeated |
//! | `inline` | for tools that never wait: runs on the caller's thread. A plain `fn`, or an `async fn` that moves to the runtime if it has to wait after all |
//! | `blocking` | for a plain `fn` that blocks: runs on a thread for such work |
//!
//! A parameter that is not a reference comes from the JSON. `Option<T>` may be absent;
//! `#[default(expression)]` says what an absent one is; `#[serde(…)]` and `#[schemars(…)]` work as on
//! a struct's field; one parameter marked `#[params]` takes the whole object into a type of the
//! author's. `Box<RawValue>` takes a value as it is written, for a tool that only passes it on: nothing parses it, and
//! an answer may be one too. References are what the call offers:
//! [`&CallContext`](CallContext), [`&SessionInfo`](SessionInfo), the session; the last two also as an
//! `Option`.
//!
//! A tool returns [`Result`]`<T>` where `T` is [`Reply`] or anything that serialises, and `?` turns
//! every [`std::error::Error`] into an [`Error`] with code 5000. A panic is caught, reported with its
//! place, and ends that call only.
//!
//! # Tools in several files
//!
//! A backend with many tools has further impl blocks with `#[tools(name)]`, as a rule one in each file, and the
//! `#[backend]` block lists them: `tools = [name, …]`. Lifecycle functions stay in the `#[backend]` block. The tools
//! are listed in that order, after those of the `#[backend]` block itself. A block that is not listed is never used,
//! and the compiler says so.
//!
//! ```
//! #[derive(Default)]
//! pub struct Desk;
//!
//! pub struct Sheet(std::sync::Mutex<String>);
//!
//! mod backend {
//!     use sandbox_plugin_api::prelude::*;
//!
//!     use super::{Desk, Sheet};
//!
//!     #[backend(name = "desk", description = "Paper.", tools = [reading, writing])]
//!     impl Desk {
//!         async fn initialize(&self) -> Result<Sheet> {
//!             Ok(Sheet(String::new().into()))
//!         }
//!     }
//! }
//!
//! mod reading {
//!     use sandbox_plugin_api::prelude::*;
//!
//!     use super::{Desk, Sheet};
//!
//!     #[tools(reading)]
//!     impl Desk {
//!         /// Read what is written.
//!         #[tool(read_only, alias = "look", example = "{}")]
//!         async fn read(&self, sheet: &Sheet) -> Result<String> {
//!             Ok(sheet.0.lock().expect("nobody panics with it").clone())
//!         }
//!     }
//! }
//!
//! mod writing {
//!     use sandbox_plugin_api::prelude::*;
//!
//!     use super::{Desk, Sheet};
//!
//!     #[tools(writing)]
//!     impl Desk {
//!         /// Write something.
//!         #[tool(example = r#"{"text": "ink"}"#)]
//!         async fn write(&self, sheet: &Sheet, text: String) -> Result<()> {
//!             *sheet.0.lock().expect("nobody panics with it") = text;
//!             Ok(())
//!         }
//!     }
//! }
//!
//! sandbox_plugin_api::export!(Desk);
//! # fn main() -> std::result::Result<(), sandbox_plugin_api::testkit::Failure> {
//! # use sandbox_plugin_api::{prelude::json, testkit::TestKit};
//! let kit = TestKit::<Desk>::new(json!({}))?;
//! let sheet = kit.session("worker", json!({}))?;
//! sheet.call("desk:write", json!({ "text": "ink" }))?;
//! assert_eq!(sheet.call("desk:look", json!({}))?, json!("ink"));
//! # sheet.close()?;
//! # kit.run_examples();
//! # Ok(())
//! # }
//! ```
//!
//! # Reading order
//!
//! [`context`](CallContext), [`error`](Error) and [`reply`](Reply) are what authors use; [`backend`](mod@backend) is what
//! the macros write; `params` reads a tool's parameters, [`schema`] describes them, and [`former`] what a configuration had
//! before; [`plugin`] turns both into operations behind the [`abi`], whose policy is written there; [`host`] is the other
//! side of it, and `testkit` stands on that.

extern crate self as sandbox_plugin_api;

mod context;
mod error;
mod reply;

pub mod prelude;

pub mod backend;
pub mod former;
mod params;
pub mod schema;

#[doc(hidden)]
pub mod export;
pub mod plugin;

pub mod abi;

#[doc(hidden)]
pub mod sharded;

#[cfg(feature = "host")]
pub mod host;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use context::{BackendEnv, CallContext, SessionInfo};
pub use error::{Code, Error, Result};
pub use reply::{IntoReply, Reply};
pub use sandbox_plugin_macros::{backend, tool, tools};

/// Compiles the plugin that the tutorial begins with.
#[cfg(doctest)]
#[doc = include_str!("../../docs/plugin-tutorial.md")]
struct Tutorial;

/// What the macros need of other crates. Not for authors: it may change at any time.
#[doc(hidden)]
pub mod private {
    pub use abi_stable;
    pub use schemars;
    pub use serde;

    pub use crate::schema::probe;
}
