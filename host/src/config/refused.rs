//! Keys that configurations for comparable servers have and this one refuses, each with its reason.
//! Owns the table; the refusing itself is the unknown-key fault of `check.rs`.

use crate::schema::child;

/// One known but refused key.
pub(super) struct Refused {
    /// The object it stands in; `*` stands for any name.
    parent: &'static str,
    key: &'static str,
    /// Why it has no meaning here.
    pub(super) reason: &'static str,
    /// What to do.
    pub(super) advice: &'static str,
}

/// The whole table; `docs/configuration.md` repeats it, held by a test.
pub(super) const TABLE: [Refused; 4] = [
    Refused {
        parent: "",
        key: "tools",
        reason: "names, descriptions and timeouts of tools come from their plugins",
        advice: "remove it; `resources.<name>.timeout` sets how long a backend's tools may run",
    },
    Refused {
        parent: "/resources/*",
        key: "stateless",
        reason: "whether a backend has sessions is decided by what its plugin can do",
        advice: "remove it",
    },
    Refused {
        parent: "/server",
        key: "cors",
        reason: "the origins of web pages belong to security",
        advice: "list them in `security.allowed_origins`",
    },
    Refused {
        parent: "/server",
        key: "rate_limit",
        reason: "the rate limit belongs to security",
        advice: "move it to `security.rate_limit`",
    },
];

impl Refused {
    /// The key as documentation writes it.
    pub(super) fn shown(&self) -> String {
        crate::schema::dotted(&child(self.parent, self.key)).replace('*', "<name>")
    }
}

/// The entry for `pointer`, if it is one of the refused keys.
pub(super) fn find(pointer: &str) -> Option<&'static Refused> {
    TABLE.iter().find(|refused| {
        let pattern = child(refused.parent, refused.key);
        let mut parts = pointer.split('/');
        pattern.split('/').all(|wanted| {
            parts
                .next()
                .is_some_and(|part| wanted == "*" || wanted == part)
        }) && parts.next().is_none()
    })
}

/// The table as the documentation prints it: key, reason, advice.
pub fn rows() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    TABLE
        .iter()
        .map(|refused| (refused.shown(), refused.reason, refused.advice))
}
