//! Reading a tool's parameters: once, into the tool's own type. What to say when they do not fit is
//! the module `fault`'s.

mod fault;
mod outermost;

use std::{cell::Cell, collections::BTreeMap};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, value::RawValue};

use self::{fault::Step, outermost::Outermost};
use crate::{
    error::{Code, Error, Result},
    schema::schema_of,
};

/// Keys that clients of the former server add to the parameters: dropped, never trusted.
const RUNTIME_KEYS: [&str; 4] = ["worker_id", "session_id", "session_info", "trace_id"];

/// Reads a tool's parameters, without the runtime's keys.
///
/// # Errors
///
/// Code 1002 with the JSON pointer, what was expected, what was found, and the nearest name.
pub(crate) fn parse<T: DeserializeOwned + JsonSchema>(json: &[u8]) -> Result<T> {
    let keeps_all = Cell::new(false);
    let read = parse_passing(json, is_runtime_key, &keeps_all)?;
    if keeps_all.get()
        && let Some(others) = without_runtime_keys::<T>(json)?
    {
        return parse_passing(others.as_bytes(), is_runtime_key, &keeps_all);
    }
    Ok(read)
}

/// Reads the configuration of a backend. Nobody adds keys to it that are not its own.
///
/// # Errors
///
/// As for parameters.
pub(crate) fn parse_config<T: DeserializeOwned + JsonSchema>(json: &[u8]) -> Result<T> {
    parse_passing(json, is_runtime_key, &Cell::new(false))
}

/// Reads an object; keys of it for which `passes` holds are not asked for, and are no fault. Tells whether the type takes
/// any key.
fn parse_passing<T: DeserializeOwned + JsonSchema>(
    json: &[u8],
    passes: impl Fn(&str) -> bool,
    keeps_all: &Cell<bool>,
) -> Result<T> {
    let json = if json.is_empty() || json == b"null" {
        b"{}"
    } else {
        json
    };
    // serde reads a struct from an array too, in the order of its fields: nothing a client should do.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::new(Code::Param, "params must be a JSON object"));
    }
    // Text is checked once here, and not once more for each of its parts.
    let text = str::from_utf8(json)
        .map_err(|error| Error::new(Code::Param, format!("params must be UTF-8: {error}")))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut unknown: Vec<Vec<Step>> = Vec::new();
    let outermost = Outermost(&mut reader, keeps_all);
    let parsed = serde_ignored::deserialize(outermost, |path| {
        let steps = fault::steps_of_ignored(&path);
        if !matches!(steps.as_slice(), [Step::Key(key)] if passes(key)) {
            unknown.push(steps);
        }
    });
    let value = parsed.map_err(Some).and_then(|value| {
        // What follows the object would otherwise pass unseen.
        reader.end().map_err(Some).map(|()| value)
    });
    // A slip in a name is the better news, also where the right name is then missing.
    match (value, unknown.first()) {
        (Ok(value), None) => Ok(value),
        (_, Some(steps)) => Err(fault::unknown(steps, schema_of::<T>().as_value())),
        // The fast reader knows no paths: read again with one that does, to say where it went wrong.
        (Err(_), None) => parse_slowly(json),
    }
}

/// Reads a session's configuration, which holds the backend's own keys too: those pass by. They are the ones that the
/// backend's type names, and the ones that it was `configured` with, since a type may take keys that its schema does not
/// name: other names of a field, or the keys of a map.
///
/// # Errors
///
/// Code 1002, as for parameters, for keys that neither side knows.
pub(crate) fn parse_session<S, C>(json: &[u8], configured: &[String]) -> Result<S>
where
    S: DeserializeOwned + JsonSchema,
    C: JsonSchema,
{
    let mut config: Map<String, Value> = if json.is_empty() || json == b"null" {
        Map::new()
    } else {
        serde_json::from_slice(json).map_err(not_an_object)?
    };
    let (own, backends) = (schema_of::<S>(), schema_of::<C>());
    let (own, backends) = (
        fault::names(own.as_value()),
        fault::names(backends.as_value()),
    );
    config.retain(|key, _| own.contains(key) || !backends.contains(key));
    // The session's type may know one of these by another name, too: then it is not left out.
    let passes = |key: &str| configured.iter().any(|other| other == key);
    let json = serde_json::to_vec(&config)?;
    let passes_too = |key: &str| is_runtime_key(key) || passes(key);
    let read = parse_passing(&json, passes_too, &Cell::new(false));
    if read.is_ok() || !config.keys().any(|key| passes(key) && !own.contains(key)) {
        return read;
    }
    // A type that refuses what it does not know must not see them.
    config.retain(|key, _| own.contains(key) || !passes(key));
    parse_config(&serde_json::to_vec(&config)?)
}

