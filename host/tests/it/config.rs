//! The configuration as operators meet it: what they read when it is wrong, and what holds when it is right.

use std::{fs, path::PathBuf, time::Duration};

use proptest::prelude::*;
use sandbox::{
    config::{
        Config, ConfigError, Environment, Host, Loaded, LogLevel, Origins, check_against, render,
    },
    schema::Checker,
};
use serde_json::{Value, json};

mod documentation;
mod published;

fn load(text: &str) -> Result<Loaded, ConfigError> {
    load_with(text, [])
}

fn load_with<const N: usize>(
    text: &str,
    environment: [(&str, &str); N],
) -> Result<Loaded, ConfigError> {
    let environment = Environment::from_iter(environment);
    Config::read(
        "config.json",
        PathBuf::from("/etc/sandbox"),
        text.as_bytes().to_vec(),
        &environment,
    )
}

fn good(text: &str) -> Loaded {
    load(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The diagnostics of a configuration that is refused, one line each.
fn faults(text: &str) -> Vec<String> {
    let error = load(text).expect_err("it should be refused");
    error
        .diagnostics()
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn notes(loaded: &Loaded) -> Vec<String> {
    loaded.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn an_operator_reads_every_mistake_at_once() {
    let text = r#"{
  "_comment": "six mistakes",
  "server": {
    "prot": 18890,
    "session_ttl": "five minutes",
    "limits": { "max_body_bytes": 12 }
  },
  "resources": {
    "bash": { "backend_class": "bash", "config": { "cwd": "${BASH_HOME}" } },
    "rag": { "enabled": true, "stateless": true }
  },
  "warmup": { "resources": ["rga"] },
  "log_level": "INFO"
}
"#;
    let error = load(text).expect_err("it should be refused");
    insta::assert_snapshot!("six_mistakes", error.to_string());
    insta::assert_json_snapshot!("six_mistakes_as_json", error.diagnostics());
}

#[test]
fn text_that_is_not_json_is_refused_with_its_place() {
    let cases = [
        "{\n  // no comments\n}",
        "{ \"server\": {}, }",
        "{ 'server': {} }",
        "{ \"server\": { \"port\": 0x10 } }",
        "{ \"server\": { \"session_ttl\": NaN } }",
        "{ \"server\": { \"session_ttl\": 1e999 } }",
        "{ \"server\": {} \"apis\": {} }",
        "{} {}",
        "",
        "{ \"server\": { \"title\": \"a\tb\" } }",
        "{\u{a0}}",
    ];
    let said: Vec<String> = cases.into_iter().flat_map(faults).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn bytes_that_are_not_text_are_refused_with_their_place() {
    let bytes = b"{\n \"server\": \xff }".to_vec();
    let error = Config::read("c.json", PathBuf::new(), bytes, &Environment::empty()).unwrap_err();
    assert_eq!(
        error.diagnostics()[0].to_string(),
        "c.json:2:12: the file is not UTF-8; save it as UTF-8"
    );
}

#[test]
fn a_byte_order_mark_is_no_fault() {
    good("\u{feff}{}");
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    assert_eq!(
        faults("{\"server\": {\"port\": 1,\n \"port\": 2}}"),
        [
            "config.json:2:2: the key `server.port` stands here twice; `port` stands in line 1 already; keep one of them"
        ]
    );
}

#[test]
fn the_smallest_configuration_has_every_default() {
    let config = good("{}").config;
    assert_eq!(config.server.host, "127.0.0.1".parse().unwrap());
    assert_eq!(config.server.port, 18890);
    assert_eq!(config.server.session_ttl, Duration::from_mins(5));
    assert_eq!(config.server.log_level, LogLevel::Info);
    assert_eq!(config.server.limits.max_body_bytes, 32 << 20);
    assert!(config.server.plugin_threads >= 1 && config.server.plugin_threads <= 4);
    assert!(config.security.keys.is_empty());
    assert_eq!(config.security.rate_limit, None);
    assert!(
        !config
            .security
            .allowed_origins
            .allows("https://example.org")
    );
}

#[test]
fn keys_for_readers_are_dropped_at_every_level() {
    let loaded = good(
        r#"{"$schema": "x", "_a": {"deep": [1]}, "server": {"_b": 1}, "resources": {"_c": "text",
            "bash": {"backend_class": "bash", "$d": 1, "config": {"_e": "${UNSET}", "list": [{"_f": 1}]}}}}"#,
    );
    let bash = &loaded.config.resources["bash"];
    assert_eq!(Value::Object(bash.config.clone()), json!({"list": [{}]}));
    assert_eq!(loaded.config.resources.len(), 1);
}

#[test]
fn a_key_that_looks_like_an_include_is_a_comment_and_says_so() {
    let loaded = good(r#"{"$include": {"server": "x.json"}}"#);
    assert_eq!(
        notes(&loaded),
        [
            "config.json:1:2: `$include` is a comment here: no other file is read; \
          write the settings into this file; `${VAR}` fills in what differs"
        ]
    );
}

#[test]
fn the_environment_fills_strings_numbers_and_truth_values() {
    let text = r#"{"server": {"port": "${PORT}", "session_ttl": "${TTL:-1.5}", "title": "on ${NAME:-here}"},
        "resources": {"bash": {"backend_class": "bash", "enabled": "${BASH:-false}"}},
        "apis": {"web": {"api_key": "${KEY}", "retries": "${RETRIES}"}}}"#;
    let environment = [
        ("PORT", "4000"),
        ("KEY", "k"),
        ("RETRIES", "5"),
        ("NAME", ""),
    ];
    let config = load_with(text, environment)
        .unwrap_or_else(|error| panic!("{error}"))
        .config;
    assert_eq!(config.server.port, 4000);
    assert_eq!(config.server.session_ttl, Duration::from_millis(1500));
    assert_eq!(config.server.title, "on here");
    assert!(!config.resources["bash"].enabled);
    // Nothing says yet that it is a number: the schema of the plugin that reads it does.
    assert_eq!(
        Value::Object(config.apis["web"].clone()),
        json!({"api_key": "k", "retries": "5"})
    );
}

#[test]
fn a_variable_that_is_not_set_is_named_with_file_line_and_key() {
    assert_eq!(
        faults("{\"apis\": {\n  \"web\": {\"api_key\": \"${WEB_KEY}\"}}}"),
        [
            "config.json:2:22: `apis.web.api_key`: the environment variable `WEB_KEY` is not set; \
          set it, or give a default: ${WEB_KEY:-default}"
        ]
    );
    assert_eq!(faults(r#"{"server": {"port": "${PORT}"}}"#).len(), 1);
}

#[test]
fn a_resource_that_is_switched_off_may_name_variables_that_are_not_set() {
    let loaded = good(
        r#"{"resources": {"vm": {"enabled": false, "backend_class": "vm", "timeout": "${T}",
            "config": {"vm_path": "${VM_IMAGE_PATH}"}}},
            "security": {"auth": {"enabled": false, "type": "api_key", "api_key": "${SANDBOX_API_KEY}"}}}"#,
    );
    assert!(!loaded.config.resources["vm"].enabled);
    assert!(loaded.config.security.keys.is_empty());
}

#[test]
fn the_value_of_a_variable_is_never_repeated_in_a_message() {
    let error = load_with(r#"{"server": {"port": "${PORT}"}}"#, [("PORT", "hunter2")]).unwrap_err();
    let said = render(&error.diagnostics(), false);
    assert!(
        said.contains("server.port") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn the_line_of_a_wrong_secret_is_not_repeated() {
    let error = load(r#"{"security": {"auth": {"api_key": ["hunter2"]}}}"#).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("config.json:1:35") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn url_supplies_or_confirms_the_address() {
    let server = |text: &str| good(&format!("{{\"server\": {text}}}")).config.server;
    let from_url = server(r#"{"url": "http://127.0.0.1:18891"}"#);
    assert_eq!(
        (from_url.port, from_url.client_url().as_str()),
        (18891, "http://127.0.0.1:18891")
    );
    let both = server(r#"{"url": "http://localhost:7/", "port": 7}"#);
    assert_eq!(both.host, Host::Name("localhost".to_owned()));
    let proxied = server(r#"{"url": "https://tools.example.org", "port": 7}"#);
    assert_eq!(
        (proxied.host.to_string().as_str(), proxied.port),
        ("127.0.0.1", 7)
    );
    assert_eq!(proxied.client_url(), "https://tools.example.org");
    assert_eq!(
        server(r#"{"host": "::1", "port": 7}"#).client_url(),
        "http://[::1]:7"
    );
    assert_eq!(
        server(r#"{"host": "0.0.0.0"}"#).client_url(),
        "http://127.0.0.1:18890"
    );
    assert_eq!(
        faults(r#"{"server": {"url": "http://127.0.0.1:1", "port": 2}}"#),
        [
            "config.json:1:20: `server.url` says port 1, but the server listens on port 2; \
          make them the same, or leave one of them out"
        ]
    );
    for wrong in [
        "127.0.0.1:1",
        "ftp://a",
        "http://u:p@a",
        "http://a?b",
        "http://999.0.0.1",
    ] {
        assert_eq!(
            faults(&format!("{{\"server\": {{\"url\": \"{wrong}\"}}}}")).len(),
            1,
            "{wrong}"
        );
    }
}

#[test]
fn the_command_line_holds_before_the_file() {
    let mut loaded = good(r#"{"server": {"url": "http://127.0.0.1:1"}}"#);
    loaded.override_listen(None, Some(2));
    assert_eq!(loaded.config.server.client_url(), "http://127.0.0.1:2");
}

#[test]
fn other_machines_are_let_in_only_with_keys_or_in_so_many_words() {
    let open = good("{\"server\": {\n  \"host\": \"0.0.0.0\"}}");
    let refusal = open.check_exposure(false).unwrap_err();
    assert!(
        refusal
            .to_string()
            .starts_with("config.json:2:11: listening on 0.0.0.0"),
        "{refusal}"
    );
    open.check_exposure(true).unwrap();
    good("{}").check_exposure(false).unwrap();

    let text =
        r#"{"server": {"host": "0.0.0.0"}, "security": {"auth": {"api_key": "0123456789abcdef"}}}"#;
    good(text).check_exposure(false).unwrap();

    let mut told = good("{}");
    told.override_listen(Some("192.0.2.1".parse().unwrap()), None);
    assert_eq!(told.check_exposure(false).unwrap_err().location, None);
}

#[test]
fn warmup_names_enabled_resources_alone() {
    let text = |warmup: &str| {
        format!(
            r#"{{"resources": {{"bash": {{"backend_class": "bash"}},
                "vm": {{"backend_class": "vm", "enabled": false}}}}, "warmup": {warmup}}}"#
        )
    };
    assert_eq!(
        good(&text(r#"{"resources": ["bash"]}"#)).config.warmup,
        ["bash"]
    );
    assert!(
        good(&text(r#"{"enabled": false, "resources": ["bash", "vm"]}"#))
            .config
            .warmup
            .is_empty()
    );
    let said = faults(&text(r#"{"resources": ["bsh", "vm"]}"#)).join("\n");
    assert!(
        said.contains("`bsh`, which is no resource; did you mean `bash`?"),
        "{said}"
    );
    assert!(said.contains("`vm`, which is not enabled"), "{said}");
}

#[test]
fn keys_come_from_the_file_from_a_file_or_as_a_digest() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ops.key"), "file-key-0123456789\n").unwrap();
    let text = r#"{"security": {"auth": {"api_key": "plain-key-0123456789", "keys": [
        {"name": "ops", "key_file": "ops.key", "admin": true},
        {"name": "ci", "sha256": "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"}]}}}"#;
    let path = folder.path().join("config.json");
    fs::write(&path, text).unwrap();
    let loaded =
        Config::load(&path, &Environment::empty()).unwrap_or_else(|error| panic!("{error}"));
    let keys: Vec<_> = loaded
        .config
        .security
        .keys
        .iter()
        .map(|key| (key.name.as_str(), key.digest, key.admin))
        .collect();
    let digest = sandbox::config::ApiKey::digest_of;
    assert_eq!(
        keys,
        [
            ("default", digest("plain-key-0123456789"), true),
            ("ops", digest("file-key-0123456789"), true),
            ("ci", digest("test"), false),
        ]
    );
    let shown = loaded.effective().to_string();
    assert!(!shown.contains("0123456789"), "{shown}");
}

#[test]
fn keys_that_say_too_little_or_too_much_are_refused() {
    let said = faults(
        r#"{"security": {"auth": {"keys": [
            {"name": "a", "key": "0123456789abcdef0"}, {"name": "a", "key": "another-0123456789"},
            {"name": "b", "key": "0123456789abcdef0"}, {"name": "c"},
            {"name": "d", "key": "x", "key_file": "y"}, {"name": "e", "key_file": "absent"}]}}}"#,
    )
    .join("\n");
    for fault in [
        "two keys have the name `a`",
        "the keys `a` and `b` are the same",
        "the key `c` needs exactly one of",
        "the key `d` needs exactly one of",
        "the key file `absent` cannot be used",
    ] {
        assert!(said.contains(fault), "{fault} is not in:\n{said}");
    }
    assert!(faults(r#"{"security": {"auth": {"enabled": true}}}"#)[0].contains("there is no key"));
}

#[test]
fn rate_limits_in_both_spellings() {
    let limit = |text: &str| {
        let text = format!("{{\"security\": {{\"rate_limit\": {text}}}}}");
        good(&text)
            .config
            .security
            .rate_limit
            .map(|limit| (limit.requests, limit.per.as_secs(), limit.burst))
    };
    assert_eq!(
        limit(r#"{"enabled": true, "requests_per_minute": 100}"#),
        Some((100, 60, 100))
    );
    assert_eq!(
        limit(r#"{"requests": 5, "per": 2, "burst": 9}"#),
        Some((5, 2, 9))
    );
    assert_eq!(
        limit(r#"{"enabled": false, "requests_per_minute": 100}"#),
        None
    );
    assert_eq!(limit("null"), None);
    assert_eq!(faults(r#"{"security": {"rate_limit": {}}}"#).len(), 1);
    assert_eq!(
        faults(r#"{"security": {"rate_limit": {"requests": 1, "requests_per_minute": 1}}}"#).len(),
        1
    );
}

#[test]
fn origins_are_compared_as_browsers_send_them() {
    let loaded = good(
        r#"{"security": {"allowed_origins": ["https://App.example.org", "http://localhost:3000"]}}"#,
    );
    let origins = &loaded.config.security.allowed_origins;
    assert!(origins.allows("https://app.example.org") && origins.allows("http://localhost:3000"));
    assert!(!origins.allows("http://app.example.org") && !origins.allows("null"));
    for wrong in ["https://a/", "https://a/b", "a.example.org", "null"] {
        assert_eq!(
            faults(&format!(
                "{{\"security\": {{\"allowed_origins\": [\"{wrong}\"]}}}}"
            ))
            .len(),
            1
        );
    }
    let any = good(r#"{"security": {"allowed_origins": ["*"]}}"#);
    assert_eq!(any.config.security.allowed_origins, Origins::ANY);
    assert!(notes(&any)[0].contains("every web page"));
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let loaded = good(r#"{"server": {"plugin_dirs": ["plugins", "/opt/plugins"]}}"#);
    let folders: Vec<_> = loaded
        .config
        .server
        .plugin_dirs
        .iter()
        .map(|dir| dir.to_str().unwrap())
        .collect();
    assert_eq!(folders, ["/etc/sandbox/plugins", "/opt/plugins"]);
}

#[test]
fn settings_of_a_plugin_are_checked_where_they_stand() {
    let text = r#"{"resources": {"rag": {"backend_class": "rag", "config": {
      "index_path": "./data/rag", "top_k": "${TOP_K}",
      "chunk_size": 12, "device": 3}}}}"#;
    let loaded = load_with(text, [("TOP_K", "7")]).unwrap_or_else(|error| panic!("{error}"));
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["corpus_path"],
        "properties": {
            "index_path": {"type": "string", "format": "path"},
            "corpus_path": {"type": "string"},
            "top_k": {"type": "integer"},
            "chunk_tokens": {"type": "integer"},
            "chunk_sizes": {"type": "integer"},
            "device": {"type": ["string", "null"]},
        },
    });
    let checker = Checker::compile(schema).unwrap();
    let outcome = check_against(&checker, &loaded.document, "/resources/rag/config");
    assert_eq!(outcome.value["top_k"], 7);
    assert_eq!(outcome.value["index_path"], "/etc/sandbox/data/rag");
    let mut said: Vec<String> = outcome
        .diagnostics
        .iter()
        .map(ToString::to_string)
        .collect();
    said.sort();
    assert_eq!(
        said,
        [
            "config.json:1:48: missing key `corpus_path` in `resources.rag.config`: expected a string",
            "config.json:3:35: `resources.rag.config.device`: expected a string or null, found the number 3",
            "config.json:3:7: unknown key `chunk_size` in `resources.rag.config`; did you mean `chunk_sizes`?",
        ]
    );
}

/// What becomes of a configuration of `bash` whose plugin once had other keys: what it takes, and what is said.
fn with_former_keys(config: &str) -> (Value, Vec<String>) {
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "default_cwd": {"type": "string", "format": "path"},
            "default_timeout": {"type": "number"},
            "provider": {"enum": ["display", "qemu"]},
        },
        "x-former": {
            "cwd": {"now": "default_cwd"},
            "timeout": {"now": "default_timeout"},
            "kind": {"now": "provider"},
            "provider": {"advice": "write \"qemu\""},
            "proxy": {"needless": [false, null], "reason": "there is none", "advice": "remove it and rest"},
            "password": {"note": "nobody asks for it"},
            "default_cwd": {"needless": [""]},
        },
    });
    let text = format!(
        "{{\"resources\": {{\"bash\": {{\"backend_class\": \"bash\", \"config\":\n{config}}}}}}}"
    );
    let loaded = load_with(&text, [("SECONDS", "30"), ("NO", "false")])
        .unwrap_or_else(|error| panic!("{error}"));
    let checker = Checker::compile(schema).unwrap();
    let outcome = check_against(&checker, &loaded.document, "/resources/bash/config");
    let said = outcome.diagnostics.iter();
    let said = said.map(|one| format!("{:?} {one}", one.severity));
    (outcome.value, said.collect())
}

#[test]
fn former_keys_that_mean_something_reach_the_plugin_under_the_names_it_knows() {
    let (value, said) = with_former_keys(
        r#"{"cwd": "work", "timeout": "${SECONDS}", "kind": "qemu", "proxy": "${NO}"}"#,
    );
    assert_eq!(
        value,
        json!({"default_cwd": "/etc/sandbox/work", "default_timeout": 30, "provider": "qemu"})
    );
    assert_eq!(said, [""; 0]);
    let (value, said) = with_former_keys(r#"{"default_cwd": "", "proxy": null}"#);
    assert_eq!((value, said), (json!({}), vec![]));
}

#[test]
fn former_keys_without_effect_are_noted_and_do_not_reach_the_plugin() {
    let (value, said) = with_former_keys(r#"{"password": "hunter2"}"#);
    assert_eq!(value, json!({}));
    assert_eq!(
        said,
        [
            "Note config.json:2:2: `resources.bash.config.password` has no effect: nobody asks for it; remove it"
        ]
    );
}

#[test]
fn former_keys_that_mean_nothing_are_refused_with_reason_and_advice() {
    let (_, said) = with_former_keys(
        r#"{"proxy": true, "provider": "docker",
 "timeout": "soon", "cwd": "/a", "default_cwd": "/b", "image": 1}"#,
    );
    assert_eq!(
        said,
        [
            "Error config.json:2:2: `resources.bash.config.proxy` is not used here: there is none; remove it and rest",
            "Error config.json:2:29: `resources.bash.config.provider`: expected `display` or `qemu`, found the string \"docker\"; write \"qemu\"",
            "Error config.json:3:13: `resources.bash.config.timeout`: expected a number, found the string \"soon\"",
            "Error config.json:3:21: `resources.bash.config.cwd` and `default_cwd` are the same setting under two names; keep `default_cwd`, and remove `cwd`",
            "Error config.json:3:55: unknown key `image` in `resources.bash.config`; known here: default_cwd, default_timeout, provider",
        ]
    );
    let (_, said) = with_former_keys(r#"{"kind": "docker"}"#);
    assert_eq!(
        said,
        [
            "Error config.json:2:10: `resources.bash.config.kind`: expected `display` or `qemu`, found the string \"docker\"; write \"qemu\""
        ]
    );
}

#[test]
fn a_file_written_for_the_python_server_works_as_it_stands() {
    let text = r#"{
        "$schema": "production",
        "server": {"url": "http://127.0.0.1:18890", "port": 18890, "title": "T", "description": "D",
            "session_ttl": 600, "cleanup_interval": 60, "log_level": "DEBUG"},
        "resources": {
            "_comment": "heavy",
            "rag": {"enabled": true, "description": "d",
                "backend_class": "sandbox.server.backends.resources.rag.RAGBackend",
                "config": {"_comment_device": ["cpu", "cuda:0"], "device": "${RAG_DEVICE:-cuda:0}",
                    "batcher_max_wait_time": 0.05}}},
        "apis": {"websearch": {"_comment": "c", "serper_api_key": "${SERPER:-none}", "retry_times": 5}},
        "warmup": {"enabled": true, "resources": ["rag"]},
        "security": {"allowed_origins": ["*"],
            "rate_limit": {"enabled": true, "requests_per_minute": 100},
            "auth": {"enabled": false, "type": "api_key", "api_key": "${SANDBOX_API_KEY}"}}}"#;
    let loaded = good(text);
    assert_eq!(loaded.config.warmup, ["rag"]);
    assert_eq!(loaded.config.resources["rag"].config["device"], "cuda:0");
    assert_eq!(
        loaded.config.resources["rag"].session_ttl,
        Duration::from_mins(10)
    );
    let said = notes(&loaded).join("\n");
    assert!(
        said.contains("`server.cleanup_interval` has no effect"),
        "{said}"
    );
    assert!(said.contains("`apis.websearch` has no effect"), "{said}");
    assert_eq!(loaded.notes.len(), 3, "{said}");
}

#[test]
fn a_secret_beside_a_mistake_is_not_printed() {
    for text in [
        r#"{"security": {"auth": {"keys": [{"name": "a", "key": "hush-hush-hush-hush", "admn": true}]}}}"#,
        r#"{"security": {"auth": {"api_key": "hush-hush-hush-hush", "api_key": "another"}}}"#,
        r#"{"apis": {"web": "hush-hush-hush-hush"}}"#,
        r#"{"apis": {"web": {"serper": "hush-hush-hush-hush"}}, "server": {"prot": 1}}"#,
    ] {
        let said = load(text).unwrap_err().to_string();
        assert!(
            said.contains("config.json:1:") && !said.contains("hush"),
            "{said}"
        );
    }
    let said = load("{\"server\": {\"prot\": 1}}").unwrap_err().to_string();
    assert!(said.contains("{\"prot\": 1}"), "{said}");
}

#[test]
fn what_came_from_the_environment_is_not_repeated() {
    let text = r#"{"server": {"host": "${A}", "url": "http://${A}/", "port": "${A}"}, "warmup": {"resources": ["${A}"]},
        "security": {"allowed_origins": ["${A}"]}}"#;
    let said = load_with(text, [("A", "hu sh")]).unwrap_err().to_string();
    assert!(
        said.contains("5 errors") && !said.contains("hu sh"),
        "{said}"
    );
}

#[test]
fn a_whole_number_is_one_however_it_is_written() {
    let config = good(r#"{"server": {"port": 8080.0, "limits": {"max_body_bytes": 1e9}}}"#).config;
    assert_eq!(
        (config.server.port, config.server.limits.max_body_bytes),
        (8080, 1_000_000_000)
    );
}

#[test]
fn contradictions_are_refused() {
    for (text, said) in [
        (
            r#"{"server": {"url": "http://127.0.0.1:99999"}}"#,
            "`99999` is not a port",
        ),
        (
            r#"{"server": {"host": "::1", "url": "http://127.0.0.1:1"}}"#,
            "says 127.0.0.1",
        ),
        (
            r#"{"security": {"allowed_origins": ["https://a.example:443"]}}"#,
            "write `https://a.example`",
        ),
        (
            r#"{"security": {"rate_limit": {"requests_per_minute": 1, "per": 2}}}"#,
            "per minute already",
        ),
        (
            r#"{"security": {"auth": {"api_key": "a key with spaces in it"}}}"#,
            "no client can send",
        ),
    ] {
        let faults = faults(text);
        assert!(
            faults.len() == 1 && faults[0].contains(said),
            "{text}: {faults:?}"
        );
    }
}

#[test]
fn what_is_shown_has_no_secrets() {
    let text = r#"{"resources": {"vm": {"backend_class": "vm", "config": {"env": {"PAT": "${SERPER}"},
            "client_password": "open sesame", "model": "${MODEL}", "max_tokens": 5,
            "db": "postgres://me:pw@db/x"}}},
        "apis": {"web": {"serper": "${SERPER}", "jina_api_key": "jina", "retries": 3}}}"#;
    let loaded =
        load_with(text, [("MODEL", "m"), ("SERPER", "s3cret")]).unwrap_or_else(|e| panic!("{e}"));
    let mut shown = loaded.effective();
    shown["server"]["plugin_threads"] = json!("as many as cores, at most 4");
    insta::assert_json_snapshot!(shown);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load("no/such/config.json".as_ref(), &Environment::empty()).unwrap_err();
    let said = error.diagnostics()[0].to_string();
    assert!(
        said.starts_with("cannot read the configuration no/such/config.json: No such file"),
        "{said}"
    );
}

#[test]
fn the_configuration_in_the_repository_is_right() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config.json");
    let loaded = Config::load(path.as_ref(), &Environment::empty())
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(loaded.notes.is_empty(), "{:?}", notes(&loaded));
    loaded.check_exposure(false).unwrap();
}

proptest! {
    #[test]
    fn no_bytes_make_the_loader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        attempt(bytes);
    }

    #[test]
    fn no_text_of_json_signs_makes_the_loader_panic(
        text in r#"([\[\]{}:,"\\ \n\t$0-9eE.+-]|server|port|null|true|\$\{A|\}|:-|_|\\u[dD][89a-f]00|é|世){0,60}"#
    ) {
        attempt(text.into_bytes());
    }

    #[test]
    fn no_value_for_any_key_makes_the_loader_panic(
        section in "server|resources|apis|warmup|security",
        key in "host|port|url|limits|plugin_dirs|enabled|resources|auth|rate_limit|allowed_origins|x",
        value in r#"(-?[0-9]{1,30}|"[^"\\\x00-\x1f]{0,12}"|null|true|\[\]|\{\}|\["[a-z*:/.\[\]]{0,9}"\]|\{"[a-z_]{1,6}":1e9\})"#,
    ) {
        attempt(format!("{{\"{section}\": {{\"{key}\": {value}}}}}").into_bytes());
    }
}

/// Loads and shows whatever comes out: both must end without a panic.
fn attempt(bytes: Vec<u8>) {
    match Config::read(
        "c.json",
        PathBuf::from("/x"),
        bytes,
        &Environment::from_iter([("A", "1")]),
    ) {
        Ok(loaded) => drop(loaded.effective()),
        Err(error) => drop(render(&error.diagnostics(), true)),
    }
}
