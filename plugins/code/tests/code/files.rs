//! The workspace by the tools that do not run programs.

use serde_json::{Value, json};

use super::{Session, backend, in_session, python};

fn write(session: &Session<'_>, path: &str, content: &str) -> Value {
    session
        .call("code:write", json!({"file_path": path, "content": content}))
        .unwrap()
}

fn read(session: &Session<'_>, path: &str) -> Value {
    session
        .call("code:read", json!({ "file_path": path }))
        .unwrap()
}

#[test]
fn what_is_written_is_read() {
    in_session(json!({"max_file_bytes": 20}), |session| {
        assert_eq!(
            write(session, "a/b/c.txt", "one\ntwo\nthree"),
            json!({"path": "a/b/c.txt", "bytes": 13})
        );
        assert_eq!(
            read(session, "/workspace/a/b/../b/c.txt"),
            json!({"content": "one\ntwo\nthree", "lines": 3, "total_lines": 3, "truncated": false, "total_bytes": 13})
        );
        let part = |offset, limit| {
            let params = json!({"file_path": "a/b/c.txt", "offset": offset, "limit": limit});
            let part = session.call("code:read", params).unwrap();
            (
                part["content"].as_str().unwrap().to_owned(),
                part["lines"].as_u64().unwrap(),
                part["total_lines"].as_u64().unwrap(),
            )
        };
        assert_eq!(part(2, 1), ("two\n".into(), 1, 3));
        assert_eq!(part(3, 9), ("three".into(), 1, 3));
        assert_eq!(part(4, 9), (String::new(), 0, 3));
        // Shorter than before, and empty.
        write(session, "a/b/c.txt", "x\n");
        assert_eq!(
            (
                &read(session, "a/b/c.txt")["content"],
                &read(session, "a/b/c.txt")["total_lines"]
            ),
            (&json!("x\n"), &json!(1))
        );
        write(session, "a/b/c.txt", "");
        assert_eq!(read(session, "a/b/c.txt")["total_lines"], 0);
        // Cut between characters.
        write(session, "long", &"é".repeat(15));
        let cut = read(session, "long");
        assert_eq!(
            (&cut["content"], &cut["truncated"], &cut["total_bytes"]),
            (&json!("é".repeat(10)), &json!(true), &json!(30))
        );
        // Programs own what the server wrote.
        let ran = python(
            session,
            "import os; open('a/b/c.txt','w').write('p'); open('a/new','w'); os.remove('long'); print(os.stat('a').st_uid)",
        );
        assert_eq!(ran["stdout"], "1000\n", "{ran}");
    });
}

#[test]
fn edits_change_what_was_meant_and_nothing_else() {
    in_session(json!({}), |session| {
        python(session, "open('f','wb').write(b'a b a \\xff end')");
        let edit = |old: &str, new: &str, all: bool| {
            session.call(
                "code:edit",
                json!({"file_path": "f", "old_string": old, "new_string": new, "replace_all": all}),
            )
        };
        for (old, new, word) in [
            ("a", "b", "2 times"),
            ("zz", "b", "does not hold"),
            ("", "b", "empty"),
            ("a", "a", "same"),
        ] {
            let failure = edit(old, new, false).unwrap_err();
            assert_eq!(failure.code, 1002);
            assert!(failure.message.contains(word), "{failure:?}");
        }
        assert_eq!(
            edit("b", "longer", false).unwrap(),
            json!({"path": "f", "replacements": 1})
        );
        assert_eq!(edit("a", "", true).unwrap()["replacements"], 2);
        let ran = python(session, "print(open('f','rb').read())");
        assert_eq!(ran["stdout"], "b' longer  \\xff end'\n");
        let failure = session
            .call(
                "code:edit",
                json!({"file_path": "none", "old_string": "a", "new_string": "b"}),
            )
            .unwrap_err();
        assert_eq!(
            (failure.code, &failure.data["pointer"]),
            (1002, &json!("/file_path"))
        );
    });
}

#[test]
fn files_are_found_by_name() {
    in_session(json!({"max_results": 3}), |session| {
        let code = "import os
os.makedirs('src/deep'); os.symlink('/usr', 'usr'); os.symlink('src', 'again')
for i, f in enumerate(['src/a.py', 'src/deep/b.py', 'c.py', 'd.txt', '.hidden.py']):
    open(f, 'w').write('x'); os.utime(f, (i, i))";
        python(session, code);
        let glob = |pattern: &str, path: &str| {
            session
                .call("code:glob", json!({"pattern": pattern, "path": path}))
                .unwrap()
        };
        assert_eq!(glob("*.py", "")["files"], json!([".hidden.py", "c.py"]));
        assert_eq!(
            glob("**/*.py", ""),
            json!({"files": [".hidden.py", "c.py", "src/deep/b.py"], "truncated": true})
        );
        assert_eq!(
            glob("**/*.py", "src"),
            json!({"files": ["src/deep/b.py", "src/a.py"], "truncated": false})
        );
        assert_eq!(
            glob("{c,d}.*", "/workspace")["files"],
            json!(["d.txt", "c.py"])
        );
        assert_eq!(glob("usr/**", "")["files"], json!([]));
        let failure = session
            .call("code:glob", json!({"pattern": "a{", "path": ""}))
            .unwrap_err();
        assert_eq!(failure.data["pointer"], "/pattern");
        let failure = session
            .call("code:glob", json!({"pattern": "*", "path": "nowhere"}))
            .unwrap_err();
        assert_eq!(
            (failure.code, &failure.data["pointer"]),
            (1002, &json!("/path"))
        );
    });
}

