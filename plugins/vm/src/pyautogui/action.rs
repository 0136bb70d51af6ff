//! What a call means: the functions of pyautogui that move, press and type, with their arguments.

use std::time::Duration;

use ruff_python_ast::{Expr, ExprCall};

use super::arguments::{Named, Pair};
use crate::desktop::Button;
use crate::keys::Key;

/// More clicks or taps in one call are a slip.
const MOST: u32 = 1000;

/// Where something happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place {
    /// These pixels of the screen; what is not given is the pointer's.
    At(Pair),
    /// So far from the pointer.
    Off(Pair),
}

/// One action.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Go there, then click.
    Click {
        at: Place,
        button: Button,
        count: u32,
        interval: Duration,
        duration: Duration,
    },
    /// Go there.
    Move { to: Place, duration: Duration },
    /// Go there with the button held.
    Drag {
        to: Place,
        button: Button,
        duration: Duration,
    },
    /// A button goes down or up there.
    Hold {
        at: Place,
        button: Button,
        down: bool,
    },
    /// The wheel turns there.
    Scroll { at: Place, right: i32, up: i32 },
    /// Keys are tapped one after another, all of it some times.
    Press {
        keys: Vec<Key>,
        times: u32,
        interval: Duration,
    },
    /// A key goes down or up.
    HoldKey { key: Key, down: bool },
    /// Keys are pressed together.
    Hotkey { keys: Vec<Key> },
    /// Text is typed.
    Write { text: String, interval: Duration },
    /// Nothing happens for a while.
    Sleep(Duration),
    /// Where is the pointer?
    Position,
    /// How large is the screen?
    Size,
}

const CLICK: &[&str] = &[
    "x",
    "y",
    "clicks",
    "interval",
    "button",
    "duration",
    "tween",
    "logScreenshot",
    "_pause",
];
/// The clicks that say in their name how many and with what.
const CLICK_SO: &[&str] = &[
    "x",
    "y",
    "interval",
    "duration",
    "tween",
    "logScreenshot",
    "_pause",
];
const DOUBLE: &[&str] = &[
    "x",
    "y",
    "interval",
    "button",
    "duration",
    "tween",
    "logScreenshot",
    "_pause",
];
const MOVE: &[&str] = &["x", "y", "duration", "tween", "logScreenshot", "_pause"];
const MOVE_OFF: &[&str] = &[
    "xOffset",
    "yOffset",
    "duration",
    "tween",
    "logScreenshot",
    "_pause",
];
const DRAG: &[&str] = &[
    "x",
    "y",
    "duration",
    "tween",
    "button",
    "logScreenshot",
    "_pause",
    "mouseDownUp",
];
const DRAG_OFF: &[&str] = &[
    "xOffset",
    "yOffset",
    "duration",
    "tween",
    "button",
    "logScreenshot",
    "_pause",
    "mouseDownUp",
];
const HOLD: &[&str] = &[
    "x",
    "y",
    "button",
    "duration",
    "tween",
    "logScreenshot",
    "_pause",
];
const SCROLL: &[&str] = &["clicks", "x", "y", "logScreenshot", "_pause"];
const PRESS: &[&str] = &["keys", "presses", "interval", "logScreenshot", "_pause"];
const KEY: &[&str] = &["key", "logScreenshot", "_pause"];
const WRITE: &[&str] = &["message", "interval", "logScreenshot", "_pause"];

/// Every function that is understood, for near names.
const FUNCTIONS: [&str; 30] = [
    "click",
    "leftClick",
    "middleClick",
    "rightClick",
    "doubleClick",
    "tripleClick",
    "moveTo",
    "move",
    "moveRel",
    "dragTo",
    "drag",
    "dragRel",
    "mouseDown",
    "mouseUp",
    "scroll",
    "vscroll",
    "hscroll",
    "press",
    "keyDown",
    "keyUp",
    "hotkey",
    "write",
    "typewrite",
    "sleep",
    "position",
    "size",
    "hold",
    "onScreen",
    "alert",
    "screenshot",
];
/// Those at the end of the list that exist in pyautogui and not here.
const NOT_HERE: usize = 4;

impl Action {
    /// What a call means.
    pub(super) fn of(call: &ExprCall) -> Result<Self, String> {
        let function = match &*call.func {
            Expr::Attribute(attribute) => match &*attribute.value {
                Expr::Name(module) if module.id.as_str() == "pyautogui" => attribute.attr.as_str(),
                Expr::Name(module)
                    if module.id.as_str() == "time" && attribute.attr.as_str() == "sleep" =>
                {
                    "sleep"
                }
                _ => return Err("only functions of pyautogui and time.sleep are understood".into()),
            },
            _ => return Err("only functions of pyautogui and time.sleep are understood".into()),
        };
        let bind = |parameters| Named::bind(function, parameters, &call.arguments);
        match function {
            "click" => {
                let given = bind(CLICK)?;
                let count = given.count("clicks", 1, MOST)?;
                click(&given, Button::Left, count)
            }
            "leftClick" => click(&bind(CLICK_SO)?, Button::Left, 1),
            "middleClick" => click(&bind(CLICK_SO)?, Button::Middle, 1),
            "rightClick" => click(&bind(CLICK_SO)?, Button::Right, 1),
            "doubleClick" => click(&bind(DOUBLE)?, Button::Left, 2),
            "tripleClick" => click(&bind(DOUBLE)?, Button::Left, 3),
            "moveTo" => travel(&bind(MOVE)?, Place::At),
            "move" | "moveRel" => travel(&bind(MOVE_OFF)?, Place::Off),
            "dragTo" => drag(&bind(DRAG)?, Place::At),
            "drag" | "dragRel" => drag(&bind(DRAG_OFF)?, Place::Off),
            "mouseDown" | "mouseUp" => {
                let given = bind(HOLD)?;
                Ok(Self::Hold {
                    at: Place::At(given.pair(["x", "y"])?),
                    button: given.button(Button::Left)?,
                    down: function == "mouseDown",
                })
            }
            "scroll" | "vscroll" | "hscroll" => scroll(&bind(SCROLL)?, function == "hscroll"),
            "press" => {
                let given = bind(PRESS)?;
                Ok(Self::Press {
                    keys: keys(&given.texts("keys")?)?,
                    times: given.count("presses", 1, MOST)?,
                    interval: given.seconds("interval")?,
                })
            }
            "keyDown" | "keyUp" => Ok(Self::HoldKey {
                key: Key::named(&bind(KEY)?.text("key")?)?,
                down: function == "keyDown",
            }),
            "hotkey" => hotkey(call),
            "write" | "typewrite" => write(&bind(WRITE)?),
            "sleep" => {
                let given = bind(&["seconds"])?;
                given.required("seconds")?;
                Ok(Self::Sleep(given.seconds("seconds")?))
            }
            "position" => bind(&[]).map(|_| Self::Position),
            "size" => bind(&[]).map(|_| Self::Size),
            unknown => Err(not_here(unknown)),
        }
    }

