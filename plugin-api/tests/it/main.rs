//! Backends driven through their real vtables, as a host drives them.
#![expect(
    clippy::unwrap_used,
    reason = "what is not there fails the test, and the line says which"
)]

mod bare;
mod c_plugin;
mod c_sessions;
mod cancellation;
mod compile_fail;
mod completion;
mod events;
mod header;
mod lifecycle;
mod load;
mod logs;
mod modes;
mod names;
mod panics;
mod params;
mod support;
mod testkit;
mod thread_end;
mod threads;
