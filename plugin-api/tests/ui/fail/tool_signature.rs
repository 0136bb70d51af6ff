#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it")]
impl It {
    #[tool]
    fn plain(&self) -> Result<()> {
        Ok(())
    }

    #[tool(blocking)]
    async fn blocking(&self) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn changes(&mut self) -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn alone() -> Result<()> {
        Ok(())
    }

    #[tool]
    async fn infallible(&self) -> u8 {
        1
    }

    #[tool]
    async fn nothing(&self) {}

    #[tool]
    async fn generic<T: Send>(&self, _value: T) -> Result<()> {
        Ok(())
    }
}

fn main() {}
