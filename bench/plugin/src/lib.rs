//! The tools that the benchmark calls through the vtable: each does as little as its kind allows, so
//! that what is measured is the way there and back.

use sandbox_plugin_api::prelude::*;

/// What `typed` answers: as much as it is given.
#[derive(Serialize, JsonSchema)]
#[serde(crate = "sandbox_plugin_api::prelude::serde")]
#[schemars(crate = "sandbox_plugin_api::prelude::schemars")]
struct Match {
    id: u64,
    score: f64,
    text: String,
}

#[derive(Default)]
struct Bench;

#[backend(name = "bench", description = "Does nothing, quickly.")]
impl Bench {
    /// Do nothing, on the caller's thread.
    #[tool(inline, read_only, example = "{}")]
    async fn nothing(&self) -> Result<()> {
        Ok(())
    }

    /// Read and write about a hundred bytes of JSON, on the caller's thread.
    #[tool(
        inline,
        read_only,
        example = r#"{"id": 7, "score": 0.5, "text": "hello"}"#
    )]
    async fn typed(&self, id: u64, score: f64, text: String) -> Result<Match> {
        Ok(Match { id, score, text })
    }

    /// Do nothing, on the plugin's own runtime.
    #[tool(read_only, example = "{}")]
    async fn hop(&self) -> Result<()> {
        Ok(())
    }
}

sandbox_plugin_api::export!(Bench);
