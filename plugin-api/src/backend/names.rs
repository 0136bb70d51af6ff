//! The names of tools whose backend's name stands in another block: put together, and compared, by the compiler.

/// Joins the two parts of a tool's name; `N` is the length of the whole.
#[doc(hidden)]
#[must_use]
pub const fn join<const N: usize>(resource: &str, action: &str) -> [u8; N] {
    let mut whole = [b':'; N];
    let (first, rest) = whole.split_at_mut(resource.len());
    first.copy_from_slice(resource.as_bytes());
    rest.split_at_mut(1).1.copy_from_slice(action.as_bytes());
    whole
}

/// The bytes that `join` made, as text.
#[doc(hidden)]
#[must_use]
pub const fn text(bytes: &'static [u8]) -> &'static str {
    match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("two texts with a colon between are a text"),
    }
}

/// Stops the compiler when two tools have one name.
///
/// # Panics
/// Then.
#[doc(hidden)]
pub const fn check_distinct(blocks: &[&[&str]]) {
    let mut rest = blocks;
    while let [block, others @ ..] = rest {
        let mut names = *block;
        while let [name, following @ ..] = names {
            assert_absent(name, following);
            let mut others = others;
            while let [other, further @ ..] = others {
                assert_absent(name, other);
                others = further;
            }
            names = following;
        }
        rest = others;
    }
}

const fn assert_absent(name: &str, mut names: &[&str]) {
    while let [other, rest @ ..] = names {
        let mut space = [0; 256];
        let told = message(&mut space, name);
        assert!(!same(name.as_bytes(), other.as_bytes()), "{}", told);
        names = rest;
    }
}

const fn same(mut one: &[u8], mut other: &[u8]) -> bool {
    while let ([first, one_rest @ ..], [second, other_rest @ ..]) = (one, other) {
        if *first != *second {
            return false;
        }
        (one, other) = (one_rest, other_rest);
    }
    one.is_empty() && other.is_empty()
}

/// A constant panic takes one text and puts nothing together.
const fn message<'a>(space: &'a mut [u8; 256], name: &'a str) -> &'a str {
    let parts = ["two tools of this backend are called `", name, "`"];
    let mut length = 0;
    let mut rest: &[&str] = &parts;
    while let [part, following @ ..] = rest {
        let mut bytes = part.as_bytes();
        while let [byte, more @ ..] = bytes {
            if length == space.len() {
                return name;
            }
            space[length] = *byte;
            length += 1;
            bytes = more;
        }
        rest = following;
    }
    match str::from_utf8(space.split_at(length).0) {
        Ok(text) => text,
        Err(_) => name,
    }
}

/// The full name of a tool of a backend, as a constant.
#[doc(hidden)]
#[macro_export]
macro_rules! full_name {
    ($backend:ty, $action:literal) => {{
        const RESOURCE: &str = <$backend as $crate::backend::Backend>::META.name;
        const WHOLE: [u8; RESOURCE.len() + 1 + $action.len()] =
            $crate::backend::names::join(RESOURCE, $action);
        const TEXT: &str = $crate::backend::names::text(&WHOLE);
        TEXT
    }};
}