    /// How long the action waits by itself.
    pub(crate) fn time(&self) -> Duration {
        match self {
            Self::Click {
                count,
                interval,
                duration,
                ..
            } => interval.saturating_mul(*count).saturating_add(*duration),
            Self::Move { duration, .. } | Self::Drag { duration, .. } | Self::Sleep(duration) => {
                *duration
            }
            Self::Press {
                keys,
                times,
                interval,
            } => interval
                .saturating_mul(*times)
                .saturating_mul(length(keys.len())),
            Self::Write { text, interval } => interval.saturating_mul(length(text.chars().count())),
            _ => Duration::ZERO,
        }
    }
}

fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn click(given: &Named<'_>, button: Button, count: u32) -> Result<Action, String> {
    Ok(Action::Click {
        at: Place::At(given.pair(["x", "y"])?),
        button: given.button(button)?,
        count,
        interval: given.seconds("interval")?,
        duration: given.seconds("duration")?,
    })
}

fn travel(given: &Named<'_>, place: fn(Pair) -> Place) -> Result<Action, String> {
    Ok(Action::Move {
        to: way(given, place)?,
        duration: given.seconds("duration")?,
    })
}

fn drag(given: &Named<'_>, place: fn(Pair) -> Place) -> Result<Action, String> {
    Ok(Action::Drag {
        to: way(given, place)?,
        button: given.button(Button::Left)?,
        duration: given.seconds("duration")?,
    })
}

fn way(given: &Named<'_>, place: fn(Pair) -> Place) -> Result<Place, String> {
    let names = match place((None, None)) {
        Place::At(_) => ["x", "y"],
        Place::Off(_) => ["xOffset", "yOffset"],
    };
    given.pair(names).map(place)
}

fn scroll(given: &Named<'_>, sideways: bool) -> Result<Action, String> {
    given.required("clicks")?;
    let clicks = given.number("clicks")?.unwrap_or_default();
    let most = f64::from(MOST);
    if clicks.fract() != 0.0 || !(-most..=most).contains(&clicks) {
        return Err(format!(
            "clicks must be a whole number from -{MOST} to {MOST}"
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and small, as checked above"
    )]
    let clicks = clicks as i32;
    let (right, up) = if sideways { (clicks, 0) } else { (0, clicks) };
    let at = Place::At(given.pair(["x", "y"])?);
    Ok(Action::Scroll { at, right, up })
}

/// Keys as arguments of their own, or as one list.
fn hotkey(call: &ExprCall) -> Result<Action, String> {
    let arguments = &call.arguments;
    if arguments.keywords.iter().any(|keyword| {
        let name = keyword
            .arg
            .as_ref()
            .map(ruff_python_ast::Identifier::as_str);
        !matches!(name, Some("interval" | "logScreenshot" | "_pause"))
    }) {
        return Err("hotkey takes the names of keys".into());
    }
    let mut names = Vec::new();
    for argument in &arguments.args {
        let one = ruff_python_ast::Arguments {
            args: Box::new([argument.clone()]),
            keywords: Default::default(),
            ..arguments.clone()
        };
        names.extend(Named::bind("hotkey", &["keys"], &one)?.texts("keys")?);
    }
    if names.is_empty() || names.len() > crate::hands::MOST_KEYS {
        return Err(format!(
            "hotkey takes 1 to {} keys",
            crate::hands::MOST_KEYS
        ));
    }
    Ok(Action::Hotkey {
        keys: keys(&names)?,
    })
}

/// A list is one of keys, as in pyautogui.
fn write(given: &Named<'_>) -> Result<Action, String> {
    let interval = given.seconds("interval")?;
    if given.text("message").is_err() {
        return Ok(Action::Press {
            keys: keys(&given.texts("message")?)?,
            times: 1,
            interval,
        });
    }
    Ok(Action::Write {
        text: given.text("message")?,
        interval,
    })
}

fn keys(names: &[String]) -> Result<Vec<Key>, String> {
    names.iter().map(|name| Key::named(name)).collect()
}

fn not_here(function: &str) -> String {
    let (here, not) = FUNCTIONS.split_at(FUNCTIONS.len() - NOT_HERE);
    if not.contains(&function) {
        return format!("pyautogui.{function} is not understood here; see the other vm tools");
    }
    let near = here
        .iter()
        .map(|known| (strsim::jaro_winkler(known, function), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match near {
        Some((_, near)) => format!("there is no pyautogui.{function}; did you mean `{near}`?"),
        None => format!("there is no pyautogui.{function}"),
    }
}
