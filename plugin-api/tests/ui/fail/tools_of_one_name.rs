#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it")]
impl It {
    #[tool]
    async fn go(&self) -> Result<()> {
        Ok(())
    }

    #[tool(alias = "go")]
    async fn walk(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
