//! Driving pages. Reading order: `session` is a worker's pages, `context` what events reach of it, `tab` is one page and what
//! events tell of it; on these stand the deeds: `navigate`, `element` (finding one, and waiting until it can be used),
//! `input`, `content`, `snapshot`, `picture`, `storage`, `downloads`.

mod content;
mod context;
mod downloads;
mod element;
mod input;
mod keys;
mod navigate;
mod notes;
mod picture;
mod session;
mod snapshot;
mod storage;
mod tab;

pub(crate) use content::{Cut, Form, evaluate, text};
pub(crate) use downloads::{Download, Piece};
pub(crate) use element::{WaitFor, Wanted, wait_for};
pub(crate) use input::{
    Scrolled, Typing, click, click_at, press, scroll, select_option, type_text,
};
pub(crate) use navigate::{Direction, Landed, WaitUntil, goto, reload, travel};
pub(crate) use notes::Notes;
pub(crate) use picture::{Format, shoot};
pub use session::Session;
pub(crate) use session::TabInfo;
pub(crate) use snapshot::snapshot;
pub(crate) use storage::save;
