#![deny(dead_code)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it")]
impl It {}

#[tools(reading)]
impl It {
    #[tool]
    async fn read(&self) -> Result<()> {
        Ok(())
    }
}

sandbox_plugin_api::export!(It);

fn main() {}
