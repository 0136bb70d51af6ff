//! Reading the schemas that schemars and hand-writers make.

use super::*;
use serde_json::json;

#[test]
fn kinds_follow_the_schema() {
    let root = json!({"$defs": {
        "Button": {"type": "string", "enum": ["left", "right"]},
        "Loop": {"$ref": "#/$defs/Loop"},
        "Deep": {"anyOf": [{"$ref": "#/$defs/Deep"}]},
    }});
    let number = Kinds::FRACTION.or(Kinds::INTEGER);
    for (schema, expected) in [
        (json!({"type": "string"}), Kinds::STRING),
        (json!({"type": "number"}), number),
        (
            json!({"type": ["integer", "null"]}),
            Kinds::INTEGER.or(Kinds::NULL),
        ),
        (json!({"$ref": "#/$defs/Button"}), Kinds::STRING),
        (
            json!({"anyOf": [{"$ref": "#/$defs/Button"}, {"type": "null"}]}),
            Kinds::STRING.or(Kinds::NULL),
        ),
        (
            json!({"oneOf": [{"const": 1}, {"const": true}]}),
            Kinds::INTEGER.or(Kinds::BOOLEAN),
        ),
        (json!({"allOf": [{"type": "object"}]}), Kinds::OBJECT),
        (json!(true), Kinds::ANY),
        (json!({}), Kinds::ANY),
        (json!({"$ref": "#/nowhere"}), Kinds::ANY),
        (json!({"$ref": "#/$defs/Loop"}), Kinds::ANY),
        (json!({"$ref": "#/$defs/Deep"}), Kinds::ANY),
    ] {
        assert_eq!(kinds(&root, &schema), expected, "{schema}");
    }
}

#[test]
fn numbers_are_integers_when_they_have_no_fraction() {
    assert_eq!(Kinds::of(&json!(1.0)), Kinds::INTEGER);
    assert_eq!(Kinds::of(&json!(1.5)), Kinds::FRACTION);
    assert_eq!(Kinds::of(&json!(u64::MAX)), Kinds::INTEGER);
}

#[test]
fn types_are_named_for_people() {
    let root = json!({"$defs": {"Button": {"enum": ["left", "right"]}}});
    for (schema, name) in [
        (json!({"type": ["string", "null"]}), "string"),
        (
            json!({"anyOf": [{"$ref": "#/$defs/Button"}, {"type": "null"}]}),
            "left|right",
        ),
        (json!({"oneOf": [{"const": "a"}, {"const": "b"}]}), "a|b"),
        (json!({}), "any"),
    ] {
        assert_eq!(type_name(&root, &schema), name, "{schema}");
    }
}