fn parse_slowly<T: DeserializeOwned + JsonSchema>(json: &[u8]) -> Result<T> {
    let mut params: Map<String, Value> = serde_json::from_slice(json).map_err(not_an_object)?;
    params.retain(|key, _| !is_runtime_key(key));
    serde_path_to_error::deserialize(Value::Object(params)).map_err(|error| {
        let steps = fault::steps_of(error.path());
        fault::misfit(
            &steps,
            &error.inner().to_string(),
            schema_of::<T>().as_value(),
        )
    })
}

/// The object without the runtime's keys, if it has any that the type does not name.
fn without_runtime_keys<T: JsonSchema>(json: &[u8]) -> Result<Option<String>> {
    let text = str::from_utf8(json)?;
    // Few callers send such keys; one that is written with escapes is one all the same.
    if !text.contains('\\') && !RUNTIME_KEYS.iter().any(|key| text.contains(key)) {
        return Ok(None);
    }
    let own = fault::names(schema_of::<T>().as_value());
    // What is kept stays as it is written.
    let mut object: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    let before = object.len();
    object.retain(|key, _| !is_runtime_key(key) || own.contains(key));
    let is_less = object.len() < before;
    Ok(is_less
        .then(|| serde_json::to_string(&object))
        .transpose()?)
}

