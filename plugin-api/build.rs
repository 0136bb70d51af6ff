//! Records which compiler builds the plugin: the manifest shows it, and nothing ever compares it.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=SANDBOX_RUSTC={}", version.trim());
    println!(
        "cargo::rustc-env=SANDBOX_TARGET={}",
        env::var("TARGET").unwrap_or_else(|_| "unknown".into())
    );
}
