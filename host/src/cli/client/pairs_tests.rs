//! What people type, and what it comes to.

use super::*;
use serde_json::json;

fn typed(arguments: &[&str]) -> Result<Typed, Failure> {
    let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
    read(&arguments, &mut &b"{\"from\": \"stdin\"}"[..])
}

fn decided(arguments: &[&str], properties: &Value) -> Value {
    let root = json!({"type": "object", "properties": properties});
    Value::Object(typed(arguments).unwrap().decide(&root))
}

#[test]
fn the_schema_decides_between_text_and_the_rest() {
    let properties = json!({
        "text": {"type": "string"},
        "note": {"type": ["string", "null"]},
        "x": {"type": "integer"},
        "on": {"type": "boolean"},
        "either": {"type": ["string", "integer"]},
        "keys": {"type": "array", "items": {"type": "string"}},
    });
    for (argument, value) in [
        ("text=123", json!({"text": "123"})),
        ("text=true", json!({"text": "true"})),
        ("text={\"a\":1}", json!({"text": "{\"a\":1}"})),
        ("text=\"quoted\"", json!({"text": "\"quoted\""})),
        ("text=", json!({"text": ""})),
        ("text=a=b", json!({"text": "a=b"})),
        ("note=null", json!({"note": "null"})),
        ("note:=null", json!({"note": null})),
        ("x=123", json!({"x": 123})),
        ("x=abc", json!({"x": "abc"})),
        ("on=false", json!({"on": false})),
        ("either=7", json!({"either": 7})),
        ("either=7.5", json!({"either": "7.5"})),
        ("keys=[\"ctrl\",\"c\"]", json!({"keys": ["ctrl", "c"]})),
        ("text:=5", json!({"text": 5})),
        ("unknown=5", json!({"unknown": 5})),
    ] {
        assert_eq!(decided(&[argument], &properties), value, "{argument}");
    }
}

#[test]
fn a_schema_is_asked_for_only_where_it_decides() {
    assert!(!typed(&["a=hello", "b:=5"]).unwrap().needs_schema());
    assert!(!typed(&["{\"a\": 5}"]).unwrap().needs_schema());
    assert!(typed(&["a=5"]).unwrap().needs_schema());
}

#[test]
fn one_object_may_stand_for_all() {
    let given = |argument| Value::Object(typed(&[argument]).unwrap().undirected());
    assert_eq!(given(" {\"x\": 1}"), json!({"x": 1}));
    assert_eq!(given("-"), json!({"from": "stdin"}));
    assert_eq!(Value::Object(typed(&[]).unwrap().undirected()), json!({}));
}

#[test]
fn what_is_no_parameter_is_said_with_a_way_out() {
    for (arguments, part) in [
        (&["click"][..], "`click` is no parameter"),
        (&["=5"], "`=5` is no parameter"),
        (&[":=5"], "`:=5` is no parameter"),
        (&["{\"x\": }"], "not a JSON object"),
        (&["x:=abc"], "write x=abc"),
        (&["x=1", "x:=2"], "given twice"),
        (&["{}", "x=1"], "`{}` is no parameter"),
    ] {
        let failure = typed(arguments).unwrap_err().to_string();
        assert!(failure.contains(part), "{arguments:?} gives {failure}");
    }
}
