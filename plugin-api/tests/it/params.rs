//! Typed parameters: how they are described, read, defaulted and refused.

use sandbox_plugin_api::{prelude::*, testkit::TestKit};

use crate::support::kit;

#[derive(Default)]
struct Forms;

/// The whole object of `forms:whole`.
#[derive(Deserialize, JsonSchema)]
struct Whole {
    /// How often.
    count: u8,
    #[serde(default)]
    nested: Vec<Nested>,
}

#[derive(Deserialize, JsonSchema)]
struct Nested {
    width: u32,
}

#[backend(name = "forms", description = "Takes parameters of every form.")]
impl Forms {
    /// Draw a thing.
    ///
    /// Twice.
    #[tool(
        title = "Draw",
        alias = "paint",
        alias = "forms:trace",
        timeout = 2.5,
        idempotent,
        example = r#"{"x": 1}"#
    )]
    async fn draw(
        &self,
        /// From the left.
        x: i64,
        /// From the top.
        #[default(x_of(7))]
        y: i64,
        #[serde(rename = "type")] kind: Option<String>,
        #[default(vec!["red".to_owned()])]
        #[schemars(length(max = 3))]
        colours: Vec<String>,
    ) -> Result<Value> {
        Ok(json!({ "x": x, "y": y, "kind": kind, "colours": colours }))
    }

    #[tool(description = "Takes its own type.")]
    async fn whole(&self, #[params] whole: Whole) -> Result<usize> {
        let nested: u32 = whole.nested.iter().map(|nested| nested.width).sum();
        Ok(usize::from(whole.count) + nested as usize)
    }

    #[tool(resource_type = "shapes", hidden, destructive)]
    async fn erase(&self, r#type: String) -> Result<String> {
        Ok(r#type)
    }

    #[tool("circles:grow", read_only)]
    async fn grow(&self) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn broken(&self, number: String) -> Result<i32> {
        Ok(number.parse()?)
    }
}

const fn x_of(x: i64) -> i64 {
    x
}

fn forms() -> TestKit<Forms> {
    kit(json!({}))
}

fn described(kit: &TestKit<Forms>, name: &str) -> Value {
    let tools = kit.description()["tools"].as_array().unwrap();
    let found = tools.iter().find(|tool| tool["name"] == name);
    found.unwrap_or_else(|| panic!("{name}")).clone()
}

#[test]
fn defaults_options_and_new_names_hold() {
    let answer = forms().call("forms:draw", json!({ "x": 1, "type": "dot" }));
    let expected = json!({ "x": 1, "y": 7, "kind": "dot", "colours": ["red"] });
    assert_eq!(answer.unwrap(), expected);
}

#[test]
fn aliases_call_the_same_tool() {
    let kit = forms();
    for name in ["forms:draw", "forms:paint", "forms:trace"] {
        assert_eq!(kit.call(name, json!({ "x": 3 })).unwrap()["x"], 3, "{name}");
    }
}

#[test]
fn a_tool_is_described_by_its_source() {
    let kit = forms();
    let draw = described(&kit, "forms:draw");
    assert_eq!(draw["description"], "Draw a thing.\n\nTwice.");
    assert_eq!(draw["aliases"], json!(["forms:paint", "forms:trace"]));
    assert_eq!(
        (&draw["title"], &draw["timeout"]),
        (&json!("Draw"), &json!(2.5))
    );
    assert_eq!(
        (&draw["idempotent"], &draw["hidden"]),
        (&json!(true), &json!(false))
    );
    let schema = &draw["input_schema"];
    assert_eq!(schema["required"], json!(["x"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["properties"]["x"]["description"], "From the left.");
    assert_eq!(schema["properties"]["y"]["default"], 7);
    assert_eq!(schema["properties"]["colours"]["maxItems"], 3);
    assert_eq!(schema["examples"], json!([{ "x": 1 }]));
    let whole = described(&kit, "forms:whole");
    assert_eq!(
        whole["input_schema"]["properties"]["count"]["description"],
        "How often."
    );
    assert_eq!(whole["output_schema"]["type"], "integer");
}

#[test]
fn resource_types_come_from_argument_name_or_backend() {
    let kit = forms();
    assert_eq!(described(&kit, "forms:draw")["resource_type"], "forms");
    assert_eq!(described(&kit, "circles:grow")["resource_type"], "circles");
    let erase = described(&kit, "shapes:erase");
    assert_eq!(erase["resource_type"], "shapes");
    assert_eq!(
        (&erase["hidden"], &erase["destructive"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        kit.call("shapes:erase", json!({ "type": "all" })).unwrap(),
        "all"
    );
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let kit = forms();
    let refused = |tool: &str, params: Value| {
        let failure = kit.call(tool, params).unwrap_err();
        assert_eq!(failure.code, 1002, "{failure:?}");
        failure
    };
    let failure = refused("forms:draw", json!({ "x": "1" }));
    assert_eq!(
        failure.message,
        "parameter /x: expected an integer, found string \"1\""
    );
    assert_eq!(failure.data["pointer"], "/x");
    let failure = refused("forms:draw", json!({ "x": 1, "typ": "a" }));
    assert_eq!(
        failure.message,
        "parameter /typ is not known; did you mean `type`?"
    );
    assert_eq!(failure.data["nearest"], "type");
    let failure = refused(
        "forms:whole",
        json!({ "count": 1, "nested": [{ "width": 1 }, {}] }),
    );
    assert_eq!(failure.message, "parameter /nested/1/width is missing");
    let failure = refused("circles:grow", json!({ "x": 1 }));
    assert_eq!(failure.message, "parameter /x is not known; there are none");
}

#[test]
fn keys_of_the_runtime_are_dropped() {
    let params =
        json!({ "x": 1, "worker_id": "w", "session_id": "s", "session_info": {}, "trace_id": "t" });
    assert_eq!(forms().call("forms:draw", params).unwrap()["x"], 1);
}

#[test]
fn any_error_becomes_5000() {
    let failure = forms()
        .call("forms:broken", json!({ "number": "x" }))
        .unwrap_err();
    assert_eq!((failure.code, failure.panicked), (5000, false));
    assert_eq!(failure.message, "invalid digit found in string");
}

#[test]
fn examples_run() {
    let kit = forms();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| kit.run_examples()));
    let message = *panic.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(message, "forms:whole has no example");
}
