//! The published JSON Schema: what `sandbox config schema` gives to editors.

use sandbox::{
    config::{json_schema, json_schema_with_plugins},
    schema::Checker,
};
use serde_json::{Value, json};

#[test]
fn editors_accept_what_the_loader_accepts() {
    let checker = Checker::compile(json_schema()).unwrap();
    let accepted = json!({
        "$schema": "./schema.json", "_comment": "x",
        "server": {"_note": 1, "port": "${PORT:-18890}", "log_level": "DEBUG", "session_ttl": 1.5},
        "observe": {"audit": {"params": "${PARAMS}"}},
        "security": {"auth": {"keys": [{"name": "a", "sha256": "${DIGEST}"}]}},
        "resources": {"_comment": "x", "bash": {"backend_class": "bash", "enabled": "${BASH}", "config": {"a": 1}}},
        "apis": {"_comment": "x", "web": {"anything": [1]}},
    });
    assert_eq!(checker.all(&accepted), []);
    assert_eq!(
        checker
            .all(&json!({"server": {"prot": 1}, "resources": {"a": {}}}))
            .len(),
        2
    );
    assert_eq!(checker.all(&json!({"server": {"port": "high"}})).len(), 1);
    let level = |level: &str| {
        checker
            .all(&json!({ "server": { "log_level": level } }))
            .len()
    };
    assert_eq!((level("${LEVEL}"), level("loud")), (0, 1));
}

#[test]
fn the_settings_of_plugins_are_part_of_it() {
    let plugin = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object", "additionalProperties": false,
        "properties": {"mode": {"$ref": "#/$defs/Mode"}},
        "$defs": {"Mode": {"enum": ["text", "dense"]}},
    });
    let checker = Checker::compile(json_schema_with_plugins([("rag", &plugin)])).unwrap();
    let with =
        |config: Value| json!({"resources": {"rag": {"backend_class": "rag", "config": config}}});
    assert_eq!(
        checker.all(&with(json!({"mode": "text", "_why": "fast"}))),
        []
    );
    assert_eq!(checker.all(&with(json!({"mode": "hybird"}))).len(), 1);
    assert_eq!(checker.all(&with(json!({"mood": "text"}))).len(), 1);
    let other = json!({"resources": {"bash": {"backend_class": "bash", "config": {"mood": 1}}}});
    assert_eq!(checker.all(&other), []);
}

#[test]
fn former_keys_of_plugins_are_accepted_as_far_as_they_are_taken() {
    let plugin = json!({
        "type": "object", "additionalProperties": false,
        "properties": {"default_cwd": {"type": "string"}, "default_timeout": {"type": "number"}},
        "x-former": {
            "cwd": {"now": "default_cwd"},
            "timeout": {"now": "default_timeout"},
            "shell_type": {"needless": ["local"], "reason": "r", "advice": "a"},
            "nice": {"note": "n"},
            "image": {"reason": "r", "advice": "a"},
            "default_cwd": {"needless": [""]},
        },
    });
    let schema = json_schema_with_plugins([("bash", &plugin)]);
    let declared = &schema["properties"]["resources"]["properties"]["bash"]["properties"]["config"]
        ["properties"];
    assert_eq!(declared["cwd"]["deprecated"], true);
    assert_eq!(declared["default_cwd"]["deprecated"], Value::Null);
    let checker = Checker::compile(schema).unwrap();
    let wrong = |config: Value| {
        let file = json!({"resources": {"bash": {"backend_class": "bash", "config": config}}});
        checker.all(&file).len()
    };
    assert_eq!(
        wrong(json!({"cwd": "/", "timeout": "${TIMEOUT}", "shell_type": "local", "nice": [3]})),
        0
    );
    for config in [
        json!({"cwd": 3}),
        json!({"shell_type": "ssh"}),
        json!({"image": "x"}),
    ] {
        assert_eq!(wrong(config.clone()), 1, "{config}");
    }
}
