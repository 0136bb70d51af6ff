//! What a guest can be given, and the hands that give it: they know what they hold down.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    keyboard,
    keys::{self, SHIFT, SHIFT_RIGHT, Stroke},
    tablet,
};
use crate::{Error, Result, process::Process};

/// A button of the mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Button {
    /// The one for clicking.
    Left,
    /// The wheel, pressed.
    Middle,
    /// The one for menus.
    Right,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The pointer goes there.
    Move(u16, u16),
    /// A button goes down.
    Press(Button),
    /// A button goes up.
    Release(Button),
    /// The wheel turns so many notches up; down when negative.
    Scroll(i32),
    /// A key goes down, by its X key symbol.
    KeyDown(u32),
    /// A key goes up.
    KeyUp(u32),
    /// Text is typed.
    Text(String),
}

/// Says what of `inputs` this keyboard cannot give, before any of it is.
pub(super) fn check(inputs: &[Input]) -> Result<()> {
    for input in inputs {
        match input {
            Input::KeyDown(symbol) | Input::KeyUp(symbol) => {
                keys::stroke(*symbol).ok_or_else(|| no_key(*symbol))?;
            }
            Input::Text(text) => check_text(text)?,
            Input::Move(..) | Input::Press(_) | Input::Release(_) | Input::Scroll(_) => {}
        }
    }
    Ok(())
}

fn check_text(text: &str) -> Result<()> {
    let untypable: BTreeSet<char> = text
        .chars()
        .filter(|c| keys::stroke_of(*c).is_none())
        .collect();
    if untypable.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = untypable.iter().take(8).map(|c| format!("{c:?}")).collect();
    Err(Error::Untypable(format!(
        "the virtual machine's keyboard is a US one and has no keys for {}; nothing was typed",
        shown.join(", ")
    )))
}

fn no_key(symbol: u32) -> Error {
    let message = match keys::character(symbol) {
        Some(character) => {
            format!("the virtual machine's keyboard is a US one and has no key for {character:?}")
        }
        None => "a PC's keyboard does not have this key".into(),
    };
    Error::Untypable(message)
}

/// Keys come this long after a button at the earliest. They reach the guest another way, and faster: without it the first
/// letters go to the window that had the keyboard before the click, which under emulation takes 100 ms to change.
const AFTER_BUTTON: Duration = Duration::from_millis(250);

/// What is known of the screen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// Where the pointer was sent.
    pub(super) pointer: (u16, u16),
    /// As of the last picture.
    pub(super) size: (u16, u16),
}

/// What is held down.
#[derive(Debug, Clone, Default)]
pub(super) struct Hands {
    held: BTreeSet<&'static str>,
    /// Whether shift is down only for the sake of keys that need it.
    lent_shift: bool,
    /// When a button last went down or up.
    button: Option<Instant>,
}

impl Hands {
    pub(super) async fn give(
        &mut self,
        process: &Process,
        screen: &Mutex<Screen>,
        input: &Input,
    ) -> Result<()> {
        let screen = || screen.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(input, Input::KeyDown(_) | Input::Text(_))
            && let Some(button) = self.button.take()
        {
            sleep_until(button + AFTER_BUTTON).await;
        }
        match input {
            Input::Move(x, y) => {
                let place = tablet::place((*x, *y), screen().size);
                tablet::give(process, &place).await?;
                screen().pointer = (*x, *y);
                Ok(())
            }
            Input::Press(button) => self.button(process, *button, true).await,
            Input::Release(button) => self.button(process, *button, false).await,
            Input::Scroll(notches) => tablet::scroll(process, *notches).await,
            Input::KeyDown(symbol) => {
                let stroke = keys::stroke(*symbol).ok_or_else(|| no_key(*symbol))?;
                let events = self.down(stroke);
                keyboard::give(process, &events).await
            }
            Input::KeyUp(symbol) => {
                let stroke = keys::stroke(*symbol).ok_or_else(|| no_key(*symbol))?;
                let events = self.up(stroke);
                keyboard::give(process, &events).await
            }
            Input::Text(text) => {
                for stroke in text.chars().filter_map(keys::stroke_of) {
                    // Down and up together: a caller that gives up in between leaves no key down.
                    let mut events = self.down(stroke);
                    events.extend(self.up(stroke));
                    keyboard::give(process, &events).await?;
                    keyboard::pace().await;
                }
                Ok(())
            }
        }
    }

    async fn button(&mut self, process: &Process, button: Button, down: bool) -> Result<()> {
        tablet::give(process, &[tablet::button(button, down)]).await?;
        self.button = Some(Instant::now());
        Ok(())
    }

    fn down(&mut self, stroke: Stroke) -> Vec<Value> {
        let mut events = Vec::new();
        let shifted = self.held.contains(SHIFT) || self.held.contains(SHIFT_RIGHT);
        if stroke.shift && !shifted && !self.lent_shift {
            events.push(key(SHIFT, true));
            self.lent_shift = true;
        }
        self.held.insert(stroke.code);
        events.push(key(stroke.code, true));
        events
    }

    fn up(&mut self, stroke: Stroke) -> Vec<Value> {
        self.held.remove(stroke.code);
        let mut events = vec![key(stroke.code, false)];
        if stroke.shift && self.lent_shift {
            events.push(key(SHIFT, false));
            self.lent_shift = false;
        }
        events
    }
}

/// A key that goes down or up, as QEMU has it.
pub(super) fn key(code: &str, down: bool) -> Value {
    json!({
        "type": "key",
        "data": { "down": down, "key": { "type": "qcode", "data": code } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(events: &[Value]) -> Vec<(&str, bool)> {
        let code = |event: &Value| event["data"]["down"].as_bool();
        events
            .iter()
            .map(|event| {
                let name = event["data"]["key"]["data"].as_str();
                (name.unwrap_or_default(), code(event).unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn shift_is_lent_to_keys_that_need_it_and_taken_back() {
        let mut hands = Hands::default();
        let capital = keys::stroke(u32::from('A')).unwrap();
        assert_eq!(codes(&hands.down(capital)), [("shift", true), ("a", true)]);
        assert_eq!(codes(&hands.up(capital)), [("a", false), ("shift", false)]);
    }

    #[test]
    fn a_shift_that_the_caller_holds_stays_down() {
        let mut hands = Hands::default();
        let shift = keys::stroke(0xffe1).unwrap();
        let capital = keys::stroke(u32::from('A')).unwrap();
        hands.down(shift);
        assert_eq!(codes(&hands.down(capital)), [("a", true)]);
        assert_eq!(codes(&hands.up(capital)), [("a", false)]);
        assert_eq!(codes(&hands.up(shift)), [("shift", false)]);
    }

    #[test]
    fn what_cannot_be_typed_is_named_before_anything_is() {
        let refused = check(&[Input::Text("a世b€".into())]).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("'世'") && text.contains("'€'"), "{text}");
        assert!(!text.contains("'a'"), "{text}");
        assert!(check(&[Input::KeyDown(0xffcf)]).is_err(), "F18");
        let all: String = (' '..='~').chain("\n\t".chars()).collect();
        check(&[Input::Text(all)]).unwrap();
    }
}
