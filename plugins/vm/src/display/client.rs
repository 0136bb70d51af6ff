//! The backend's own connection to a display. Blocking: an answer takes well under a millisecond.
//!
//! Owns the connection, the pointer and its buttons, and how X errors become failures. Pictures are `grab`'s, keys are
//! `keyboard`'s.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    self, AutoRepeatMode, ChangeKeyboardControlAux, ChangeWindowAttributesAux, ConnectionExt as _,
    EventMask, KeyButMask, Window,
};
use x11rb::protocol::{xfixes, xtest};
use x11rb::rust_connection::{DefaultStream, RustConnection};

use super::cookie::{Cookie, SCHEME};
use super::grab::Grab;
use super::keyboard::Keyboard;
use crate::desktop::{Button, Failure, Input};

/// The colour of an empty desktop: not black, so that a picture of one does not look like a failure.
const BACKGROUND: u32 = 0x0033_4d5c;
/// What XTEST calls the pointer's movement; presses and releases have the numbers of the events.
const MOTION: u8 = xproto::MOTION_NOTIFY_EVENT;
/// A window manager decides within a millisecond; this is for a machine that is busy.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
/// More notches of a wheel in one go are a slip.
const MOST_NOTCHES: u32 = 1000;

/// A connection to a display.
pub(super) struct Client {
    pub(super) x: RustConnection,
    pub(super) root: Window,
    grab: Grab,
    keyboard: Keyboard,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Connects, and finds out whether the display has what is needed.
    pub(super) fn connect(socket: UnixStream, cookie: &Cookie) -> Result<Self, Failure> {
        let (stream, _) = DefaultStream::from_unix_stream(socket)?;
        let (scheme, secret) = (SCHEME.as_bytes().to_vec(), cookie.bytes().to_vec());
        let x = RustConnection::connect_to_stream_with_auth_info(stream, 0, scheme, secret)?;
        let root = x.setup().roots[0].root;
        xtest::get_version(&x, 2, 2)?.reply()?;
        xfixes::query_version(&x, 4, 0)?.reply()?;
        let grab = Grab::new(&x);
        let keyboard = Keyboard::new(&x)?;
        Ok(Self {
            x,
            root,
            grab,
            keyboard,
        })
    }

    /// Makes the display fit for agents: a background, and no repeating keys. A key of a person who holds it is
    /// repeated after a while; one of an agent whose machine is slow must not be.
    pub(super) fn furnish(&self) -> Result<(), Failure> {
        let background = ChangeWindowAttributesAux::new()
            .background_pixel(BACKGROUND)
            .event_mask(EventMask::PROPERTY_CHANGE);
        self.x.change_window_attributes(self.root, &background)?;
        self.x.clear_area(false, self.root, 0, 0, 0, 0)?;
        let quiet = ChangeKeyboardControlAux::new().auto_repeat_mode(AutoRepeatMode::OFF);
        self.x.change_keyboard_control(&quiet)?.check()?;
        Ok(())
    }

    /// Waits until a window manager has said that it is there. Returns with an error when the display ends.
    pub(super) fn await_window_manager(&self) -> Result<(), Failure> {
        let name = b"_NET_SUPPORTING_WM_CHECK";
        let check = self.x.intern_atom(false, name)?.reply()?.atom;
        loop {
            let any = xproto::AtomEnum::ANY;
            let property = self.x.get_property(false, self.root, check, any, 0, 1)?;
            if property.reply()?.value_len > 0 {
                return Ok(());
            }
            while !matches!(self.x.wait_for_event()?, Event::PropertyNotify(event) if event.atom == check)
            {
            }
        }
    }

    /// Whether the display still answers.
    pub(super) fn probe(&self) -> Result<(), Failure> {
        self.x.get_input_focus()?.reply()?;
        Ok(())
    }

    pub(super) fn size(&self) -> Result<(u16, u16), Failure> {
        let screen = self.x.get_geometry(self.root)?.reply()?;
        Ok((screen.width, screen.height))
    }

    pub(super) fn pointer(&self) -> Result<(u16, u16), Failure> {
        let pointer = self.x.query_pointer(self.root)?.reply()?;
        Ok((unsigned(pointer.root_x), unsigned(pointer.root_y)))
    }

    pub(super) fn picture(&mut self) -> Result<crate::desktop::Picture, Failure> {
        self.grab.picture(&self.x, self.root)
    }

