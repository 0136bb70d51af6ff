//! Programs on a desktop, what they tell about their windows, and the set-up of a session.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::seen::Terminal;
use super::{backend, eventually, in_session, processes_with};

/// Every text of a tree, joined.
fn texts(tree: &Value) -> String {
    match tree {
        Value::Array(nodes) => nodes.iter().map(texts).collect(),
        Value::Object(node) => {
            let own = ["name", "text"]
                .map(|key| node.get(key).and_then(Value::as_str).unwrap_or_default());
            format!(
                "{}\n{}\n{}",
                own[0],
                own[1],
                texts(node.get("children").unwrap_or(&Value::Null))
            )
        }
        _ => String::new(),
    }
}

#[test]
fn a_program_tells_what_its_window_holds() {
    in_session(|session| {
        let tree = || {
            let mut answer = session.call("vm:screenshot", json!({})).unwrap();
            answer["accessibility_tree"].take()
        };
        assert_eq!(tree(), Value::Null, "nobody runs yet");
        session
            .call("vm:launch", json!({ "command": ["l3afpad"] }))
            .unwrap();
        eventually("the editor has the focus", || {
            tree().to_string().contains("\"focused\"").then_some(())
        });
        let text = "Grüße 世界 €";
        session.call("vm:type", json!({ "text": text })).unwrap();
        eventually("the text is in the tree", || {
            texts(&tree()).contains(text).then_some(())
        });
    });
}

#[test]
fn a_program_that_is_not_there_is_the_callers_error() {
    in_session(|session| {
        for command in [
            json!(["no-such-program"]),
            json!([]),
            json!([""]),
            json!(["a\u{0}b"]),
        ] {
            let refused = session
                .call("vm:launch", json!({ "command": command }))
                .unwrap_err();
            assert_eq!(refused.code, 1002, "{command}: {refused:?}");
        }
    });
}

#[test]
fn words_of_a_command_arrive_as_they_are() {
    in_session(|session| {
        let odd = "it's \"$HOME\" `x` \\ 世界\n* ";
        let script = r#"printf %s "$3" >"$2"; cat"#;
        let file = "/tmp/vm-test-words";
        let command = json!([
            "xterm",
            "-e",
            "sh",
            "-c",
            script,
            "vm-test-words",
            "-",
            file,
            odd
        ]);
        session
            .call("vm:launch", json!({ "command": command }))
            .unwrap();
        eventually("the file is there", || {
            let pid = processes_with("vm-test-words").into_iter().min()?;
            let text = std::fs::read_to_string(format!("/proc/{pid}/root{file}")).ok()?;
            (text == odd).then_some(())
        });
    });
}

#[test]
fn calls_of_pyautogui_are_carried_out() {
    in_session(|session| {
        let terminal = Terminal::open(session, "vm-test-calls", "cat >$1");
        let program = "import pyautogui\npyautogui.moveTo(50, 60); pyautogui.move(5, yOffset=-5)\n\
                       pyautogui.position()\npyautogui.click(100, 200)\npyautogui.write('Ünï')\n\
                       pyautogui.press(['b', 'enter'])";
        let answer = session
            .call("vm:pyautogui", json!({ "command": program }))
            .unwrap();
        assert_eq!(answer["results"][2], json!([55, 55]));
        assert_eq!(answer["commands"].as_array().unwrap().len(), 6);
        terminal.expect("", "Ünïb\n");
        let commands = json!(["pyautogui.moveTo(1, 2)", "pyautogui.click(5000, 1)"]);
        let off = session
            .call("vm:pyautogui", json!({ "commands": commands }))
            .unwrap_err();
        assert_eq!((off.code, &off.data["results"]), (1002, &json!([null])));
        let evil = json!({ "command": "pyautogui.click(1, 2); __import__('os').system('x')" });
        assert_eq!(session.call("vm:pyautogui", evil).unwrap_err().code, 1002);
    });
}

#[test]
fn set_up_steps_are_carried_out_before_the_session_is_there() {
    let allowed = tempfile::tempdir().unwrap();
    let file = allowed.path().join("greeting.txt");
    std::fs::write(&file, "hello").unwrap();
    let kit = backend(json!({ "allowed_roots": [allowed.path()] }));
    let upload = |from: &std::path::Path| {
        let files = json!([{ "local_path": from, "path": "deep/greeting.txt" }]);
        json!({ "type": "upload_file", "parameters": { "files": files } })
    };
    let step =
        |kind: &str, command: Value| json!({ "type": kind, "parameters": { "command": command } });
    let setup = json!([
        upload(&file),
        step("execute", json!("grep -q hello ~/deep/greeting.txt")),
        { "type": "sleep", "parameters": { "seconds": 0.01 } },
        step("launch", json!(["sleep", "98765.25"])),
    ]);
    let session = kit.session("worker", json!({ "setup": setup })).unwrap();
    eventually("the program runs", || {
        (processes_with("98765.25").len() == 1).then_some(())
    });
    session.close().unwrap();
    assert!(processes_with("98765.25").is_empty());

    let refused = |step: Value| {
        kit.session("worker", json!({ "setup": [step] }))
            .err()
            .unwrap()
    };
    assert_eq!(
        refused(upload(std::path::Path::new("/etc/hostname"))).code,
        1002
    );
    let link = allowed.path().join("link");
    std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
    assert_eq!(refused(upload(&link)).code, 1002);
    let failed = refused(step("execute", json!(["false"])));
    assert_eq!(
        (failed.code, failed.message.as_str()),
        (2001, "setup step 0: \"false\" ended with code 1")
    );
    let local = json!([{ "url": "file:///etc/hostname", "path": "x" }]);
    let download = json!({ "type": "download", "parameters": { "files": local } });
    assert_eq!(refused(download).code, 1002);
}

#[test]
fn set_up_steps_of_the_backend_are_those_of_sessions_that_have_none() {
    let fail = json!([{ "type": "execute", "parameters": { "command": ["false"] } }]);
    let kit = backend(json!({ "setup": fail }));
    let failed = kit.session("worker", json!({})).err().unwrap();
    assert!(
        failed.message.starts_with("setup step 0"),
        "{}",
        failed.message
    );
    let session = kit.session("worker", json!({ "setup": [] })).unwrap();
    session.close().unwrap();
}

#[test]
fn files_are_fetched_and_opened_before_the_session_is_there() {
    let text = "Grüße aus dem Netz";
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/letter.txt", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut guest in listener.incoming().map_while(Result::ok) {
            let mut request = BufReader::new(guest.try_clone().unwrap()).lines();
            while request
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let length = text.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            guest.write_all((head + text).as_bytes()).unwrap();
        }
    });
    let steps = json!([
        { "type": "download", "parameters": { "files": [{ "url": url, "path": "new/letter.txt" }] } },
        { "type": "open", "parameters": { "path": "new/letter.txt" } },
    ]);
    let kit = backend(json!({ "network": true }));
    let session = kit.session("worker", json!({ "setup": steps })).unwrap();
    eventually("the letter is on the screen", || {
        let answer = session.call("vm:screenshot", json!({})).unwrap();
        texts(&answer["accessibility_tree"])
            .contains(text)
            .then_some(())
    });
    session.close().unwrap();

    let closed = backend(json!({}));
    let refused = closed
        .session("worker", json!({ "setup": steps }))
        .err()
        .unwrap();
    assert_eq!(refused.code, 2001);
    assert!(refused.message.contains("\"network\": true"), "{refused:?}");
}
