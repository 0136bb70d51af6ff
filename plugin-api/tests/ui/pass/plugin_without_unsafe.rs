//! A plugin may forbid unsafe code: what the macros write does not count as its own.
#![forbid(unsafe_code)]
#![deny(warnings)]

use sandbox_plugin_api::prelude::*;

struct Shared {
    greeting: String,
}

#[derive(Deserialize, JsonSchema)]
struct Config {
    greeting: String,
}

#[backend(name = "shared")]
impl Shared {
    fn new(config: Config) -> Result<Self> {
        Ok(Self { greeting: config.greeting })
    }

    #[tool(read_only)]
    async fn greet(&self, name: String) -> Result<String> {
        Ok(format!("{} {name}", self.greeting))
    }
}

#[derive(Default)]
struct Sessions;

#[backend(name = "sessions")]
impl Sessions {
    async fn initialize(&self) -> Result<Vec<u8>> {
        Ok(vec![1])
    }

    async fn cleanup(&self, _: &Vec<u8>) -> Result<()> {
        Ok(())
    }

    #[tool(inline)]
    fn length(&self, session: &Vec<u8>) -> Result<usize> {
        Ok(session.len())
    }
}

sandbox_plugin_api::export!(Shared, Sessions);

fn main() {}
