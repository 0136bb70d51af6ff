//! What backends tell of themselves: the numbers in what their `probe` finds, as pools and queues that only they know.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::{Number, Value};

use super::text::{Exposition, Kind};
use crate::{backend::Backend, sandbox::Sandbox};

/// As long as a scrape waits for backends: scrapers themselves give up after some seconds.
const LIMIT: Duration = Duration::from_secs(1);

/// As many numbers of a backend are shown: what it says more is likely one for each of something that grows.
const MOST: usize = 64;

/// Longer names are no names.
const LONGEST_NAME: usize = 100;

/// A backend that has a `probe`, and the numbers that it found, or nothing if it failed.
pub(super) struct Found<'a> {
    backend: &'a str,
    numbers: Option<Vec<(String, Number)>>,
}

/// Asks all warm backends at the same time.
pub(super) async fn ask(sandbox: &Sandbox) -> Vec<Found<'_>> {
    let limit = sandbox.config.server.limits.probe_timeout.min(LIMIT);
    let asked = sandbox
        .catalog
        .backends()
        .map(|backend| found(backend, limit));
    join_all(asked).await.into_iter().flatten().collect()
}

async fn found(backend: &Arc<Backend>, limit: Duration) -> Option<Found<'_>> {
    let numbers = backend.probe(limit).await?.ok().map(|found| {
        let mut numbers = Vec::new();
        gather(&found, &mut String::new(), &mut numbers);
        numbers
    });
    let backend = &backend.name;
    Some(Found { backend, numbers })
}

/// The numbers in the objects of `value`, each named by its way there; lists are left out, for they have no names.
fn gather(value: &Value, name: &mut String, numbers: &mut Vec<(String, Number)>) {
    let number = match value {
        Value::Number(number) => number.clone(),
        Value::Bool(is) => Number::from(u8::from(*is)),
        Value::Object(members) => {
            let stem = name.len();
            for (key, member) in members {
                if stem > 0 {
                    name.push('.');
                }
                name.push_str(key);
                gather(member, name, numbers);
                name.truncate(stem);
            }
            return;
        }
        Value::Null | Value::String(_) | Value::Array(_) => return,
    };
    if numbers.len() < MOST && (1..=LONGEST_NAME).contains(&name.len()) {
        numbers.push((name.clone(), number));
    }
}

pub(super) fn write(page: &mut Exposition, found: &[Found<'_>]) {
    page.family(
        "sandbox_backend_probe_success",
        Kind::Gauge,
        "Whether the backend's probe says that all is well.",
    );
    for Found { backend, numbers } in found {
        page.sample(&[("backend", backend)], u8::from(numbers.is_some()));
    }
    page.family(
        "sandbox_backend_probe",
        Kind::Gauge,
        "The numbers in what the backend's probe finds: its pools and queues.",
    );
    for Found { backend, numbers } in found {
        for (name, number) in numbers.iter().flatten() {
            page.sample(&[("backend", backend), ("value", name)], number);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn numbers(found: &Value) -> Vec<(String, String)> {
        let mut numbers = Vec::new();
        gather(found, &mut String::new(), &mut numbers);
        let text = |(name, number): (String, Number)| (name, number.to_string());
        numbers.into_iter().map(text).collect()
    }

    #[test]
    fn numbers_are_named_by_their_way() {
        let found = json!({
            "pool": { "ready": 2, "filling": true, "inner": { "load": 0.5 } },
            "path": "/srv", "none": null, "each": [1, 2],
        });
        let expected = [
            ("pool.filling", "1"),
            ("pool.inner.load", "0.5"),
            ("pool.ready", "2"),
        ];
        let mut seen = numbers(&found);
        seen.sort();
        assert!(
            seen.iter()
                .map(|(name, value)| (&**name, &**value))
                .eq(expected),
            "{seen:?}"
        );
    }

    #[test]
    fn a_plugin_cannot_make_as_many_series_as_it_likes() {
        let many: serde_json::Map<_, _> = (0..1000).map(|n| (n.to_string(), json!(n))).collect();
        assert_eq!(numbers(&Value::Object(many)).len(), MOST);
        let long = "x".repeat(LONGEST_NAME);
        assert_eq!(
            numbers(&json!({ &long: 1, format!("{long}y"): 2 })).len(),
            1
        );
        assert!(numbers(&json!(5)).is_empty());
    }
}
