//! What an operator reads: a load error with everything that was looked at, and an inspection.
//! Owns the form of the text; the facts and the advice come from the errors themselves.

use std::fmt::Write;

use super::{Inspection, LoadError, LoadFailure, Origin, Problem};

impl LoadError {
    /// The error as an operator reads it; `verbose` adds what is long.
    pub fn report(&self, verbose: bool) -> String {
        let mut text = format!("`{}` cannot be loaded: {self}\n", self.backend_class);
        let mut file = None;
        for problem in self.problems() {
            if problem.file.is_some() && problem.file != file {
                file.clone_from(&problem.file);
                line(&mut text, 2, "file", &shown(file.as_deref()));
            }
            write_problem(&mut text, &problem, &self.to_string());
        }
        if verbose || self.search_matters() {
            text.push_str(&self.trace.to_string());
        }
        if let (true, LoadFailure::Layout { full }) = (verbose, &*self.failure) {
            text.push_str("  the whole comparison:\n");
            for part in full.trim().lines() {
                let _ = writeln!(text, "    {part}");
            }
        }
        text
    }
}

impl LoadError {
    /// Once a library was chosen, or where the one file is named already, the search tells nothing.
    fn search_matters(&self) -> bool {
        let one = matches!(&*self.trace.0, [only] if only.origin == Origin::Written);
        let named = one && matches!(*self.failure, LoadFailure::Refused);
        self.library.is_none() && !self.trace.0.is_empty() && !named
    }
}

/// One problem, in lines; a message that the headline says already is not repeated.
fn write_problem(text: &mut String, problem: &Problem, headline: &str) {
    let indent = if problem.message == headline {
        2
    } else {
        let _ = writeln!(text, "  - {}", problem.message);
        6
    };
    let parts = [
        ("expected", &problem.expected),
        ("found", &problem.found),
        ("try", &problem.hint),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            line(text, indent, name, part);
        }
    }
}

/// A name and a text, whose further lines are as far in as the first.
fn line(text: &mut String, indent: usize, name: &str, value: &str) {
    let mut lines = value.lines();
    let _ = writeln!(
        text,
        "{:indent$}{:<10}{}",
        "",
        format!("{name}:"),
        lines.next().unwrap_or_default()
    );
    for further in lines {
        let _ = writeln!(text, "{:indent$}{:<10}{further}", "", "");
    }
}

fn shown(file: Option<&std::path::Path>) -> String {
    file.map(|file| file.display().to_string())
        .unwrap_or_default()
}

/// An inspection as `sandbox plugin inspect` shows it.
pub fn inspection(inspection: &Inspection) -> String {
    let mut text = format!("{}\n", inspection.file.display());
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name:<14}{value}");
        }
    };
    fact("size", Some(format!("{} bytes", inspection.size)));
    fact("sha256", Some(inspection.sha256.clone()));
    let platform = inspection
        .format
        .as_ref()
        .zip(inspection.architecture.as_ref());
    fact(
        "platform",
        platform.map(|(format, architecture)| format!("{format}, {architecture}")),
    );
    fact(
        "glibc",
        inspection
            .glibc
            .as_ref()
            .map(|version| format!("{version} or newer")),
    );
    let names: Vec<&str> = inspection
        .libraries
        .iter()
        .map(|library| &*library.name)
        .collect();
    fact("needs", (!names.is_empty()).then(|| names.join(", ")));
    fact(
        "ABI",
        inspection
            .abi
            .map(|abi| format!("{}.{}", abi.major, abi.minor)),
    );
    fact("doors", doors(inspection));
    if let Some(manifest) = &inspection.manifest {
        fact("language", Some(manifest.language.clone()));
        fact("SDK", manifest.sdk.clone());
        fact("compiler", manifest.rustc.clone());
        fact("target", manifest.target.clone());
        fact("panic", manifest.panic.clone());
        for backend in &manifest.backends {
            let kind = backend.kind.as_deref().unwrap_or("kind unknown");
            let about = format!(
                "{}, class {}, {kind}, version {}",
                backend.name, backend.class, backend.version
            );
            fact("backend", Some(about));
            fact(
                "",
                (!backend.description.is_empty()).then(|| backend.description.clone()),
            );
        }
    }
    for warning in &inspection.warnings {
        let _ = writeln!(text, "  warning: {warning}");
    }
    for fault in &inspection.faults {
        let problem = Problem {
            message: fault.to_string(),
            expected: fault.expected(),
            found: fault.found(),
            file: None,
            hint: Some(fault.hint()),
        };
        write_problem(&mut text, &problem, "");
    }
    text
}

fn doors(inspection: &Inspection) -> Option<String> {
    let doors = [(inspection.doors.c, "C"), (inspection.doors.rust, "Rust")];
    let there: Vec<&str> = doors
        .iter()
        .filter(|(there, _)| *there)
        .map(|(_, name)| *name)
        .collect();
    (!there.is_empty()).then(|| there.join(", "))
}
