//! Backends driven through their real vtables, as a host drives them.

mod c_plugin;
mod cancellation;
mod compile_fail;
mod completion;
mod events;
mod header;
mod lifecycle;
mod load;
mod logs;
mod modes;
mod panics;
mod params;
mod support;
