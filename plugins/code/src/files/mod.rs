//! The workspace as the server touches it.
//!
//! A program may at any moment replace a folder by a link, a file by a pipe or a device that never answers. So no path is
//! checked and then used: the kernel resolves every path below the workspace's descriptor (`openat2(2)` with
//! `RESOLVE_BENEATH`), nothing is opened that could block, and what was opened is looked at before it is read.
//!
//! Reading order: `place` (a path that a caller wrote), `open`, `edit`, `walk`, `search`, `import`.

mod edit;
mod import;
mod open;
mod place;
mod search;
mod walk;

pub(crate) use edit::{Edited, edit, write};
pub(crate) use import::import;
pub(crate) use open::{read_lines, read_whole};
pub(crate) use place::{Fault, Place};
pub(crate) use search::{Found, Matches, glob, grep};
pub(crate) use walk::{Entry, walk};
