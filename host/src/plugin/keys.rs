//! The keys of a configuration's entries: each must be the name of its backend, for clients name it by that.
//! Owns which entry is in the wrong when several load a backend of one name; loads nothing.

use std::collections::{HashMap, HashSet};

use super::LoadError;

/// The entries of one configuration, held to the names of their backends one after the other.
#[derive(Debug)]
pub struct Keys<'a> {
    all: HashSet<&'a str>,
    /// The first entry that should have had the name, for each that no entry has.
    wanted: HashMap<String, String>,
}

impl<'a> Keys<'a> {
    /// All keys, those of entries that are switched off too: they too cannot be there twice.
    pub fn new(all: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            all: all.into_iter().collect(),
            wanted: HashMap::new(),
        }
    }

    /// Holds the entry `key` to the name of the backend that its `backend_class` loads.
    ///
    /// The entry that has the name is in the right, whatever others load.
    ///
    /// # Errors
    ///
    /// When it has another name, with advice that can be followed.
    pub fn check(&mut self, backend_class: &str, key: &str, name: &str) -> Result<(), LoadError> {
        if key == name {
            return Ok(());
        }
        let taken_by = if self.all.contains(name) {
            Some(name.to_owned())
        } else {
            let first = self.wanted.get(name).cloned();
            self.wanted
                .entry(name.to_owned())
                .or_insert_with(|| key.to_owned());
            first
        };
        let taken_by = taken_by.as_deref();
        Err(LoadError::other_key(backend_class, key, name, taken_by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(keys: &mut Keys<'_>, key: &str, name: &str) -> Option<String> {
        let error = keys.check("x", key, name).err()?;
        error.problems()[0].hint.clone()
    }

    #[test]
    fn who_has_the_name_is_right_and_is_not_to_be_pushed_aside() {
        let mut keys = Keys::new(["aaa", "echo"]);
        let told = hint(&mut keys, "aaa", "echo").unwrap();
        assert!(
            told.starts_with("`resources.echo` is there already"),
            "{told}"
        );
        assert_eq!(hint(&mut keys, "echo", "echo"), None);
    }

    #[test]
    fn two_without_the_name_are_not_both_told_to_take_it() {
        let mut keys = Keys::new(["one", "two"]);
        let told = hint(&mut keys, "one", "echo").unwrap();
        assert_eq!(told, "rename the entry to `resources.echo`");
        let told = hint(&mut keys, "two", "echo").unwrap();
        assert_eq!(
            told,
            "`resources.one` loads a backend called `echo` too: keep one of the two, as `resources.echo`"
        );
    }
}
