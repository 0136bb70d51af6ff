#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

use std::rc::Rc;

#[backend(name = "it")]
impl It {
    #[tool]
    async fn count(&self) -> Result<usize> {
        let shared = Rc::new(1);
        std::future::ready(()).await;
        Ok(Rc::strong_count(&shared))
    }
}

fn main() {}
