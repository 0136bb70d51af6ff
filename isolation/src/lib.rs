//! Runs a tree of processes that nobody trusts, and ends it as one.
//!
//! A backend asks [`Machine::probe`] once, at warm-up, what this machine can do: a part that is missing is an error
//! that names the part and the remedy, unless the operator's [`Mode`] says otherwise. Then [`Machine::launch`] starts
//! a program in bubblewrap (private mount, pid, ipc, uts and network namespaces, read-only system directories, private
//! `/tmp` and home, no capabilities, no new privileges, no system calls that only the privileged need) below a control group whose limits count every process of the
//! tree. The [`Sandbox`] it returns ends the whole tree when it is killed or dropped, and when the server dies: the
//! first process of the pid namespace has the server's thread as its parent-death signal, and the kernel ends a
//! namespace with its first process.
//!
//! What has to last from one program to the next lies in a [`Workspace`].
//!
//! The crate knows neither the host nor any backend. Reading order: [`policy`](Policy), `machine`, `launch`,
//! `bubblewrap`, `filter`, `cgroup`, `sandbox`, `tree`, `process`, `workspace`, `capture`.

mod bubblewrap;
mod capture;
mod cgroup;
mod filter;
mod folder;
mod launch;
mod machine;
mod policy;
mod process;
mod sandbox;
mod size;
mod spawner;
mod tree;
mod workspace;

pub use capture::{Capture, Text, whole_characters};
pub use launch::{LaunchError, Program, Stdio3};
pub use machine::{Machine, Missing, Unavailable};
pub use policy::{Limits, Mode, Mount, Policy};
pub use process::{Process, children, descendants, is_dead, namespace_pid, start_time};
pub use rustix::process::Signal;
pub use sandbox::{Sandbox, Usage};
pub use size::Size;
pub use tree::Tree;
pub use workspace::{Space, WORKSPACE, Workspace};

/// Where a folder of the session appears inside the sandbox, read-only.
pub const SESSION_FOLDER: &str = "/run/sandbox";
/// The home directory inside the sandbox.
pub const HOME: &str = "/home/sandbox";
/// The login name inside the sandbox.
pub const USER: &str = "sandbox";
