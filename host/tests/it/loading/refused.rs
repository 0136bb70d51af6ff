//! What an operator reads for each library that cannot be loaded.

use std::{env, fs, path::Path};

use sandbox::plugin::LoadError;

use super::{load, loader, report};
use crate::fixtures::{c_library, library};

fn refused(backend_class: &str) -> LoadError {
    match load(backend_class) {
        Err(error) => error,
        Ok(plugin) => panic!("{} was loaded", plugin.library.display()),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// What the operator reads about a file of this content.
fn of_content(name: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    fs::write(&file, content).expect("written");
    report(&refused(text(&file)), &[(folder.path(), "<folder>")])
}

/// What the operator reads about the plugin in C that is built like this.
fn of_c(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = c_library("faulty-c/plugin.c", folder.path(), "faulty", arguments);
    report(&refused(text(&file)), &[(folder.path(), "<folder>")])
}

#[test]
fn no_backend_class() {
    insta::assert_snapshot!(report(&refused("two words"), &[]));
}

#[test]
fn no_file_at_the_path() {
    insta::assert_snapshot!(report(&refused("./plugins/librag.so"), &[]));
}

#[test]
fn a_file_name_that_was_meant_as_a_name() {
    insta::assert_snapshot!(report(&refused("librag.so#Rag"), &[]));
}

#[test]
fn no_file_at_an_absolute_path() {
    insta::assert_snapshot!(report(&refused("/nowhere/librag.so"), &[]));
}

#[test]
fn no_library_of_the_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let folders = [
        folder.path().to_owned(),
        "/no/such/folder".into(),
        "plugins".into(),
    ];
    let error = loader(&folders)
        .load("rag", Path::new("/nowhere"), None)
        .expect_err("it is nowhere");
    insta::assert_snapshot!(report(&error, &[(folder.path(), "<folder>")]));
}

#[test]
fn a_name_with_a_mistake() {
    let said = refused("ecko").report(false);
    assert!(said.contains("did you mean `echo`?"), "{said}");
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(of_content("libempty.so", b""));
}

#[test]
fn a_text_file() {
    insta::assert_snapshot!(of_content("libtext.so", "print('hello')\n".as_bytes()));
}

#[test]
fn a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("libfolder.so");
    fs::create_dir(&path).expect("made");
    insta::assert_snapshot!(report(
        &refused(text(&path)),
        &[(folder.path(), "<folder>")]
    ));
}

#[test]
fn a_damaged_library() {
    let mut bytes = fs::read(library("echo")).expect("read");
    bytes.truncate(10_000);
    insta::assert_snapshot!(of_content("libcut.so", &bytes));
}

#[test]
#[cfg(target_os = "linux")]
fn a_program() {
    let program = env::current_exe().expect("a test is a program");
    let error = refused(&format!("{}#X", text(&program)));
    insta::assert_snapshot!(report(&error, &[(&program, "<program>")]));
}

