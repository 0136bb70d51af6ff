//! Keys: which code the display's keyboard has for a key, and codes for the characters that it has no key for.
//!
//! A character without a key gets a code that no key of the map uses. Programs learn of a changed map in the order of
//! their events, so a new code can be used at once; what takes time is using one *again* for another character, since
//! a slow program may not have looked at the old one yet. Hence as many codes as there are, two characters on each,
//! used in turn, and a pause before the first is used again.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::xproto::{
    self, ConnectionExt as _, GetKeyboardMappingReply, KeyButMask, Mapping, QueryKeymapReply,
    Window,
};
use x11rb::protocol::{Event, xtest};
use x11rb::rust_connection::RustConnection;

use super::client::settled;
use crate::desktop::Failure;
use crate::keys::Key;

/// No symbol.
const NONE: u32 = 0;
/// Symbols of keys that no name leads to, vendors' keys for example: their codes are better used for characters.
const VENDORS: std::ops::RangeInclusive<u32> = 0x1008_0000..=0x1008_ffff;
/// Symbols of the number pad. The state of Num Lock decides about their second level.
const NUMBER_PAD: std::ops::RangeInclusive<u32> = 0xff80..=0xffbd;
const SHIFT: u32 = 0xffe1;
const CAPS_LOCK: u32 = 0xffe5;
/// How long a program may take to look at a character, at least, before its code is used for another.
const PAUSE: Duration = Duration::from_secs(1);
/// Keys that are sent before the display is asked whether it took them.
const IN_ONE_GO: usize = 64;

/// A key on the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    code: u8,
    shifted: bool,
}

/// A code that characters are put on, one plain and one with Shift.
#[derive(Debug)]
struct Spare {
    code: u8,
    keysyms: [u32; 2],
    used: Option<Instant>,
}

/// The keyboard of a display.
#[derive(Debug)]
pub(super) struct Keyboard {
    places: HashMap<u32, Place>,
    spares: Vec<Spare>,
    shift: u8,
}

impl Keyboard {
    pub(super) fn new(x: &RustConnection) -> Result<Self, Failure> {
        let mut keyboard = Self {
            places: HashMap::new(),
            spares: Vec::new(),
            shift: 0,
        };
        keyboard.read(x)?;
        Ok(keyboard)
    }

    /// Reads the map anew if somebody changed it.
    pub(super) fn keep_up(&mut self, x: &RustConnection) -> Result<(), Failure> {
        let mut changed = false;
        while let Some(event) = x.poll_for_event()? {
            changed |=
                matches!(event, Event::MappingNotify(event) if event.request == Mapping::KEYBOARD);
        }
        if changed { self.read(x) } else { Ok(()) }
    }

    /// Presses a key, with Shift when that is how the keyboard has it.
    pub(super) fn press(&mut self, x: &RustConnection, key: Key) -> Result<(), Failure> {
        let place = self.place(x, key.keysym())?;
        if place.shifted {
            fake(x, self.shift, true)?;
        }
        fake(x, place.code, true)?;
        expect(x, place.code, true)
    }

    /// Releases a key.
    pub(super) fn release(&mut self, x: &RustConnection, key: Key) -> Result<(), Failure> {
        let place = self.place(x, key.keysym())?;
        fake(x, place.code, false)?;
        if place.shifted {
            fake(x, self.shift, false)?;
        }
        expect(x, place.code, false)
    }

    /// Types text. Caps Lock is taken off meanwhile.
    pub(super) fn type_text(
        &mut self,
        x: &RustConnection,
        root: Window,
        text: &str,
    ) -> Result<(), Failure> {
        let keys = text.chars().map(|character| {
            Key::of(character).ok_or_else(|| {
                let message = format!("the character {character:?} has no key and cannot be typed");
                Failure::param("/text", message)
            })
        });
        let keys = keys.collect::<Result<Vec<Key>, Failure>>()?;
        let locked = x
            .query_pointer(root)?
            .reply()?
            .mask
            .contains(KeyButMask::LOCK);
        if locked {
            self.tap_all(x, &[CAPS_LOCK])?;
        }
        let keysyms: Vec<u32> = keys.iter().map(|key| key.keysym()).collect();
        let typed = self.type_all(x, &keysyms);
        if locked {
            self.tap_all(x, &[CAPS_LOCK])?;
        }
        typed
    }

