#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it", colour = "red")]
impl It {}

#[derive(Default)]
struct Other;

#[backend(name = "other", session_config = u8)]
impl Other {
    async fn initialize(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
