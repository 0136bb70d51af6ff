//! The one place that reads the process's environment. Everything else is handed an [`Environment`],
//! so that tests choose one without touching the process.

use std::{collections::HashMap, fmt};

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A source of environment variables.
pub struct Environment(Box<Lookup>);

impl Environment {
    /// The environment of this process. A variable that is not UTF-8 counts as unset: JSON cannot hold it.
    pub fn process() -> Self {
        Self(Box::new(|name| std::env::var(name).ok()))
    }

    /// An environment without any variable.
    pub fn empty() -> Self {
        Self(Box::new(|_| None))
    }

    /// The value of `name`, if it is set.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let variables: HashMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self(Box::new(move |name| variables.get(name).cloned()))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may be secrets.
        f.write_str("Environment")
    }
}