    /// Types any number of symbols, as many at once as the map has room for.
    fn type_all(&mut self, x: &RustConnection, keysyms: &[u32]) -> Result<(), Failure> {
        let mut rest = keysyms;
        while !rest.is_empty() {
            let mut foreign = HashSet::new();
            let fits = rest.iter().take_while(|keysym| {
                if !self.places.contains_key(keysym) {
                    foreign.insert(**keysym);
                }
                foreign.len() <= self.spares.len().max(1)
            });
            let (now, later) = rest.split_at(fits.count());
            self.make_room(x, now)?;
            now.chunks(IN_ONE_GO)
                .try_for_each(|some| self.tap_all(x, some))?;
            rest = later;
        }
        Ok(())
    }

    /// Taps keys one after another and then asks whether the display took all of them.
    fn tap_all(&mut self, x: &RustConnection, keysyms: &[u32]) -> Result<(), Failure> {
        let mut proofs = Vec::with_capacity(keysyms.len());
        for keysym in keysyms {
            let place = self.place(x, *keysym)?;
            if place.shifted {
                fake(x, self.shift, true)?;
            }
            fake(x, place.code, true)?;
            proofs.push((place.code, x.query_keymap()?));
            fake(x, place.code, false)?;
            if place.shifted {
                fake(x, self.shift, false)?;
            }
        }
        let mut seen = true;
        let mut codes = Vec::with_capacity(proofs.len());
        for (code, proof) in proofs {
            seen &= is_down(&proof.reply()?, code);
            codes.push(code);
        }
        if seen {
            return Ok(());
        }
        // Somebody held the keyboard back meanwhile. All of it is through when the last key is up.
        let up = || {
            let keys = x.query_keymap()?.reply()?;
            Ok(codes.iter().all(|code| !is_down(&keys, *code)))
        };
        if settled(up)? {
            return Ok(());
        }
        Err(Failure::Refused("the display did not take a key".into()))
    }

    /// Where a symbol is, after it was put somewhere if it has no key.
    fn place(&mut self, x: &RustConnection, keysym: u32) -> Result<Place, Failure> {
        self.make_room(x, &[keysym])?;
        let spare = || self.spares.iter().find_map(|spare| spare.place(keysym));
        let place = self.places.get(&keysym).copied().or_else(spare);
        place.ok_or_else(|| Failure::Refused("the keyboard map has no room for a character".into()))
    }

