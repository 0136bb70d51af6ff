#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[derive(Deserialize, JsonSchema)]
struct Params {}

#[backend(name = "it")]
impl It {
    #[tool]
    async fn borrowed(&self, text: &str) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn pattern(&self, (a, b): (u8, u8)) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn attribute(&self, #[colour] a: u8) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn two(&self, #[params] a: Params, b: u8) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn env(&self, env: &BackendEnv) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn optional(&self, text: Option<&str>) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn session(&self, session: &Session) -> Result<()> {
        Ok(())
    }
}

struct Session;

fn main() {}
