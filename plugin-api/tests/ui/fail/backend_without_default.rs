#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

struct Other {
    _field: u8,
}

#[backend(name = "other")]
impl Other {}

fn main() {}
