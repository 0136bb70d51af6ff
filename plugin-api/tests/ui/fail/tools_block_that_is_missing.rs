use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it", tools = [raeding])]
impl It {}

#[tools(reading)]
impl It {
    #[tool]
    async fn read(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
