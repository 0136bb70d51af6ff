//! Programs of pyautogui calls: read, checked as a whole, and carried out by our own actions. Nothing is evaluated.
//!
//! Understood are calls of `pyautogui` and of `time.sleep` with literal arguments, and the imports of these two;
//! anything else is refused before the first action. Reading order: `script` (from text to calls), `literal`,
//! `arguments` (which argument is which), `action` (what a call means), `perform`.

mod action;
mod arguments;
mod literal;
mod perform;
mod script;

pub(crate) use perform::perform;
pub(crate) use script::{Call, read};
