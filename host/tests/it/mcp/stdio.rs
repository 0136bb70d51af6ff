//! `sandbox mcp`, as a program that an MCP client starts.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::text;
use crate::{
    fixtures,
    server::{Server, command},
};

/// The command, and this test as its client.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command()
            .arg("mcp")
            .args(arguments)
            // A proxy for the outside world has nothing to do with a server on this machine.
            .env("http_proxy", "http://127.0.0.1:1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    fn say(&mut self, message: Value) {
        let line = format!("{message}\n");
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).unwrap();
    }

    fn hear(&mut self) -> Value {
        let line = self.output.next().expect("the command goes on").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn begin(&mut self) {
        let about = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        self.say(json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about }));
        assert_eq!(self.hear()["result"]["protocolVersion"], "2025-11-25");
        self.say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }

    fn send_call(&mut self, name: &str, arguments: Value) {
        let params = json!({ "name": name, "arguments": arguments });
        self.say(json!({ "jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": params }));
    }

    fn call(&mut self, name: &str, arguments: Value) -> Value {
        self.send_call(name, arguments);
        let answer = self.hear();
        assert_eq!(answer["id"], "a");
        answer["result"].clone()
    }

    /// The client goes; the command does too.
    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn counts(program: &mut Program) {
    program.call("counter_add", json!({ "by": 2 }));
    program.call("counter_add", json!({ "by": 3 }));
    let result = program.call("counter_get", json!({}));
    assert!(text(&result).contains('5'), "{result}");
}

#[test]
fn a_server_of_its_own_remembers_its_client() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.json");
    let written = json!({
        "server": { "plugin_dirs": [fixtures::folder()] },
        "resources": { "counter": { "backend_class": "counter" } },
    });
    std::fs::write(&config, written.to_string()).unwrap();
    let mut program = Program::start(&["--config", config.to_str().unwrap()]);
    program.begin();
    counts(&mut program);
    program.end();
}

#[test]
fn a_bridge_carries_both_generations_to_a_server_that_runs() {
    let resources = json!({ "counter": { "backend_class": "counter" } });
    let server = Server::start(&resources);
    let mut program = Program::start(&["--server", &server.url]);
    program.begin();
    counts(&mut program);
    program.end();
    let mut program = Program::start(&["--server", &server.url]);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    let params = json!({ "name": "counter_get", "arguments": {}, "_meta": meta });
    program.say(json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params }));
    let answer = program.hear();
    assert_eq!(
        (&answer["id"], &answer["result"]["resultType"]),
        (&json!(7), &json!("complete"))
    );
    program.end();
}

#[test]
fn a_bridge_outlives_its_server_and_says_that_the_tools_may_have_changed() {
    let resources = json!({ "counter": { "backend_class": "counter" } });
    let mut server = Server::start(&resources);
    let url = server.url.clone();
    let mut program = Program::start(&["--server", &url]);
    program.begin();
    counts(&mut program);
    server.signal(Signal::TERM);
    server.ended();
    let result = {
        program.send_call("counter_get", json!({}));
        program.hear()
    };
    let message = result["error"]["message"].as_str().unwrap();
    assert!(message.contains("does it run?"), "{result}");
    let (_, port) = url.rsplit_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    let server = Server::start_at(port, &resources);
    program.send_call("counter_get", json!({}));
    let (one, other) = (program.hear(), program.hear());
    let changed = [&one, &other].map(|message| message["method"].as_str().is_some());
    assert!(
        changed.contains(&true) && changed.contains(&false),
        "{one} {other}"
    );
    program.end();
    drop(server);
}
