//! How sessions are called.

use std::fmt;

/// How many characters of a worker's or a custom name a session's name keeps.
const MAX_PART: usize = 32;

/// The name of a session: `{type}_{worker}_{NNN}`, and `_{custom}` where one was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionName(Box<str>);

impl SessionName {
    /// Names the `number`th session of its type that the worker has had, counted from one.
    pub fn new(resource_type: &str, worker: &str, number: u32, custom: Option<&str>) -> Self {
        let worker = sanitize(worker, &['-']);
        let custom = sanitize(custom.unwrap_or_default(), &['-', '_']);
        let mut name = format!("{resource_type}_{worker}_{number:03}");
        if !custom.is_empty() {
            name.push('_');
            name.push_str(&custom);
        }
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The identifier that belongs to the name, given the random part.
    pub fn id(&self, random: u32) -> String {
        format!("{}_{random:08x}", self.0)
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Keeps letters, digits, `_` and `-` of ASCII, and puts one `-` for every other character.
fn sanitize(name: &str, trimmed: &[char]) -> String {
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let replaced: String = name.chars().map(keep).collect();
    replaced
        .trim_matches(trimmed)
        .chars()
        .take(MAX_PART)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_follow_the_published_form() {
        let name = |worker, custom| SessionName::new("vm", worker, 1, custom).to_string();
        assert_eq!(name("sandbox_ab12", None), "vm_sandbox_ab12_001");
        assert_eq!(name("my run #1", None), "vm_my-run--1_001");
        assert_eq!(name("_a_", Some("_my run #1_")), "vm__a__001_my-run--1");
        assert_eq!(name("w", Some("世界")), "vm_w_001");
        assert_eq!(
            name(&"x".repeat(40), None),
            format!("vm_{}_001", "x".repeat(32))
        );
    }

    #[test]
    fn counting_goes_on_past_three_digits() {
        assert_eq!(
            SessionName::new("vm", "w", 1234, None).as_str(),
            "vm_w_1234"
        );
    }

    #[test]
    fn an_id_ends_in_eight_hex_digits() {
        let name = SessionName::new("vm", "w", 2, None);
        assert_eq!(name.id(0xab), "vm_w_002_000000ab");
    }

    proptest! {
        #[test]
        fn a_name_holds_safe_characters_only(worker in any::<String>(), custom in any::<String>()) {
            let name = SessionName::new("vm", &worker, 1, Some(&custom));
            prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)));
            prop_assert!(name.as_str().len() <= "vm__001_".len() + 2 * MAX_PART);
        }

        #[test]
        fn what_is_safe_already_stays(worker in "[a-z0-9_]{1,32}") {
            let name = SessionName::new("vm", &worker, 7, None);
            prop_assert_eq!(name.as_str(), format!("vm_{worker}_007"));
        }
    }
}
