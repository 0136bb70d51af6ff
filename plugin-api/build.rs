//! Records what builds the plugin (the manifest shows it, and nothing ever compares it), and under
//! which version `abi_stable` knows the types that cross.

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
    println!(
        "cargo::rustc-env=SANDBOX_SDK={}",
        env::var("CARGO_PKG_VERSION").unwrap_or_else(|_| "unknown".into())
    );
    // abi_stable takes the version of a type's crate for the version of the type, and refuses another:
    // the next release of this crate would be refused every older plugin. The types are frozen for
    // the ABI's major version, so that is the version they have.
    println!("cargo::rustc-env=CARGO_PKG_VERSION=1.0.0");
}
