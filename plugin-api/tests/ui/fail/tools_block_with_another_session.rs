use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

struct Sheet;

struct Stone;

#[backend(name = "it", tools = [reading])]
impl It {
    async fn initialize(&self) -> Result<Sheet> {
        Ok(Sheet)
    }
}

#[tools(reading)]
impl It {
    #[tool]
    async fn read(&self, stone: &Stone) -> Result<()> {
        let _: &Stone = stone;
        Ok(())
    }
}

fn main() {}
