#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

struct Opaque;

#[backend(name = "it")]
impl It {
    #[tool]
    async fn give(&self) -> Result<Opaque> {
        Ok(Opaque)
    }
}

fn main() {}
