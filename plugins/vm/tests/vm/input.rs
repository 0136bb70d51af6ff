//! Mouse and keyboard, proven by what programs received.

use serde_json::{Value, json};

use super::{
    eventually, in_session,
    seen::{Seen, Terminal},
};

#[test]
fn text_of_any_script_arrives() {
    in_session(|session| {
        let terminal = Terminal::open(session, "vm-test-text", "cat >$1");
        let text = "Hello, World! 世界 é € ß «Ж» ~^`\n";
        let typed = session.call("vm:type", json!({ "text": text })).unwrap();
        assert_eq!(typed["length"], text.chars().count());
        terminal.expect("", text);
    });
}

#[test]
fn more_characters_than_the_keyboard_has_room_for_arrive() {
    in_session(|session| {
        let terminal = Terminal::open(session, "vm-test-many", "cat >$1");
        let many: String = ('\u{4e00}'..'\u{4eff}').collect();
        // Terminals take lines of up to 4095 bytes; these are 765.
        let line = format!("{many}\n");
        // A terminal that is a second behind reads keys as they are by then: the machine's fault, and not every time.
        let arrives = (1..=3).any(|times| {
            session.call("vm:type", json!({ "text": line })).unwrap();
            let whole = eventually("the line arrives", || {
                terminal
                    .file("")
                    .filter(|file| file.matches('\n').count() == times)
            });
            whole.ends_with(&line)
        });
        assert!(arrives, "{:?}", terminal.file(""));
    });
}

#[test]
fn caps_lock_changes_nothing_that_is_typed() {
    in_session(|session| {
        let terminal = Terminal::open(session, "vm-test-caps", "cat >$1");
        session
            .call("vm:key", json!({ "key": "capslock" }))
            .unwrap();
        session.call("vm:type", json!({ "text": "aBé\n" })).unwrap();
        session.call("vm:key", json!({ "key": "a" })).unwrap();
        session.call("vm:type", json!({ "text": "\n" })).unwrap();
        terminal.expect("", "aBé\nA\n");
    });
}

#[test]
fn keys_and_hotkeys_reach_programs() {
    in_session(|session| {
        let terminal = Terminal::open(session, "vm-test-keys", "cat >$1; echo end >$1-end; cat");
        for key in ["a", "B", "space", "num7", "backspace", "1", "enter"] {
            session.call("vm:key", json!({ "key": key })).unwrap();
        }
        terminal.expect("", "aB 1\n");
        session
            .call("vm:hotkey", json!({ "keys": ["ctrl", "d"] }))
            .unwrap();
        terminal.expect("-end", "end\n");
    });
}

#[test]
fn a_key_that_is_held_is_held_once() {
    in_session(|session| {
        let terminal = Terminal::open(session, "vm-test-held", "cat >$1");
        session.call("vm:key_down", json!({ "key": "x" })).unwrap();
        // Longer than the 660 ms after which an X server begins to repeat keys.
        session.call("vm:wait", json!({ "seconds": 1.0 })).unwrap();
        session.call("vm:key_up", json!({ "key": "x" })).unwrap();
        session.call("vm:type", json!({ "text": "\n" })).unwrap();
        terminal.expect("", "x\n");
    });
}

#[test]
fn every_name_of_pyautogui_is_a_key_that_the_display_takes() {
    in_session(|session| {
        let characters = (' '..='~').filter(|c| !c.is_ascii_uppercase());
        let characters = characters.chain(['\t', '\n', '\r']).map(String::from);
        for key in characters.chain(vm::names().map(str::to_owned)) {
            let pressed: Value = session.call("vm:key", json!({ "key": key })).unwrap();
            assert_eq!(pressed["key"], key);
        }
        let slip = session
            .call("vm:key", json!({ "key": "pagdown" }))
            .unwrap_err();
        assert_eq!(slip.code, 1002);
        assert!(slip.message.contains("`pagedown`"), "{}", slip.message);
    });
}

#[test]
fn a_drag_moves_a_window() {
    in_session(|session| {
        let _terminal = Terminal::open(session, "vm-test-drag", "cat");
        let before = Seen::of(session).pixel(700, 500);
        let way = json!({ "start_x": 200, "start_y": 8, "end_x": 450, "end_y": 250 });
        let dragged = session.call("vm:drag", way).unwrap();
        assert_eq!(dragged["to"], json!([450, 250]));
        eventually("the window follows", || {
            (Seen::of(session).pixel(700, 500) != before).then_some(())
        });
    });
}

#[test]
fn the_wheel_and_the_buttons_reach_programs() {
    in_session(|session| {
        // The terminal reports buttons: ESC, [, M, the button and its place, each with 32 added. It has read that it is to
        // when it has answered how it is, with four characters.
        let script = r"dd of=$1 bs=1 count=36 2>/dev/null; cat";
        let ready = r"stty raw -echo; printf '\033[?1000h\033[5n'; dd bs=1 count=4 >/dev/null 2>&1";
        let terminal = Terminal::open_when(session, "vm-test-wheel", ready, script);
        let place = |clicks: i32| json!({ "x": 100, "y": 200, "clicks": clicks });
        session.call("vm:scroll", place(1)).unwrap();
        session
            .call("vm:right_click", json!({ "x": 100, "y": 200 }))
            .unwrap();
        session.call("vm:scroll", place(-1)).unwrap();
        let reports = eventually("the reports arrive", || {
            terminal.file("").filter(|file| file.len() >= 36)
        });
        let reports = reports.as_bytes().chunks(6);
        let buttons: Vec<u8> = reports.map(|report| report[3] - 32).collect();
        // The click that gave the window the focus, wheel up, right button, wheel down; 3 is any button's release.
        assert_eq!(buttons, [0, 3, 64, 2, 3, 65]);
    });
}
