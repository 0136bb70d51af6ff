//! The keyboard.

use sandbox_plugin_api::prelude::*;

use super::Vm;
use crate::answer::{Chord, Keyed, Typed};
use crate::desktop::{Failure, Input};
use crate::hands::MOST_KEYS;
use crate::keys::Key;
use crate::session::Session;

/// Longer texts are files.
const LONGEST_TEXT: usize = 100_000;

#[tools(keyboard)]
impl Vm {
    /// Type text where the keyboard's focus is: any language, line ends as Enter. Click the field first.
    #[tool(
        "vm:type",
        destructive,
        title = "Type text",
        example = r#"{"text": "Hello 世界"}"#
    )]
    async fn type_text(
        &self,
        session: &Session,
        /// The text.
        text: String,
        /// Seconds between two characters.
        #[default(0.0)]
        interval: f64,
    ) -> Result<Typed> {
        let length = text.chars().count();
        if length > LONGEST_TEXT {
            let message = format!("expected at most {LONGEST_TEXT} characters, found {length}");
            return Err(Error::param("/text", message));
        }
        let interval = self.seconds("/interval", interval)?;
        session.hands.type_text(&text, interval).await?;
        Ok(Typed {
            typed: text,
            length,
        })
    }

    /// Tap a key: pyautogui's names (enter, tab, esc, f5, pagedown, ctrlleft, ...) or one character.
    #[tool(destructive, title = "Tap a key", example = r#"{"key": "enter"}"#)]
    async fn key(
        &self,
        session: &Session,
        /// The key's name.
        key: String,
    ) -> Result<Keyed> {
        let named = named("/key", &key)?;
        session.hands.hotkey(&[named]).await?;
        Ok(Keyed { key })
    }

    /// Press a key and keep it down until `vm:key_up`.
    #[tool(destructive, title = "Press a key", example = r#"{"key": "shift"}"#)]
    async fn key_down(
        &self,
        session: &Session,
        /// The key's name.
        key: String,
    ) -> Result<Keyed> {
        let named = named("/key", &key)?;
        session.hands.act(&[Input::KeyDown(named)]).await?;
        Ok(Keyed { key })
    }

    /// Let a key go.
    #[tool(destructive, title = "Release a key", example = r#"{"key": "shift"}"#)]
    async fn key_up(
        &self,
        session: &Session,
        /// The key's name.
        key: String,
    ) -> Result<Keyed> {
        let named = named("/key", &key)?;
        session.hands.act(&[Input::KeyUp(named)]).await?;
        Ok(Keyed { key })
    }

    /// Press keys together, as Ctrl and S.
    #[tool(
        destructive,
        title = "Press keys together",
        example = r#"{"keys": ["ctrl", "s"]}"#
    )]
    async fn hotkey(
        &self,
        session: &Session,
        /// The keys' names, in the order they go down.
        keys: Vec<String>,
    ) -> Result<Chord> {
        if keys.is_empty() || keys.len() > MOST_KEYS {
            let message = format!("expected 1 to {MOST_KEYS} keys, found {}", keys.len());
            return Err(Error::param("/keys", message));
        }
        let each = keys.iter().enumerate();
        let named = each.map(|(number, key)| named(&format!("/keys/{number}"), key));
        let named = named.collect::<Result<Vec<Key>, Failure>>()?;
        session.hands.hotkey(&named).await?;
        Ok(Chord { keys })
    }
}

fn named(pointer: &str, name: &str) -> Result<Key, Failure> {
    Key::named(name).map_err(|message| Failure::param(pointer, message))
}
