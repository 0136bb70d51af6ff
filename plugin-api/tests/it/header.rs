//! The C header: written from the source of the ABI, committed, and good C and C++.
//!
//! `SANDBOX_WRITE_HEADER=1 cargo test -p sandbox-plugin-api --test it header` renews it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use sandbox_plugin_api::abi;

/// What stands behind the declarations: what cbindgen cannot take from Rust.
const TRAILER: &str = include_str!("../../include/trailer.h");

#[test]
fn the_header_is_what_the_source_says() {
    let header = generate();
    let path = root().join("include/sandbox_plugin.h");
    if env::var_os("SANDBOX_WRITE_HEADER").is_some() {
        fs::write(&path, &header).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == header,
        "include/sandbox_plugin.h is not what src/abi says: renew it with SANDBOX_WRITE_HEADER=1"
    );
}

#[test]
fn the_header_speaks_of_c_only() {
    let header = generate();
    for rust in ["[`", "::", "Self", "STATUS_", "MANIFEST_SYMBOL", "# "] {
        let stray = header.lines().find(|line| {
            let line = line
                .replace("SANDBOX_STATUS_", "")
                .replace("/// # ", "")
                .replace("// # ", "");
            line.contains(rust) && !line.trim_start().starts_with('#')
        });
        assert_eq!(stray, None, "{rust}");
    }
    for symbol in [abi::ENTRY_SYMBOL, abi::MANIFEST_SYMBOL] {
        assert!(header.contains(symbol), "{symbol}");
    }
}

#[test]
fn the_header_is_good_c_and_good_cpp() {
    let source = root().join("tests/c/manifest.c");
    let flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"];
    compile(
        Command::new("cc")
            .args(["-std=c11"])
            .args(flags)
            .arg(&source),
    );
    for standard in ["-std=c++11", "-std=c++20"] {
        compile(
            Command::new("c++")
                .args([standard, "-x", "c++"])
                .args(flags)
                .arg(&source),
        );
    }
}

#[test]
fn the_structs_have_the_same_layout_in_c() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("layout");
    let source = root().join("tests/c/layout.c");
    compile(
        Command::new("cc")
            .args(["-std=c11", "-Wall", "-Werror", "-o"])
            .arg(&program)
            .arg(source),
    );
    let output = Command::new(program).output().unwrap();
    let layout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(layout, include_str!("../../src/abi/layout.golden"));
}

fn compile(command: &mut Command) {
    let output = command
        .arg("-I")
        .arg(root().join("include"))
        .output()
        .expect("a C compiler");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn generate() -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    config.header = Some(preamble());
    config.after_includes = Some(opaque());
    config.trailer = Some(TRAILER.trim_end().to_owned());
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["mod", "types", "growth", "buffer", "manifest"] {
        builder = builder.with_src(root().join(format!("src/abi/{file}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().expect("the ABI is C").write(&mut header);
    in_c_s_words(&String::from_utf8(header).unwrap())
}

/// The text at the top of `src/abi/mod.rs`: the policy, the rules and the trust model.
fn preamble() -> String {
    let source = include_str!("../../src/abi/mod.rs");
    let text = source.lines().take_while(|line| line.starts_with("//!"));
    let text: Vec<String> = text.map(|line| line.replacen("//!", "//", 1)).collect();
    format!(
        "// sandbox_plugin.h: what a plugin in C is written against. Generated from src/abi; do not edit.\n\
         // SPDX-License-Identifier: Apache-2.0\n//\n{}\n\n#ifndef SANDBOX_PLUGIN_H\n#define SANDBOX_PLUGIN_H",
        text.join("\n")
    )
}

fn opaque() -> String {
    "\n// What a handle points to: known only to the side that made it.\n\
     typedef struct SandboxOpaque SandboxOpaque;\n"
        .to_owned()
}

/// Turns rustdoc's links into the C names of what they point to.
fn in_c_s_words(header: &str) -> String {
    let mut out = String::new();
    let mut rest = header;
    while let Some((before, link)) = rest.split_once("[`") {
        let (name, after) = link.split_once("`]").expect("a link ends");
        out.push_str(before);
        out.push_str(&c_name(name));
        rest = match after.strip_prefix('(') {
            Some(target) => target.split_once(')').expect("a target ends").1,
            None => after,
        };
    }
    out.push_str(rest);
    out
}

fn c_name(rust: &str) -> String {
    let (owner, member) = rust.rsplit_once("::").unwrap_or(("", rust));
    match (owner, member) {
        ("", constant) if constant == constant.to_uppercase() => format!("SANDBOX_{constant}"),
        ("", other) => format!("Sandbox{other}"),
        (owner, member) => format!("Sandbox{owner}.{member}"),
    }
}
