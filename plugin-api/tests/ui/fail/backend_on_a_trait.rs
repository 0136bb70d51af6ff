#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it")]
impl Clone for It {
    fn clone(&self) -> Self {
        Self
    }
}

fn main() {}
