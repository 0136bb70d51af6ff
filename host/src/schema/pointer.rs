//! JSON pointers (RFC 6901): making, comparing and showing them. Owns nothing else.

/// The pointer of the member or element `key` of what `parent` points to.
pub fn child(parent: &str, key: impl AsRef<str>) -> String {
    let key = key.as_ref().replace('~', "~0").replace('/', "~1");
    format!("{parent}/{key}")
}

/// The pointer of the parent and the unescaped last part; `None` for the whole document.
pub(crate) fn split(pointer: &str) -> Option<(&str, String)> {
    let (parent, last) = pointer.rsplit_once('/')?;
    Some((parent, unescape(last)))
}

/// Whether `pointer` is `ancestor` or something below it.
pub fn is_within(pointer: &str, ancestor: &str) -> bool {
    pointer
        .strip_prefix(ancestor)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The pointer as operators write it: `resources.bash.config.cwd`, `plugin_dirs[0]`.
pub fn dotted(pointer: &str) -> String {
    let mut shown = String::new();
    for part in pointer.split('/').skip(1) {
        let part = unescape(part);
        if part.chars().all(|c| c.is_ascii_digit()) && !part.is_empty() {
            shown.push('[');
            shown.push_str(&part);
            shown.push(']');
        } else {
            if !shown.is_empty() {
                shown.push('.');
            }
            shown.push_str(&part);
        }
    }
    shown
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}