#[test]
fn lines_are_found_by_what_they_hold() {
    in_session(json!({"max_results": 4}), |session| {
        write(session, "a.py", "def one():\n    pass\ndef two(): pass\n");
        write(session, "sub/b.py", "def three(): pass\r\nx = 'é'\n");
        write(session, "sub/c.txt", "def four\n");
        python(
            session,
            "open('bin','wb').write(b'def \\0 five\\n'); open('long','w').write('y' * 5000 + '\\n')",
        );
        let grep = |params: Value| session.call("code:grep", params).unwrap();
        assert_eq!(
            grep(json!({"pattern": "def (one|three)"})),
            json!({"matches": [
                {"path": "a.py", "line": 1, "text": "def one():"},
                {"path": "sub/b.py", "line": 1, "text": "def three(): pass"},
            ], "truncated": false})
        );
        assert_eq!(
            grep(json!({"pattern": "def", "glob": "*.txt"}))["matches"][0]["path"],
            "sub/c.txt"
        );
        assert_eq!(
            grep(json!({"pattern": "def", "path": "sub/b.py"}))["matches"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
        assert_eq!(grep(json!({"pattern": "."}))["truncated"], true);
        assert_eq!(
            grep(json!({"pattern": "y+"}))["matches"][0]["text"]
                .as_str()
                .unwrap()
                .len(),
            500
        );
        let failure = session
            .call("code:grep", json!({"pattern": "("}))
            .unwrap_err();
        assert_eq!(
            (failure.code, &failure.data["pointer"]),
            (1002, &json!("/pattern"))
        );
    });
}

#[test]
fn a_full_workspace_is_said_so_and_can_be_emptied() {
    in_session(
        json!({"workspace_size": "1m", "workspace_files": 40}),
        |session| {
            write(session, "kept", "before");
            python(
                session,
                "f = open('large', 'wb')\ntry:\n    while True: f.write(b'x' * 4096); f.flush()\nexcept OSError: pass",
            );
            let params = json!({"file_path": "kept", "content": "y".repeat(100_000)});
            let failure = session.call("code:write", params).unwrap_err();
            assert_eq!(failure.code, 1007, "{failure:?}");
            assert!(failure.message.contains("full"), "{failure:?}");
            assert_eq!(
                read(session, "kept")["content"],
                "before",
                "a write that failed cost what was there"
            );
            // Programs of every language still run, and can make room.
            for (language, code) in [
                ("javascript", "console.log(1)"),
                ("bash", "echo 1"),
                ("python", "print(1); import os; os.remove('large')"),
            ] {
                let ran = session
                    .call("code:execute", json!({"language": language, "code": code}))
                    .unwrap();
                assert_eq!(ran["stdout"], "1\n", "{ran}");
            }
            let code = "import os\nn = 0\ntry:\n    while n < 1000: open(f'f{n}', 'w').close(); n += 1\nexcept OSError as e: print(e.errno == 28, n < 40)";
            assert_eq!(python(session, code)["stdout"], "True True\n");
        },
    );
}

#[test]
fn a_source_directory_is_copied_from_the_allowed_roots_only() {
    let base = tempfile::tempdir().unwrap();
    let root = base.path().join("root");
    std::fs::create_dir_all(root.join("project/pkg")).unwrap();
    std::fs::write(root.join("project/pkg/mod.py"), "A = 1").unwrap();
    std::fs::write(root.join("project/run.sh"), "#!/bin/sh\necho ran").unwrap();
    std::fs::set_permissions(
        root.join("project/run.sh"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    std::fs::write(base.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(base.path().join("secret"), root.join("project/link")).unwrap();
    std::os::unix::fs::symlink(base.path(), root.join("out")).unwrap();
    let kit = backend(json!({"source_roots": [root]}));
    for source in [json!(root.join("project")), json!("project")] {
        let session = kit
            .session("worker", json!({ "source_dir": source }))
            .unwrap();
        let ran = session
            .call(
                "code:bash",
                json!({"command": "find . -type f | sort; cat link; ./run.sh"}),
            )
            .unwrap();
        assert_eq!(ran["stdout"], "./pkg/mod.py\n./run.sh\nran\n", "{ran}");
        session.close().unwrap();
    }
    for source in [
        base.path().join("root/../"),
        base.path().into(),
        root.join("out"),
        root.join("none"),
        "..".into(),
        "/etc".into(),
    ] {
        let failure = kit.session("worker", json!({ "source_dir": source })).err();
        let failure = failure.unwrap_or_else(|| panic!("{} was copied", source.display()));
        assert_eq!(failure.code, 1006, "{failure:?}");
        assert!(
            !failure.message.contains(&*base.path().to_string_lossy()),
            "{failure:?}"
        );
    }
    kit.shutdown().unwrap();
}