/// The header of an ELF library for a processor, with no tables behind it.
fn elf_for(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    bytes[16..18].copy_from_slice(&3u16.to_le_bytes());
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[20..24].copy_from_slice(&1u32.to_le_bytes());
    bytes[52..54].copy_from_slice(&64u16.to_le_bytes());
    bytes
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn another_processor() {
    const AARCH64: u16 = 183;
    insta::assert_snapshot!(of_content("libother.so", &elf_for(AARCH64)));
}

#[test]
#[cfg(target_os = "linux")]
fn another_operating_system() {
    // A library for macOS: magic, x86-64, dynamic library, no commands.
    let words: [u32; 8] = [0xfeed_facf, 0x0100_0007, 3, 6, 0, 0, 0, 0];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    insta::assert_snapshot!(of_content("libmac.dylib", &bytes));
}

#[test]
fn a_library_that_is_no_plugin() {
    insta::assert_snapshot!(of_c(&["-DNO_MANIFEST", "-DNO_ENTRY"]));
}

#[test]
fn no_entry_function() {
    insta::assert_snapshot!(of_c(&["-DNO_ENTRY"]));
}

#[test]
fn a_newer_major_version() {
    insta::assert_snapshot!(of_c(&["-DMAJOR=2"]));
}

#[test]
fn an_older_major_version() {
    insta::assert_snapshot!(of_c(&["-DMAJOR=0"]));
}

#[test]
fn other_structs_under_the_same_version() {
    insta::assert_snapshot!(of_c(&["-DFINGERPRINT=1"]));
}

#[test]
fn a_manifest_that_is_no_json() {
    insta::assert_snapshot!(of_c(&[r#"-DJSON="{}""#]));
}

#[test]
fn a_missing_library() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let part = here.join("part.c");
    fs::write(&part, "void gone(void) {}\n").expect("written");
    let gone = c_library(text(&part), here, "gone", &["-Wl,-soname,libgone.so.3"]);
    let search = format!("-L{}", here.display());
    let plugin = c_library(
        "faulty-c/plugin.c",
        here,
        "needs",
        &["-DCALLS=gone", &search, "-lgone"],
    );
    fs::remove_file(gone).expect("removed");
    insta::assert_snapshot!(report(&refused(text(&plugin)), &[(here, "<folder>")]));
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_newer_glibc() {
    let folder = tempfile::tempdir().expect("a folder");
    let marks = format!("-DMARKS=\"{}\"", folder.path().join("ran").display());
    let file = c_library("faulty-c/plugin.c", folder.path(), "newer", &[&marks]);
    let mut bytes = fs::read(&file).expect("read");
    // Opening a file takes some version of glibc; here it is said to be 9.
    let version = b"GLIBC_2";
    let places: Vec<_> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(version))
        .collect();
    assert!(!places.is_empty(), "the fixture needs no glibc");
    for at in places {
        bytes[at + version.len() - 1] = b'9';
    }
    fs::write(&file, bytes).expect("written");
    let error = refused(text(&file));
    let expected = error.problems()[0].expected.clone().expect("it is told");
    let running = expected
        .split([' ', ','])
        .nth(2)
        .expect("a version")
        .to_owned();
    let said = report(&error, &[(folder.path(), "<folder>")]);
    let said = without_versions(&said, &running);
    insta::assert_snapshot!(said);
}

/// Replaces the versions, which differ between machines.
fn without_versions(said: &str, running: &str) -> String {
    let mut lines: Vec<String> = said
        .lines()
        .map(|line| line.replace(running, "<running>"))
        .collect();
    for line in &mut lines {
        if line.trim_start().starts_with("found:") {
            "      found:    <needed>".clone_into(line);
        }
    }
    lines.join("\n")
}

#[test]
fn an_undefined_symbol() {
    insta::assert_snapshot!(of_c(&["-DCALLS=nobody_has_this"]));
}

#[test]
fn a_plugin_that_refuses() {
    insta::assert_snapshot!(of_c(&[]));
}

#[test]
fn a_table_that_is_too_small() {
    insta::assert_snapshot!(of_c(&["-DTABLE_SIZE=16"]));
}

#[test]
fn a_table_with_functions_that_are_null() {
    insta::assert_snapshot!(of_c(&["-DNULLS=[2]=0,[9]=0"]));
}

#[test]
fn panic_abort_in_the_manifest() {
    let json = r#"-DJSON="{\"language\":\"rust\",\"panic\":\"abort\",\"backends\":[{\"name\":\"a\",\"class\":\"A\"}]}""#;
    insta::assert_snapshot!(of_c(&[json]));
}

#[test]
fn several_faults_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = c_library(
        "faulty-c/plugin.c",
        folder.path(),
        "faulty",
        &["-DNO_ENTRY", "-DFINGERPRINT=1"],
    );
    let pinned = "0".repeat(64);
    let error = loader(&[])
        .load(text(&file), Path::new("/"), Some(&pinned))
        .expect_err("pinned");
    assert_eq!(error.problems().len(), 3);
    let digest = error
        .trace
        .refused()
        .next()
        .expect("it was found")
        .sha256
        .clone();
    let said = report(&error, &[(folder.path(), "<folder>")]);
    insta::assert_snapshot!(said.replace(&digest, "<digest>"));
}

#[test]
fn a_layout_that_differs() {
    insta::assert_snapshot!(report(&refused("layout"), &[]));
}

#[test]
fn a_schema_that_is_none() {
    insta::assert_snapshot!(report(&refused("bad-schema"), &[]));
}

#[test]
fn a_class_that_the_library_has_not() {
    insta::assert_snapshot!(report(&refused("my.backends.duo.TrioBackend"), &[]));
}

#[test]
fn several_backends_and_none_is_named() {
    let error = refused(text(&library("duo")));
    insta::assert_snapshot!(report(&error, &[]));
}

#[test]
fn a_panic_in_the_description() {
    insta::assert_snapshot!(report(&refused("panics#PanicsInDescribe"), &[]));
}

#[test]
fn a_key_that_is_not_the_name() {
    let alone = LoadError::other_key("rag", "search", "rag", None);
    let taken = LoadError::other_key("rag", "search", "rag", Some("rag"));
    insta::assert_snapshot!(format!("{}\n{}", report(&alone, &[]), report(&taken, &[])));
}

#[test]
fn nothing_runs_of_a_library_that_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("ran");
    let marks = format!("-DMARKS=\"{}\"", mark.display());
    let bad = c_library(
        "faulty-c/plugin.c",
        folder.path(),
        "bad",
        &["-DMAJOR=2", &marks],
    );
    refused(text(&bad));
    assert!(!mark.exists(), "the constructor of a refused library ran");
    // The mark does come when a library is loaded, so its absence means something.
    let loaded = c_library("faulty-c/plugin.c", folder.path(), "loaded", &[&marks]);
    refused(text(&loaded));
    assert!(mark.exists());
}

#[test]
fn programs_get_the_parts() {
    let problems = refused("duo#Trio").problems();
    let told = serde_json::to_value(&problems).expect("JSON");
    assert_eq!(
        told[0]["message"],
        "the library has no backend of class `Trio`"
    );
    assert_eq!(told[0]["found"], "Trio");
    assert_eq!(
        told[0]["hint"],
        "name one of them: \"backend_class\": \"duo#Duo\""
    );
}
