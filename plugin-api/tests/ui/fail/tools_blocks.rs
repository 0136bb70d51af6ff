#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it", tools = [reading])]
impl It {}

#[tools(reading)]
impl It {
    async fn initialize(&self) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn borrowed(&self, text: &str) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn twice(&self) -> Result<()> {
        Ok(())
    }

    #[tool(alias = "vm:again")]
    async fn elsewhere(&self) -> Result<()> {
        Ok(())
    }

    #[tool(alias = "twice")]
    async fn again(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
