//! The settings of the Python server's `browser` that are others here, or none.

use sandbox_plugin_api::former::FormerKeys;

pub(crate) fn former() -> FormerKeys {
    FormerKeys::new()
        .renamed("viewport", "default_viewport")
        .needless("browser_type", ["chromium", "chrome"])
        .refused(
            "browser_type",
            "the browser is Chromium",
            "remove it; `executable` names another build of Chromium",
        )
}