    /// Puts symbols without a key on spare codes. There are at most as many of them as codes.
    fn make_room(&mut self, x: &RustConnection, keysyms: &[u32]) -> Result<(), Failure> {
        let mut missing = Vec::new();
        let now = Instant::now();
        for keysym in keysyms
            .iter()
            .filter(|keysym| !self.places.contains_key(keysym))
        {
            match self
                .spares
                .iter()
                .position(|spare| spare.place(*keysym).is_some())
            {
                Some(at) => self.spares[at].used = Some(now),
                None if missing.contains(keysym) => {}
                None => missing.push(*keysym),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.spares.sort_by_key(|spare| spare.used);
        let mut changed = Vec::new();
        for (spare, pair) in self.spares.iter_mut().zip(pairs(&missing)) {
            if let Some(used) = spare.used {
                // What was typed so far must be on its way before the pause.
                x.flush()?;
                std::thread::sleep(PAUSE.saturating_sub(used.elapsed()));
            }
            spare.keysyms = pair;
            spare.used = Some(now);
            changed.push((spare.code, pair));
        }
        // Programs read the map anew after each change: codes side by side are one.
        changed.sort_unstable();
        for run in changed.chunk_by(|one, next| one.0 + 1 == next.0) {
            let symbols: Vec<u32> = run.iter().flat_map(|(_, pair)| *pair).collect();
            let count = u8::try_from(run.len()).unwrap_or(u8::MAX);
            x.change_keyboard_mapping(count, run[0].0, 2, &symbols)?;
        }
        Ok(())
    }

    /// Reads the map of the display.
    fn read(&mut self, x: &RustConnection) -> Result<(), Failure> {
        let (first, last) = (x.setup().min_keycode, x.setup().max_keycode);
        let map = x.get_keyboard_mapping(first, last - first + 1)?.reply()?;
        self.places.clear();
        let mut free = Vec::new();
        for (code, symbols) in codes(first, &map) {
            let ours = self.spares.iter().any(|spare| {
                spare.code == code && spare.used.is_some() && symbols.starts_with(&spare.keysyms)
            });
            if ours || is_free(symbols) {
                free.push(code);
                continue;
            }
            for (level, keysym) in symbols.iter().copied().take(2).enumerate() {
                let shifted = level == 1;
                if keysym != NONE && !(shifted && NUMBER_PAD.contains(&keysym)) {
                    self.keep_better(keysym, Place { code, shifted });
                }
            }
        }
        self.shift = self.places.get(&SHIFT).map_or(0, |place| place.code);
        self.spares.retain(|spare| free.contains(&spare.code));
        for code in free {
            if !self.spares.iter().any(|spare| spare.code == code) {
                let unused = Spare {
                    code,
                    keysyms: [NONE; 2],
                    used: None,
                };
                self.spares.push(unused);
            }
        }
        Ok(())
    }

    /// A key without Shift is better than one with it; otherwise the first.
    fn keep_better(&mut self, keysym: u32, place: Place) {
        let known = self.places.entry(keysym).or_insert(place);
        if known.shifted && !place.shifted {
            *known = place;
        }
    }
}

impl Spare {
    fn place(&self, keysym: u32) -> Option<Place> {
        let level = self.keysyms.iter().position(|known| *known == keysym)?;
        Some(Place {
            code: self.code,
            shifted: level == 1,
        })
    }
}

/// Two symbols to a code. What is not a character has one of its own, without a difference between its levels:
/// Num Lock, for one, chooses a level too.
fn pairs(keysyms: &[u32]) -> Vec<[u32; 2]> {
    let is_character = |keysym: &u32| Key::is_character(*keysym);
    let (characters, others): (Vec<u32>, Vec<u32>) =
        keysyms.iter().partition(|keysym| is_character(keysym));
    let both = characters
        .chunks(2)
        .map(|pair| [pair[0], *pair.last().unwrap_or(&pair[0])]);
    both.chain(others.iter().map(|keysym| [*keysym; 2]))
        .collect()
}

/// Every code with its symbols.
fn codes(first: u8, map: &GetKeyboardMappingReply) -> impl Iterator<Item = (u8, &[u32])> {
    let each = usize::from(map.keysyms_per_keycode).max(1);
    (first..=u8::MAX).zip(map.keysyms.chunks(each))
}

/// Whether nobody misses the code: it is empty, or a vendor's key without a name.
fn is_free(symbols: &[u32]) -> bool {
    let mut given = symbols.iter().filter(|keysym| **keysym != NONE);
    given.all(|keysym| VENDORS.contains(keysym) && !crate::keys::is_named(*keysym))
}

fn fake(x: &impl RequestConnection, code: u8, down: bool) -> Result<(), Failure> {
    let event = if down {
        xproto::KEY_PRESS_EVENT
    } else {
        xproto::KEY_RELEASE_EVENT
    };
    xtest::fake_input(x, event, code, 0, x11rb::NONE, 0, 0, 0)?;
    Ok(())
}

/// Asks the display whether the key is as it should be.
fn expect(x: &RustConnection, code: u8, down: bool) -> Result<(), Failure> {
    if settled(|| Ok(is_down(&x.query_keymap()?.reply()?, code) == down))? {
        return Ok(());
    }
    let done = if down { "go down" } else { "come up" };
    Err(Failure::Refused(format!(
        "the display did not take it: the key did not {done}"
    )))
}

fn is_down(keys: &QueryKeymapReply, code: u8) -> bool {
    keys.keys[usize::from(code / 8)] & (1 << (code % 8)) != 0
}
