//! `/metrics`: what the counters say, in the text format of Prometheus (0.0.4).
//!
//! Nothing is kept for it: the counters are there for every call, sessions are counted in their map, and the
//! rest is asked of the process, and of the backends' probes, when somebody scrapes. Labels are backends, tools, codes
//! of the protocol and fixed words, and a bounded number of names from probes: nothing a client sends becomes a label.

mod backends;
mod calls;
mod probes;
mod process;
mod server;
mod text;

use crate::sandbox::Sandbox;
use text::Exposition;

/// The media type of [`render`]'s text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics as they are now.
pub async fn render(sandbox: &Sandbox) -> String {
    let found = probes::ask(sandbox).await;
    let mut page = Exposition::default();
    server::write(&mut page, sandbox);
    calls::write(&mut page, sandbox);
    backends::write(&mut page, sandbox);
    probes::write(&mut page, &found);
    process::write(&mut page);
    page.into_text()
}
