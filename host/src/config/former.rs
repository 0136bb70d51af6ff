//! What becomes of keys that a plugin's settings have no longer, before those are checked: renamed, passed over, or
//! refused with the reason and the advice that their schema gives. Owns the doing; the keyword is `schema/former.rs`.

use serde_json::Value;

use super::{
    diagnostic::{Diagnostic, Severity},
    document::Document,
};
use crate::schema::{Checker, Former, child, dotted, is_within, split};

/// Settings without their former keys.
pub(super) struct Settled {
    pub(super) value: Value,
    /// What was refused, and notes about what was passed over.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// What is there under a new name: the pointer that it has in the value, and that of the file.
    moved: Vec<(String, String)>,
}

impl Settled {
    /// Where in the file (below the settings) that stands which `pointer` names in the value.
    pub(super) fn origin(&self, pointer: &str) -> String {
        let moved = self.moved.iter().find(|(now, _)| is_within(pointer, now));
        match moved {
            Some((now, was)) => format!("{was}{}", &pointer[now.len()..]),
            None => pointer.to_owned(),
        }
    }
}

/// Takes the former keys out of what `base` points to; what is absent counts as an empty object.
pub(super) fn settle(checker: &Checker, document: &Document, base: &str) -> Settled {
    let value = super::check::value_at(document, base);
    let former = checker.former(&value);
    let mut settled = Settled {
        value,
        diagnostics: Vec::new(),
        moved: Vec::new(),
    };
    for (pointer, former) in &former {
        one(&mut settled, pointer, former, document, base);
    }
    settled
}

fn one(settled: &mut Settled, pointer: &str, former: &Former, document: &Document, base: &str) {
    let at = format!("{base}{pointer}");
    let Some(value) = settled.value.pointer(pointer) else {
        return;
    };
    if is_needless(value, former, document, &at) {
        take(&mut settled.value, pointer);
    } else if let Some(now) = &former.now {
        rename(settled, pointer, now, document, base);
    } else if let Some(why) = &former.note {
        take(&mut settled.value, pointer);
        let message = format!("`{}` has no effect: {why}", dotted(&at));
        let note = Diagnostic::new(Severity::Note, &at, message).hint("remove it");
        settled.say(note, document);
    } else if let Some(reason) = &former.reason {
        take(&mut settled.value, pointer);
        let message = format!("`{}` is not used here: {reason}", dotted(&at));
        let advice = former.advice.as_deref().unwrap_or("remove it");
        settled.say(Diagnostic::error(&at, message).hint(advice), document);
    }
}

/// One of the values that say nothing; a string that was one placeholder counts as what it spells, too.
fn is_needless(value: &Value, former: &Former, document: &Document, at: &str) -> bool {
    let spelt = value
        .as_str()
        .filter(|_| document.placeholders.whole.contains(at))
        .and_then(|text| serde_json::from_str::<Value>(text.trim()).ok());
    let is = |value: &Value| former.needless.contains(value);
    is(value) || spelt.is_some_and(|spelt| is(&spelt))
}

fn rename(settled: &mut Settled, pointer: &str, now: &str, document: &Document, base: &str) {
    let Some((parent, key)) = split(pointer) else {
        return;
    };
    let there = child(parent, now);
    let value = take(&mut settled.value, pointer);
    if settled.value.pointer(&there).is_some() {
        let at = format!("{base}{pointer}");
        let message = format!(
            "`{}` and `{now}` are the same setting under two names",
            dotted(&at)
        );
        let advice = format!("keep `{now}`, and remove `{key}`");
        settled.say(Diagnostic::error(&at, message).hint(advice), document);
    } else if let (Some(Value::Object(object)), Some(value)) =
        (settled.value.pointer_mut(parent), value)
    {
        object.insert(now.to_owned(), value);
        settled.moved.push((there, pointer.to_owned()));
    }
}

/// Takes a member out of its object.
fn take(value: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, key) = split(pointer)?;
    let object = value.pointer_mut(parent)?.as_object_mut()?;
    object.shift_remove(&key)
}

impl Settled {
    fn say(&mut self, diagnostic: Diagnostic, document: &Document) {
        let location = document.locate_key(&diagnostic.pointer);
        self.diagnostics.push(diagnostic.at(location));
    }
}
