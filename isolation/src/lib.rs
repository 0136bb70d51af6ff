//! Runs a tree of processes that nobody trusts, and ends it as one.
//!
//! A backend asks [`Machine::probe`] once, at warm-up, what this machine can do: a part that is missing is an error
//! that names the part and the remedy, unless the operator's [`Mode`] says otherwise. Then [`Machine::launch`] starts
//! a program in bubblewrap (private mount, pid, ipc, uts and network namespaces, read-only system directories, private
//! `/tmp` and home, no capabilities, no new privileges) below a control group whose limits count every process of the
//! tree. The [`Sandbox`] it returns ends the whole tree when it is killed or dropped, and when the server dies: the
//! first process of the pid namespace has the server's thread as its parent-death signal, and the kernel ends a
//! namespace with its first process.
//!
//! The crate knows neither the host nor any backend. Reading order: [`policy`](Policy), `machine`, `launch`,
//! `bubblewrap`, `cgroup`, `sandbox`, `tree`, `process`.

mod bubblewrap;
mod cgroup;
mod folder;
mod launch;
mod machine;
mod policy;
mod process;
mod sandbox;
mod size;
mod spawner;
mod tree;

pub use launch::{LaunchError, Program, Stdio3};
pub use machine::{Machine, Missing, Unavailable};
pub use policy::{Limits, Mode, Mount, Policy};
pub use process::{Process, children, descendants, namespace_pid, start_time};
pub use rustix::process::Signal;
pub use sandbox::{Sandbox, Usage};
pub use size::Size;
pub use tree::Tree;

/// Where a folder of the session appears inside the sandbox, read-only.
pub const SESSION_FOLDER: &str = "/run/sandbox";
/// The home directory inside the sandbox.
pub const HOME: &str = "/home/sandbox";
/// The login name inside the sandbox.
pub const USER: &str = "sandbox";
