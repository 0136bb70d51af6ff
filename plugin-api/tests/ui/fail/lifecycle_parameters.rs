#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[derive(Deserialize, JsonSchema)]
struct Config {}

struct Session;

#[backend(name = "it")]
impl It {
    fn new(config: Config, context: &CallContext) -> Result<Self> {
        Ok(Self)
    }

    async fn warmup(&mut self) -> Result<()> {
        Ok(())
    }

    async fn shutdown(&self, config: Config) -> Result<()> {
        Ok(())
    }

    async fn initialize(&self, one: Config, two: Config) -> Result<Session> {
        Ok(Session)
    }

    async fn cleanup(&self, session: &Session, env: &BackendEnv) -> Result<()> {
        Ok(())
    }
}

fn main() {}