fn is_runtime_key(key: &str) -> bool {
    RUNTIME_KEYS.contains(&key)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` wants"
)]
fn not_an_object(error: serde_json::Error) -> Error {
    let message = format!("params must be a JSON object: {error}");
    Error::new(Code::Param, message)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Click {
        x: i64,
        #[serde(default)]
        points: Vec<Point>,
        area: Option<Point>,
        #[serde(default, alias = "btn")]
        button: Option<Button>,
    }

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Point {
        left: u8,
    }

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Button {
        Left,
        Right,
    }

    fn message(json: &str) -> String {
        let error = parse::<Click>(json.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::Param);
        error.message().to_owned()
    }

    #[test]
    fn errors_say_where_and_what() {
        let wrong = [
            ("{}", "parameter /x is missing"),
            (
                r#"{"x":"a"}"#,
                r#"parameter /x: expected an integer, found string "a""#,
            ),
            (
                r#"{"x":1,"points":[{"left":1},{"left":300}]}"#,
                "parameter /points/1/left: expected an integer from 0 to 255, found integer `300`",
            ),
            (
                r#"{"x":1,"button":"middle"}"#,
                "parameter /button: expected `left` or `right`, found unknown variant `middle`",
            ),
            (
                r#"{"x":1,"area":{"left":null}}"#,
                "parameter /area/left: expected an integer, found null",
            ),
        ];
        for (json, expected) in wrong {
            assert_eq!(message(json), expected, "{json}");
        }
        for json in ["[1]", "7", "{", r#"{"x":1} x"#, "\u{feff}{}"] {
            assert!(message(json).starts_with("params must be a JSON object"));
        }
        assert!(parse::<Click>(b"{\"x\":1,\"\xff\":2}").is_err());
    }

    #[test]
    fn unknown_names_come_with_the_nearest_known_one() {
        let wrong = [
            (
                r#"{"x":1,"point":2}"#,
                "parameter /point is not known; did you mean `points`?",
            ),
            (
                r#"{"y":1,"pointss":[]}"#,
                "parameter /y is not known; there are x, points, area, button",
            ),
            (
                r#"{"x":1,"points":[{"left":1,"lft":2}]}"#,
                "parameter /points/0/lft is not known; did you mean `left`?",
            ),
            (
                r#"{"x":1,"area":{"left":1,"a/b":2}}"#,
                "parameter /area/a~1b is not known; there is left",
            ),
        ];
        for (json, expected) in wrong {
            assert_eq!(message(json), expected, "{json}");
        }
    }

    #[test]
    fn a_slip_is_named_rather_than_what_it_leaves_missing() {
        assert_eq!(
            message(r#"{"X":1}"#),
            "parameter /X is not known; did you mean `x`?"
        );
    }

    #[test]
    fn other_names_of_a_parameter_are_known() {
        let wrong = r#"{"x":"one","btn":"left"}"#;
        assert!(message(wrong).starts_with("parameter /x: "));
    }

    #[test]
    fn a_value_may_be_taken_as_it_is_written() {
        #[derive(Debug, Deserialize, JsonSchema)]
        struct Passing {
            value: Box<RawValue>,
            #[serde(default)]
            times: u8,
        }
        let read = |json: &str| parse::<Passing>(json.as_bytes());
        for written in [r#"{ "b":1, "a" : [1.50, "\u00e9"]}"#, "null", "1e400"] {
            let passing = read(&format!(r#"{{"value": {written}, "trace_id": "t"}}"#)).unwrap();
            assert_eq!((passing.value.get(), passing.times), (written, 0));
        }
        assert_eq!(
            read(r#"{"value":{"a":1},"times":"x"}"#)
                .unwrap_err()
                .message(),
            r#"parameter /times: expected an integer, found string "x""#
        );
        assert_eq!(
            read("{}").unwrap_err().message(),
            "parameter /value is missing"
        );
    }

    #[test]
    fn runtime_keys_are_dropped() {
        let json = r#"{"x":1,"worker_id":"w","session_info":{"data":{}}}"#;
        assert_eq!(parse::<Click>(json.as_bytes()).unwrap().x, 1);
        assert_eq!(message(r#"{"worker_id":"w"}"#), "parameter /x is missing");
    }

    #[test]
    fn runtime_keys_are_dropped_whatever_the_type_would_keep() {
        #[derive(Debug, Deserialize, JsonSchema)]
        struct Around {
            x: i64,
            #[serde(flatten)]
            others: BTreeMap<String, Value>,
        }
        #[derive(Debug, Deserialize, JsonSchema)]
        struct Named {
            trace_id: String,
            #[serde(flatten)]
            others: Map<String, Value>,
        }
        #[derive(Debug, Deserialize, JsonSchema)]
        struct Newtype(Map<String, Value>);
        #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
        #[serde(untagged)]
        enum Either {
            Number { x: i64 },
            Any(Map<String, Value>),
        }
        let json = br#"{"worker_id":"w","x":1,"trace_id":"t","say":"session_id","deep":{"trace_id":1.50}}"#;
        let map = parse::<Map<String, Value>>(json).unwrap();
        let keys: Vec<&String> = map.keys().collect();
        assert_eq!(keys.len(), 3, "{keys:?}");
        assert_eq!(map["deep"], serde_json::json!({ "trace_id": 1.5 }));
        assert_eq!(parse::<Newtype>(json).unwrap().0, map);
        assert_eq!(parse::<Option<Value>>(json).unwrap(), Some(map.into()));
        let others = br#"{"worker_id":"w","x":1,"7":"seven"}"#;
        let around = parse::<Around>(others).unwrap();
        assert_eq!(around.x, 1);
        assert_eq!(around.others.keys().collect::<Vec<_>>(), ["7"]);
        let numbers = parse::<BTreeMap<u8, String>>(br#"{"worker_id":"w","7":"seven"}"#);
        assert_eq!(numbers.unwrap()[&7], "seven");
        let either = parse::<Either>(br#"{"session_info":{},"y":1}"#).unwrap();
        let expected = serde_json::json!({ "y": 1 }).as_object().cloned();
        assert_eq!(Some(either), expected.map(Either::Any));
        assert_eq!(
            parse::<Either>(br#"{"x":1}"#).unwrap(),
            Either::Number { x: 1 }
        );
        // Nor does it help to write the key in another way.
        let escaped = parse::<Map<String, Value>>(br#"{"worker\u005fid":"w"}"#);
        assert!(escaped.unwrap().is_empty());
        // One that the type names is a parameter.
        let named = parse::<Named>(br#"{"trace_id":"t","worker_id":"w"}"#).unwrap();
        assert_eq!((named.trace_id.as_str(), named.others.len()), ("t", 0));
        // A configuration has keys of its own only.
        let config = parse_config::<Map<String, Value>>(br#"{"worker_id":"w"}"#);
        assert_eq!(config.unwrap().len(), 1);
        // What takes all as it is written gets it so.
        let whole = parse::<Box<RawValue>>(br#"{"worker_id": 1}"#).unwrap();
        assert_eq!(whole.get(), r#"{"worker_id": 1}"#);
    }

    #[test]
    fn types_that_refuse_by_themselves_are_read_as_well() {
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct Strict {
            count: u32,
        }
        let read = |json: &str| parse::<Strict>(json.as_bytes());
        assert_eq!(read(r#"{"count":1,"trace_id":"t"}"#).unwrap().count, 1);
        assert_eq!(
            read(r#"{"count":1,"conut":2}"#).unwrap_err().message(),
            "parameter /conut is not known; did you mean `count`?"
        );
    }

    #[test]
    fn maps_take_any_name() {
        let read = |json: &str| parse::<BTreeMap<String, i32>>(json.as_bytes());
        assert_eq!(read(r#"{"a":1}"#).unwrap()["a"], 1);
        assert_eq!(
            read(r#"{"a":"b"}"#).unwrap_err().message(),
            r#"parameter /a: expected an integer, found string "b""#
        );
    }

    #[test]
    fn absent_params_are_an_empty_object() {
        assert!(parse::<Map<String, Value>>(b"").unwrap().is_empty());
        assert!(parse::<Map<String, Value>>(b"null").unwrap().is_empty());
    }

    #[test]
    fn a_session_s_configuration_may_hold_the_backend_s_keys() {
        let json = br#"{"x":1,"left":9}"#;
        assert_eq!(parse_session::<Click, Point>(json, &[]).unwrap().x, 1);
        let error = parse_session::<Click, Point>(br#"{"x":1,"right":9}"#, &[]).unwrap_err();
        assert!(error.message().starts_with("parameter /right is not known"));
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(tag = "provider", rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its shape counts")]
    enum Provider {
        Local { path: String },
        Remote { url: String },
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Around {
        size: u8,
        #[serde(flatten)]
        provider: Provider,
        #[serde(flatten)]
        point: Point,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[serde(default, alias = "k")]
        key: u8,
    }

    #[test]
    fn a_backend_s_keys_pass_by_whatever_its_type_is() {
        let read = |json: &str| {
            let configured: Map<String, Value> = serde_json::from_str(json).unwrap();
            let configured: Vec<String> = configured.keys().cloned().collect();
            let with_slip = json.replacen('{', r#"{"kye":1,"#, 1);
            for known in [&[][..], &configured] {
                parse_session::<Strict, Around>(json.as_bytes(), known).unwrap();
                let error = parse_session::<Strict, Around>(with_slip.as_bytes(), known);
                let message = error.unwrap_err().message().to_owned();
                assert_eq!(message, "parameter /kye is not known; did you mean `key`?");
            }
        };
        read(r#"{"size":1,"provider":"local","path":"x","left":1}"#);
        read(r#"{"size":1,"provider":"remote","url":"x","left":1}"#);
        let enumeration = br#"{"provider":"local","path":"x"}"#;
        parse_session::<Strict, Provider>(enumeration, &[]).unwrap();
    }

    #[test]
    fn keys_that_no_schema_names_pass_by_when_the_backend_was_configured_with_them() {
        #[derive(Debug, Deserialize, JsonSchema)]
        struct Lenient {
            #[serde(default, alias = "k")]
            key: u8,
        }
        type Free = Map<String, Value>;
        let configured = ["anything".to_owned(), "k".to_owned()];
        let json = br#"{"anything":1,"k":2}"#;
        // The session's type knows one of them by its other name.
        let read = parse_session::<Click, Free>(br#"{"x":1,"anything":1}"#, &configured);
        assert_eq!(read.unwrap().x, 1);
        let lenient = parse_session::<Lenient, Free>(json, &configured).unwrap();
        assert_eq!(lenient.key, 2);
        // One that refuses what it does not know is read without them.
        let strict = parse_session::<Strict, Free>(json, &configured).unwrap();
        assert_eq!(strict.key, 0);
        let error = parse_session::<Strict, Free>(br#"{"other":1}"#, &configured).unwrap_err();
        assert!(error.message().starts_with("parameter /other is not known"));
    }
}
