#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

struct Session;

#[backend(name = "it")]
impl It {
    async fn initialize(&self) -> Result<Session> {
        Ok(Session)
    }

    #[tool]
    async fn change(&self, session: &mut Session) -> Result<()> {
        Ok(())
    }
}

fn main() {}
