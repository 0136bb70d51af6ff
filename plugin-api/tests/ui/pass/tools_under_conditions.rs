//! A tool with a condition is there where its function is, and may share its name with one that never is at the same time.
#![deny(warnings)]

use sandbox_plugin_api::{prelude::*, testkit::TestKit};

#[derive(Default)]
struct Conditions;

#[backend(name = "conditions", tools = [more])]
impl Conditions {
    #[cfg(any())]
    #[tool(example = "{}")]
    async fn never(&self, missing: ThereIsNoSuchType) -> Result<()> {
        Ok(missing)
    }

    #[cfg(all())]
    #[tool(example = "{}")]
    async fn place(&self) -> Result<&'static str> {
        Ok("here")
    }

    #[cfg(not(all()))]
    #[tool(example = "{}")]
    async fn place(&self) -> Result<&'static str> {
        Ok("there")
    }
}

#[tools(more)]
impl Conditions {
    #[cfg(any())]
    #[tool(name = "place", example = "{}")]
    async fn other(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {
    let kit = TestKit::<Conditions>::new(json!({})).unwrap();
    assert_eq!(kit.description()["tools"].as_array().unwrap().len(), 1);
    assert_eq!(kit.call("conditions:place", json!({})).unwrap(), "here");
}
