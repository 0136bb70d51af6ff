#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

impl It {
    #[tool]
    async fn lonely(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
