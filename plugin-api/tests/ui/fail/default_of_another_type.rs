#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it")]
impl It {
    #[tool]
    async fn take(&self, #[default("ten")] count: u32) -> Result<u32> {
        Ok(count)
    }
}

fn main() {}
