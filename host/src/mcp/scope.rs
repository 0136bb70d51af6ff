//! Which of the tools a client asked to see: by the path and the query of `/mcp`.

/// Patterns of names, `*` standing for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Patterns(Vec<Box<str>>);

impl Patterns {
    pub(super) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let patterns = patterns.into_iter().map(str::trim);
        Self(
            patterns
                .filter(|pattern| !pattern.is_empty())
                .map(Into::into)
                .collect(),
        )
    }

    /// Whether one of the names is meant; without patterns every name is.
    pub(super) fn allow(&self, names: &[&str]) -> bool {
        let meant = |pattern: &str| names.iter().any(|name| matches(pattern, name));
        self.0.is_empty() || self.0.iter().any(|pattern| meant(pattern))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<_> = rest.split('*').collect();
    // What follows the last star must be the end of the name; the others are taken as early as possible.
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(end)
}

/// What a client asked to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// The tools of this backend alone.
    pub(super) backend: Option<Box<str>>,
    /// These tools alone.
    pub(super) patterns: Patterns,
    /// Two tools to find and call the others with.
    pub(super) compact: bool,
}

impl Scope {
    /// Reads `?tools=…&compact=…`.
    pub(super) fn read(backend: Option<&str>, query: &str, compact: bool) -> Self {
        let mut scope = Self {
            backend: backend.map(Into::into),
            compact,
            ..Self::default()
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "tools" => scope.patterns = Patterns::new(value.split(',')),
                "compact" => scope.compact = !matches!(&*value, "false" | "0"),
                _ => {}
            }
        }
        scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, meant) in [
            ("bash_run", "bash_run", true),
            ("bash_run", "bash_runs", false),
            ("*", "", true),
            ("bash_*", "bash_run", true),
            ("bash_*", "bash", false),
            ("*_run", "bash_run", true),
            ("*_run", "bash_run_background", false),
            ("b*h_*n", "bash_run", true),
            ("b*h*h_*", "bash_run", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, name), meant, "{pattern} {name}");
        }
        assert!(Patterns::default().allow(&["anything"]));
        assert!(Patterns::new(["x", " bash:* "]).allow(&["bash_run", "bash:run"]));
    }

    #[test]
    fn the_query_narrows() {
        let scope = Scope::read(
            None,
            "tools=bash_*%2Crag%3Asearch&compact=true&other",
            false,
        );
        assert_eq!(scope.patterns, Patterns::new(["bash_*", "rag:search"]));
        assert!(scope.compact && scope.backend.is_none());
        assert_eq!(Scope::read(None, "", false), Scope::default());
        assert!(Scope::read(None, "tools=vm_*", true).compact);
        assert!(!Scope::read(Some("vm"), "compact=0", true).compact);
    }
}
