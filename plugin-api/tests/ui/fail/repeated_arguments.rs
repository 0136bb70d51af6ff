#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it")]
impl It {
    #[tool("x", name = "y")]
    async fn two_names(&self) -> Result<()> {
        Ok(())
    }

    #[tool(timeout = 1, timeout = 2)]
    async fn two_limits(&self) -> Result<()> {
        Ok(())
    }

    #[tool(title = "One", title = "Two")]
    async fn two_titles(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Other;

#[backend(name = "other", version = "1", version = "2")]
impl Other {}

fn main() {}
