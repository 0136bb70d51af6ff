//! The metrics of calls, per backend and tool.

use super::text::{Exposition, Kind, seconds};
use crate::{
    observe::numbers::{BOUNDS_US, ToolCounts},
    sandbox::Sandbox,
};

/// The code of calls whose time was up.
const TIMED_OUT: &str = "2002";

struct Row<'a> {
    backend: &'a str,
    tool: &'a str,
    counts: ToolCounts,
}

pub(super) fn write(page: &mut Exposition, sandbox: &Sandbox) {
    let rows = rows(sandbox);
    by_code(page, &rows);
    page.family("sandbox_calls_running", Kind::Gauge, "Calls that run now.");
    for row in &rows {
        page.sample(&row.labels(), row.counts.running());
    }
    durations(page, &rows);
}

/// Every tool, and what was no tool, which has empty labels. A hidden name appears once it was called.
fn rows(sandbox: &Sandbox) -> Vec<Row<'_>> {
    let unknown = Row {
        backend: "",
        tool: "",
        counts: sandbox.observers.unknown.read(),
    };
    let tools = sandbox.catalog.tools().filter_map(|tool| {
        let counts = tool.numbers.read();
        (!tool.hidden || counts.started > 0).then(|| Row {
            backend: &tool.backend.name,
            tool: &tool.name,
            counts,
        })
    });
    tools.chain([unknown]).collect()
}

impl Row<'_> {
    fn labels(&self) -> [(&'static str, &str); 2] {
        [("backend", self.backend), ("tool", self.tool)]
    }
}

fn by_code(page: &mut Exposition, rows: &[Row<'_>]) {
    page.family(
        "sandbox_calls_total",
        Kind::Counter,
        "Calls that ended, by the code of their answer; `other` is a tool's own, `abandoned` has no answer.",
    );
    for row in rows {
        for (code, count) in row.counts.by_code() {
            // Success is always there, so that a rate of failures has something to be compared with.
            if count > 0 || code == "0" {
                let [backend, tool] = row.labels();
                page.sample(&[backend, tool, ("code", &code)], count);
            }
        }
    }
    page.family(
        "sandbox_call_timeouts_total",
        Kind::Counter,
        "Calls whose time was up.",
    );
    for row in rows {
        let timeouts = row.counts.by_code().find(|(code, _)| code == TIMED_OUT);
        page.sample(&row.labels(), timeouts.map_or(0, |(_, count)| count));
    }
}

fn durations(page: &mut Exposition, rows: &[Row<'_>]) {
    page.family(
        "sandbox_call_duration_seconds",
        Kind::Histogram,
        "How long calls took in the server, sessions and warm-ups that they waited for included.",
    );
    for row in rows.iter().filter(|row| row.counts.ended > 0) {
        let [backend, tool] = row.labels();
        let bounds = BOUNDS_US.iter().map(|bound| seconds(*bound).to_string());
        let mut below = 0;
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(row.counts.buckets) {
            below += count;
            page.suffixed("_bucket", &[backend, tool, ("le", &bound)], below);
        }
        page.suffixed("_sum", &[backend, tool], seconds(row.counts.micros));
        page.suffixed("_count", &[backend, tool], below);
    }
}
