//! Loading: runs the layers one after the other and gathers what each of them found.
//! Owns the order of the layers and the outcome; each layer is in its own file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    address::Host,
    check::{self, examine, pruned},
    diagnostic::{self, Diagnostic, Severity, render},
    document::Document,
    environment::Environment,
    expand::expand,
    masking,
    parse::parse,
    publish,
    rules::settle,
    settings::Config,
    written,
};
use crate::schema::{Checker, is_within};

/// A configuration that can be run.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file, for locating what is found later: faults in the plugins' own settings.
    pub document: Document,
    /// Warnings and notes.
    pub notes: Vec<Diagnostic>,
    /// What is known to be wrong: nothing, unless this is the rest of a file with mistakes.
    wrong: Vec<String>,
}

/// Why a configuration cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is wrong in one or more places.
    #[error("{}", render(diagnostics, false).trim_end())]
    Invalid {
        /// Everything that was found, warnings and notes included, in the order of the file.
        diagnostics: Vec<Diagnostic>,
        /// The file without what is wrong in it, to look for more: nothing is to be run with it.
        rest: Option<Box<Loaded>>,
    },
}

impl ConfigError {
    /// Every kind of failure as diagnostics, for `--format json`.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Unreadable { source, .. } => {
                vec![Diagnostic::error("", format!("{self}: {source}"))]
            }
            Self::Invalid { diagnostics, .. } => diagnostics.clone(),
        }
    }
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or with everything that is wrong with it.
    pub fn load(path: &Path, environment: &Environment) -> Result<Loaded, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let bytes = fs::read(path).map_err(unreadable)?;
        // Absolute, so that what is resolved against it keeps its meaning whatever happens to the process.
        let absolute = std::path::absolute(path).map_err(unreadable)?;
        let directory = absolute.parent().map(Path::to_owned).unwrap_or_default();
        Self::read(&path.to_string_lossy(), directory, bytes, environment)
    }

    /// Checks `bytes` as the file `name` in `directory`.
    ///
    /// # Errors
    /// With everything that is wrong with them.
    pub fn read(
        name: &str,
        directory: PathBuf,
        bytes: Vec<u8>,
        environment: &Environment,
    ) -> Result<Loaded, ConfigError> {
        let (mut document, mut diagnostics) = match parse(name, directory, bytes) {
            Ok(parsed) => parsed,
            Err(fatal) => {
                return Err(ConfigError::Invalid {
                    diagnostics: vec![*fatal],
                    rest: None,
                });
            }
        };
        diagnostics.extend(expand(&mut document, environment));
        let config = checked(&document, &mut diagnostics);
        diagnostic::sort(&mut diagnostics);
        let errors = diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error);
        let wrong: Vec<String> = errors.map(|error| error.pointer.clone()).collect();
        let failed = !wrong.is_empty();
        let loaded = config.map(|config| Loaded {
            config,
            document,
            notes: Vec::new(),
            wrong,
        });
        match loaded {
            Some(loaded) if !failed => Ok(Loaded {
                notes: diagnostics,
                ..loaded
            }),
            rest => Err(ConfigError::Invalid {
                diagnostics,
                rest: rest.map(Box::new),
            }),
        }
    }
}

