//! Folders of the browser's: its profile, and the downloads of each session in it.
//!
//! They lie in the server's own directory where there is one, which is removed even after `kill -9`.

use std::{
    env, fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use tempfile::{Builder, TempDir};

/// The environment variable that names the server's own directory.
const RUNTIME_DIR: &str = "SANDBOX_RUNTIME_DIR";

/// A folder that only the server and `user` can enter, removed when dropped.
pub(crate) fn folder(prefix: &str, user: Option<u32>) -> io::Result<TempDir> {
    let mut builder = Builder::new();
    builder
        .prefix(prefix)
        .permissions(fs::Permissions::from_mode(0o700));
    let folder = builder.tempdir_in(base(user))?;
    own(folder.path(), user)?;
    Ok(folder)
}

/// Makes a folder in one of these.
pub(crate) fn below(folder: &Path, name: &str, user: Option<u32>) -> io::Result<PathBuf> {
    let path = folder.join(name);
    fs::create_dir(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
    own(&path, user)?;
    Ok(path)
}

fn own(path: &Path, user: Option<u32>) -> io::Result<()> {
    user.map_or(Ok(()), |user| chown(path, Some(user), Some(user)))
}

/// The server's own directory, if `user` may pass through it.
fn base(user: Option<u32>) -> PathBuf {
    let own = env::var_os(RUNTIME_DIR)
        .map(PathBuf::from)
        .filter(|path| path.is_dir());
    own.filter(|path| user.is_none() || path.ancestors().all(is_passable))
        .unwrap_or_else(env::temp_dir)
}

fn is_passable(directory: &Path) -> bool {
    const SEARCH_BY_OTHERS: u32 = 0o001;
    directory.as_os_str().is_empty()
        || fs::metadata(directory).is_ok_and(|meta| meta.mode() & SEARCH_BY_OTHERS != 0)
}
