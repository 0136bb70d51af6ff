//! Names that the macros could take for their own: an author may use any.

use sandbox_plugin_api::{prelude::*, testkit::TestKit};

use crate::support::kit;

#[derive(Default)]
struct Names;

/// Called as the struct that the macro writes once was.
#[derive(Deserialize, Serialize, JsonSchema)]
struct Params {
    depth: u8,
}

/// Called as the function that the macro writes once was.
const fn default_top_k() -> usize {
    7
}

#[backend(name = "names", description = "Has every name that there is.")]
impl Names {
    #[tool]
    async fn defaults(&self, #[default(default_top_k())] top_k: usize) -> Result<usize> {
        Ok(top_k)
    }

    #[tool]
    async fn nested(&self, inner: Params) -> Result<Params> {
        Ok(inner)
    }

    #[tool]
    async fn variables(
        &self,
        context: &CallContext,
        call: String,
        params: String,
        reading: String,
        value: String,
        error: String,
    ) -> Result<Value> {
        assert_eq!(context.tool(), "names:variables");
        Ok(json!([call, params, reading, value, error]))
    }

    #[tool(inline)]
    fn whole(&self, #[params] call: Params, context: &CallContext) -> Result<u8> {
        assert_eq!(context.tool(), "names:whole");
        Ok(call.depth)
    }
}

fn names() -> TestKit<Names> {
    kit(json!({}))
}

#[test]
fn a_default_may_be_a_function_of_any_name() {
    assert_eq!(names().call("names:defaults", json!({})).unwrap(), 7);
}

#[test]
fn a_type_of_the_author_s_may_be_called_params() {
    let kit = names();
    let given = json!({ "inner": { "depth": 2 } });
    assert_eq!(kit.call("names:nested", given).unwrap()["depth"], 2);
    let tools = &kit.description()["tools"];
    let output = &tools[1]["output_schema"]["properties"];
    assert!(output["depth"].is_object(), "{output}");
}

#[test]
fn parameters_may_be_called_as_the_macro_s_variables() {
    let given = json!({ "call": "a", "params": "b", "reading": "c", "value": "d", "error": "e" });
    let answer = names().call("names:variables", given).unwrap();
    assert_eq!(answer, json!(["a", "b", "c", "d", "e"]));
    let whole = names().call("names:whole", json!({ "depth": 3 }));
    assert_eq!(whole.unwrap(), 3);
}
