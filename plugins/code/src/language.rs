//! The languages, and the interpreter of each: found and asked once, at warm-up.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sandbox_isolation::Mount;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Directories that every sandbox has; an interpreter elsewhere is mounted.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc"];

/// A language that programs may be written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// Python 3.
    #[default]
    #[serde(alias = "py", alias = "python3")]
    Python,
    /// JavaScript, by Node.
    #[serde(alias = "js", alias = "node")]
    Javascript,
    /// Bash.
    #[serde(alias = "sh", alias = "shell")]
    Bash,
}

impl Language {
    /// The language's name, as callers write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Javascript => "javascript",
            Self::Bash => "bash",
        }
    }
}

/// A program that runs programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Where it is, on the machine and in the sandbox.
    pub(crate) path: PathBuf,
    /// The directories that it needs and that no sandbox has.
    needs: Vec<PathBuf>,
}

/// The interpreters of this machine. Only Python and Bash have to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreters {
    python: Interpreter,
    node: Option<Interpreter>,
    bash: Interpreter,
}

impl Interpreters {
    /// Finds the interpreters that are configured, or that the machine has.
    ///
    /// # Errors
    /// Which one is missing, and what to do about it.
    pub(crate) fn find(python: &Path, node: Option<&Path>) -> Result<Self, String> {
        let python = ask_python(python)?;
        let node = match node {
            Some(path) => Some(ask_node(path)?),
            // Programs in JavaScript are refused where there is none.
            None => ["/usr/bin/node", "node", "nodejs"]
                .iter()
                .find_map(|name| ask_node(Path::new(name)).ok()),
        };
        Ok(Self {
            python,
            node,
            bash: Interpreter {
                path: "/bin/bash".into(),
                needs: Vec::new(),
            },
        })
    }

    /// The interpreter of `language`; none if it is not installed.
    pub(crate) fn of(&self, language: Language) -> Option<&Interpreter> {
        match language {
            Language::Python => Some(&self.python),
            Language::Javascript => self.node.as_ref(),
            Language::Bash => Some(&self.bash),
        }
    }

    /// What sandboxes must be shown for the interpreters to work.
    pub(crate) fn mounts(&self) -> Vec<Mount> {
        let all = [Some(&self.python), self.node.as_ref(), Some(&self.bash)];
        let mut needs: Vec<&PathBuf> = all
            .into_iter()
            .flatten()
            .flat_map(|interpreter| &interpreter.needs)
            .collect();
        needs.sort();
        needs.dedup();
        needs
            .into_iter()
            .map(|source| Mount {
                source: source.clone(),
                target: None,
                writable: false,
            })
            .collect()
    }
}

/// Asks Python where it lives: a path may be a link, a script that picks a version, or part of a virtual environment.
fn ask_python(path: &Path) -> Result<Interpreter, String> {
    const QUESTION: &str =
        "import sys; print(sys.executable, sys.prefix, sys.base_prefix, sep='\\n')";
    let answer = ask(path, &["-I", "-c", QUESTION]).map_err(|reason| {
        format!(
            "programs in Python need {}, which {reason}: apt-get install python3, or set \"python\" to an interpreter",
            path.display()
        )
    })?;
    let mut lines = answer.lines().map(PathBuf::from);
    let path = lines.next().unwrap_or_else(|| path.to_owned());
    Ok(Interpreter {
        path,
        needs: outside_system(lines),
    })
}

fn ask_node(path: &Path) -> Result<Interpreter, String> {
    let answer = ask(path, &["-p", "process.execPath"]).map_err(|reason| {
        format!(
            "programs in JavaScript need {}, which {reason}: apt-get install nodejs, or leave \"node\" out",
            path.display()
        )
    })?;
    let path = PathBuf::from(answer.trim());
    // …/bin/node, with its modules in …/lib.
    let home = path.ancestors().nth(2).map(Path::to_owned);
    Ok(Interpreter {
        path,
        needs: outside_system(home.into_iter()),
    })
}

fn ask(path: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "is not installed".to_owned(),
            _ => format!("cannot be run ({error})"),
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(format!("does not work ({}: {last})", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn outside_system(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let is_system = |path: &PathBuf| SYSTEM.iter().any(|dir| path.starts_with(dir));
    let mut outside: Vec<PathBuf> = paths.filter(|path| !is_system(path)).collect();
    outside.dedup();
    outside
}