    /// Gives inputs to the display, each confirmed by it.
    pub(super) fn act(&mut self, inputs: &[Input]) -> Result<(), Failure> {
        self.keyboard.keep_up(&self.x)?;
        for input in inputs {
            match input {
                Input::Move(x, y) => self.move_to(*x, *y)?,
                Input::Press(button) => self.button(*button, true)?,
                Input::Release(button) => self.button(*button, false)?,
                Input::Scroll(right, up) => {
                    self.wheel(if *right > 0 { 7 } else { 6 }, right.unsigned_abs())?;
                    self.wheel(if *up > 0 { 4 } else { 5 }, up.unsigned_abs())?;
                }
                Input::KeyDown(key) => self.keyboard.press(&self.x, *key)?,
                Input::KeyUp(key) => self.keyboard.release(&self.x, *key)?,
                Input::Text(text) => self.keyboard.type_text(&self.x, self.root, text)?,
            }
        }
        Ok(())
    }

    fn move_to(&self, x: u16, y: u16) -> Result<(), Failure> {
        let (wide, high) = (signed(x), signed(y));
        xtest::fake_input(&self.x, MOTION, 0, 0, self.root, wide, high, 0)?;
        let arrived = settled(|| Ok(self.pointer()? == (x, y)))?;
        if arrived {
            return Ok(());
        }
        let (at_x, at_y) = self.pointer()?;
        Err(Failure::Refused(format!(
            "the display did not take it: the pointer is at {at_x}, {at_y}, not at {x}, {y}"
        )))
    }

    fn button(&self, button: Button, down: bool) -> Result<(), Failure> {
        let (number, bit) = match button {
            Button::Left => (1, KeyButMask::BUTTON1),
            Button::Middle => (2, KeyButMask::BUTTON2),
            Button::Right => (3, KeyButMask::BUTTON3),
        };
        self.confirmed(number, bit, down)
    }

    /// Turns the wheel. Buttons 4 and 5 are up and down, 6 and 7 left and right; for the latter the display has no
    /// state to ask for, only an answer after them.
    fn wheel(&self, number: u8, notches: u32) -> Result<(), Failure> {
        let bit = match number {
            4 => Some(KeyButMask::BUTTON4),
            5 => Some(KeyButMask::BUTTON5),
            _ => None,
        };
        for _ in 0..notches.min(MOST_NOTCHES) {
            for down in [true, false] {
                match bit {
                    Some(bit) => self.confirmed(number, bit, down)?,
                    None => fake_button(&self.x, number, down)?,
                }
            }
        }
        self.probe()
    }

    fn confirmed(&self, number: u8, bit: KeyButMask, down: bool) -> Result<(), Failure> {
        fake_button(&self.x, number, down)?;
        let state = || {
            let state = self.x.query_pointer(self.root)?.reply()?.mask;
            Ok(state.contains(bit) == down)
        };
        if settled(state)? {
            return Ok(());
        }
        let done = if down { "go down" } else { "come up" };
        Err(Failure::Refused(format!(
            "the display did not take it: button {number} did not {done}"
        )))
    }
}

/// Waits until the display's state is as it should be. It is so at once, except while a window manager holds input
/// back to decide about it, as it does for a click that raises a window.
pub(super) fn settled(mut look: impl FnMut() -> Result<bool, Failure>) -> Result<bool, Failure> {
    let end = Instant::now() + SETTLE_LIMIT;
    loop {
        if look()? {
            return Ok(true);
        }
        if Instant::now() > end {
            return Ok(false);
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn fake_button(x: &impl RequestConnection, number: u8, down: bool) -> Result<(), Failure> {
    let event = if down {
        xproto::BUTTON_PRESS_EVENT
    } else {
        xproto::BUTTON_RELEASE_EVENT
    };
    xtest::fake_input(x, event, number, 0, x11rb::NONE, 0, 0, 0)?;
    Ok(())
}

/// Screens are at most 32767 pixels wide and high: X's own coordinates are signed.
fn signed(pixel: u16) -> i16 {
    i16::try_from(pixel).unwrap_or(i16::MAX)
}

fn unsigned(pixel: i16) -> u16 {
    u16::try_from(pixel).unwrap_or_default()
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        tracing::debug!(%error, "a display is gone");
        Self::Dead("its display ended")
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        tracing::warn!(%error, "a display could not be connected to");
        Self::Dead("its display cannot be connected to")
    }
}

impl From<ReplyError> for Failure {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => error.into(),
            ReplyError::X11Error(error) => {
                tracing::warn!(?error, "a display refused a request");
                Self::Refused(format!(
                    "the display refused a request ({:?})",
                    error.error_kind
                ))
            }
        }
    }
}

impl From<ReplyOrIdError> for Failure {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::ConnectionError(error) => error.into(),
            ReplyOrIdError::X11Error(error) => ReplyError::X11Error(error).into(),
            ReplyOrIdError::IdsExhausted => Self::Refused("the display has no ids left".into()),
        }
    }
}
