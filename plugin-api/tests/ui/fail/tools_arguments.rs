#![allow(unused)]
use sandbox_plugin_api::prelude::*;

#[derive(Default)]
struct It;

#[backend(name = "it", tools = "reading")]
impl It {}

#[tools]
impl It {}

fn main() {}
