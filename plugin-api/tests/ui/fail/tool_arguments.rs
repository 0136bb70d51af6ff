#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it")]
impl It {
    #[tool(colour = "red")]
    async fn unknown(&self) -> Result<()> {
        Ok(())
    }

    #[tool(read_only, destructive)]
    async fn contradiction(&self) -> Result<()> {
        Ok(())
    }

    #[tool(inline, blocking)]
    fn two_places(&self) -> Result<()> {
        Ok(())
    }

    #[tool(timeout = 0)]
    async fn no_time(&self) -> Result<()> {
        Ok(())
    }

    #[tool(example = "x = 1")]
    async fn no_object(&self) -> Result<()> {
        Ok(())
    }

    #[tool(alias = "vm:other_resource")]
    async fn other_resource(&self) -> Result<()> {
        Ok(())
    }

    #[tool("Take Picture")]
    async fn bad_name(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
