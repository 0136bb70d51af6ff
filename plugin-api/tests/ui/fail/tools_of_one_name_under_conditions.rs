use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct Twice;

#[backend(name = "twice")]
impl Twice {
    #[cfg(all())]
    #[tool]
    async fn one(&self) -> Result<()> {
        Ok(())
    }

    #[tool(name = "one")]
    async fn another(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