/// Schema and rules. The rules see the file without what the schema refuses, so that both report at once.
fn checked(document: &Document, diagnostics: &mut Vec<Diagnostic>) -> Option<Config> {
    let checker = match Checker::compile(publish::checked()) {
        Ok(checker) => checker,
        Err(error) => unreachable!("the derived schema is one: {error}"),
    };
    let (value, faults) = examine(&checker, document, "");
    let unresolved = &document.placeholders.unresolved;
    diagnostics.extend(
        faults
            .iter()
            .filter(|fault| !unresolved.contains(&fault.pointer))
            .map(|fault| check::diagnostic(fault, &checker, document)),
    );
    let file: written::File = match serde_path_to_error::deserialize(pruned(value, &faults)) {
        Ok(file) => file,
        Err(error) => {
            // Reached only where the types refuse what their own schema lets pass.
            diagnostics.push(Diagnostic::error("", error.to_string()));
            return None;
        }
    };
    let (config, found) = settle(file, document);
    diagnostics.extend(
        found
            .into_iter()
            // What is said about something that has faults inside may follow from those alone.
            .filter(|rule| {
                let known = faults.iter().map(|fault| &fault.pointer).chain(unresolved);
                !known
                    .into_iter()
                    .any(|known| is_within(known, &rule.pointer))
            })
            .map(|rule| placed(rule, document)),
    );
    Some(config)
}

/// What a rule says, at its place, and without what came from the environment.
fn placed(mut rule: Diagnostic, document: &Document) -> Diagnostic {
    let value = document.value().pointer(&rule.pointer);
    if let Some(Value::String(text)) = value
        && !text.is_empty()
        && document.is_from_environment(&rule.pointer)
    {
        rule.message = rule.message.replace(text, masking::MASK);
    }
    // An object is long; its name says which it is.
    rule.location = match value {
        Some(Value::Object(_)) => document.locate_key(&rule.pointer),
        _ => document.locate(&rule.pointer),
    };
    rule
}

impl Loaded {
    /// A diagnostic with its place in the file, and without what came from the environment there.
    pub fn placed(&self, diagnostic: Diagnostic) -> Diagnostic {
        placed(diagnostic, &self.document)
    }

    /// Whether something at, in or around this place is known to be wrong, so that nothing can be said from it.
    pub fn is_wrong(&self, pointer: &str) -> bool {
        let mut wrong = self.wrong.iter();
        wrong.any(|wrong| is_within(wrong, pointer) || is_within(pointer, wrong))
    }

    /// What the command line says about the address holds before what the file says.
    pub fn override_listen(&mut self, host: Option<Host>, port: Option<u16>) {
        let server = &mut self.config.server;
        if host.is_none() && port.is_none() {
            return;
        }
        server.host = host.unwrap_or_else(|| server.host.clone());
        server.port = port.unwrap_or(server.port);
        // A URL that named the old socket would send clients to where nobody listens.
        let stale = server
            .url
            .as_deref()
            .and_then(|url| super::address::Url::parse(url).ok())
            .is_some_and(|url| url.names_the_socket());
        if stale {
            server.url = None;
        }
    }

    /// Refuses a server that other machines can reach without showing a key, unless `insecure` allows it.
    ///
    /// # Errors
    /// With what to do about it.
    pub fn check_exposure(&self, insecure: bool) -> Result<(), Box<Diagnostic>> {
        let at = "/server/host";
        let host = &self.config.server.host;
        let unknown = self.is_wrong(at) || self.is_wrong("/security/auth");
        if insecure || unknown || host.is_loopback() || !self.config.security.keys.is_empty() {
            return Ok(());
        }
        let written = self.document.value().pointer(at).and_then(Value::as_str);
        let location = written
            .filter(|written| {
                written
                    .parse::<Host>()
                    .is_ok_and(|written| written == *host)
            })
            .and_then(|_| self.document.locate(at));
        let message =
            format!("listening on {host} lets other machines use every tool without a key");
        let switched_off = self.document.value().pointer("/security/auth/enabled");
        let first = match switched_off {
            Some(Value::Bool(false)) => "remove `security.auth.enabled`, which is false",
            _ => "add a key to `security.auth.keys`",
        };
        Err(Box::new(Diagnostic::error(at, message).at(location).hint(
            format!(
                "{first}, listen on 127.0.0.1, or give `--insecure` if everybody who can connect may run anything"
            ),
        )))
    }

    /// The configuration in force as JSON, secrets masked.
    pub fn effective(&self) -> Value {
        masking::effective(&self.config, &self.document)
    }
}
