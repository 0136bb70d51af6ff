//! The test kit shows a backend what a host shows it, and hides no mistake.

use std::panic;

use sandbox_plugin_api::{backend::Backend, prelude::*};

use crate::support::kit;

#[derive(Default)]
struct Shown;

#[backend(
    name = "shown",
    description = "Tells what it is shown.",
    version = "1 \"beta\""
)]
impl Shown {
    async fn initialize(&self, info: &SessionInfo, config: Colour) -> Result<(String, String)> {
        Ok((info.session_id().to_owned(), config.colour))
    }

    #[tool(example = "{}")]
    async fn ids(
        &self,
        session: &(String, String),
        info: &SessionInfo,
        context: &CallContext,
    ) -> Result<Value> {
        Ok(json!([
            session.0,
            info.session_id(),
            context.session_id(),
            session.1
        ]))
    }
}

#[derive(Deserialize, JsonSchema)]
struct Colour {
    #[serde(default)]
    colour: String,
}

#[test]
fn a_session_has_one_id() {
    let kit = kit::<Shown>(json!({}));
    let session = kit.session("ann", json!({})).unwrap();
    let ids = session.call("shown:ids", json!({})).unwrap();
    assert_eq!(ids[0], "shown_ann_001_00000000");
    assert_eq!((&ids[0], &ids[0]), (&ids[1], &ids[2]));
}

#[test]
fn a_session_is_configured_whatever_the_backend_is() {
    for config in [Value::Null, json!({})] {
        let kit = kit::<Shown>(config);
        let session = kit.session("ann", json!({ "colour": "blue" })).unwrap();
        assert_eq!(session.call("shown:ids", json!({})).unwrap()[3], "blue");
    }
}

mod other {
    use sandbox_plugin_api::prelude::*;

    #[derive(Default)]
    pub(crate) struct Shown;

    #[backend(name = "other", description = "Is called as another.")]
    impl Shown {
        #[tool(example = "{}")]
        async fn here(&self) -> Result<u8> {
            Ok(1)
        }
    }
}

#[test]
fn two_backends_of_one_name_are_two() {
    kit::<Shown>(json!({}));
    let other = kit::<other::Shown>(json!({}));
    assert_eq!(other.description()["class"], "Shown");
    assert_eq!(other.call("other:here", json!({})).unwrap(), 1);
}

#[derive(Default)]
struct Careless;

#[backend(name = "careless", description = "Has an example that is no JSON.")]
impl Careless {
    #[tool(example = "{}", example = r#"{"query": }"#)]
    async fn search(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn an_example_that_is_no_json_fails() {
    let kit = kit::<Careless>(json!({}));
    let ran = panic::catch_unwind(panic::AssertUnwindSafe(|| kit.run_examples()));
    let message = ran.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(
        message.starts_with("the example of careless:search is not JSON: "),
        "{message}"
    );
}

#[test]
fn a_version_of_any_text_is_written_as_json() {
    let manifest = <Shown as Backend>::META.manifest;
    let manifest: Value = serde_json::from_str(manifest).unwrap();
    assert_eq!(manifest["version"], "1 \"beta\"");
}
