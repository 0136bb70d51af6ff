#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it")]
impl It {
    async fn new() -> Result<Self> {
        Ok(Self)
    }

    fn warmup(&self) -> Result<()> {
        Ok(())
    }

    async fn cleanup(&self) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
