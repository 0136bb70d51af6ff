use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it", tools = [reading, writing])]
impl It {}

#[tools(reading)]
impl It {
    #[tool]
    async fn go(&self) -> Result<()> {
        Ok(())
    }
}

#[tools(writing)]
impl It {
    #[tool("it:write", alias = "go")]
    async fn write(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
