//! The route that reads a configuration file for a client.
//!
//! Only below the directory of the running configuration, links followed; and never a secret: what
//! stands for one in the file is masked, and placeholders stay what they are.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use sandbox_protocol::{ErrorKind, request::InitFromConfig, response::ConfigLoaded};
use serde_json::{Map, Value};
use tokio::task::spawn_blocking;

use super::job::{Done, Job};
use crate::{
    config::mask_secrets,
    failure::{Failure, internal},
};

/// The largest file that is read: no configuration comes near it.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// `POST /api/v1/init/from-config`.
pub(super) async fn load(job: Job<InitFromConfig>) -> Result<Done<ConfigLoaded>, Failure> {
    let Some(directory) = job.served.config_directory.clone() else {
        return Err(missing());
    };
    let path = PathBuf::from(job.request.config_path);
    let read = spawn_blocking(move || read(&directory, &path));
    let mut config = read.await.unwrap_or_else(|_| Err(internal()))?;
    merge(&mut config, job.request.override_params);
    Ok(Done::new(ConfigLoaded {
        config_loaded: true,
        config,
    }))
}

fn read(directory: &Path, path: &Path) -> Result<Map<String, Value>, Failure> {
    let directory = directory
        .canonicalize()
        .map_err(|error| unreadable(&error))?;
    let path = inside(&directory, path)?;
    let about = fs::metadata(&path).map_err(|error| unreadable(&error))?;
    if !about.is_file() {
        return Err(missing());
    }
    let wrong = |what: String| Failure::new(ErrorKind::Configuration, what);
    if about.len() > MAX_BYTES {
        return Err(wrong(format!("the file is larger than {MAX_BYTES} bytes")));
    }
    let text = fs::read(&path).map_err(|error| unreadable(&error))?;
    let mut value: Value = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("the file is not valid JSON: {error}")))?;
    mask_secrets(&mut value);
    match value {
        Value::Object(config) => Ok(config),
        _ => Err(wrong("the file does not hold a JSON object".to_owned())),
    }
}

/// Where `path` leads, if that is below `directory`, which is canonical.
///
/// What is outside is refused without telling whether it exists.
fn inside(directory: &Path, path: &Path) -> Result<PathBuf, Failure> {
    let path = directory.join(path);
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(outside());
    }
    // As much of the path as exists must be inside; only then may the rest be said to be missing.
    for existing in path.ancestors() {
        match existing.canonicalize() {
            Ok(real) if !real.starts_with(directory) => return Err(outside()),
            Ok(real) if existing == path => return Ok(real),
            Ok(_) => return Err(missing()),
            // A link that leads to nothing may lead to nothing outside.
            Err(_) if existing.is_symlink() => return Err(outside()),
            Err(_) => {}
        }
    }
    Err(outside())
}

fn outside() -> Failure {
    Failure::new(
        ErrorKind::Forbidden,
        "`config_path` must lead below the directory of the server's configuration",
    )
}

fn missing() -> Failure {
    Failure::new(
        ErrorKind::ConfigurationNotFound,
        "there is no such file below the directory of the server's configuration",
    )
}

fn unreadable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return missing();
    }
    tracing::warn!(%error, "a configuration file that a client asked for cannot be read");
    Failure::new(ErrorKind::Configuration, "the file cannot be read")
}

/// Lays `over` over the file, one level deep, where the file has the key.
fn merge(config: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (config.get_mut(&key), value) {
            (None, _) => {}
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (Some(old), new) => *old = new,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is not an object"),
        }
    }

    #[test]
    fn overrides_go_one_level_deep_and_add_no_keys() {
        let mut config = object(json!({"a": {"x": 1, "y": {"z": 1}}, "b": 1}));
        merge(
            &mut config,
            object(json!({"a": {"y": {}, "new": 2}, "b": {"c": 3}, "d": 4})),
        );
        assert_eq!(
            Value::Object(config),
            json!({"a": {"x": 1, "y": {}, "new": 2}, "b": {"c": 3}})
        );
    }

    #[cfg(unix)]
    #[test]
    fn no_path_leads_outside() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("etc");
        fs::create_dir_all(directory.join("sub")).unwrap();
        fs::write(root.path().join("secret.json"), "{}").unwrap();
        fs::write(directory.join("sub/a.json"), "{}").unwrap();
        symlink(root.path(), directory.join("up")).unwrap();
        symlink(
            root.path().join("nothing.json"),
            directory.join("dangling.json"),
        )
        .unwrap();
        symlink("sub/a.json", directory.join("link.json")).unwrap();
        let directory = directory.canonicalize().unwrap();
        let status =
            |path: &str| inside(&directory, path.as_ref()).map_or_else(|f| f.status, |_| 200);
        for fine in ["sub/a.json", "link.json", "./sub/a.json"] {
            assert_eq!(status(fine), 200, "{fine}");
        }
        assert_eq!(status(directory.join("sub/a.json").to_str().unwrap()), 200);
        for absent in ["b.json", "sub/b/c.json", ""] {
            let status = status(absent);
            assert!(status == 404 || absent.is_empty(), "{absent}: {status}");
        }
        for outside in [
            "../secret.json",
            "../nothing.json",
            "sub/../../secret.json",
            "up/secret.json",
            "up/nothing.json",
            "dangling.json",
            "/etc/passwd",
            "/nothing",
        ] {
            assert_eq!(status(outside), 403, "{outside}");
        }
    }
}
