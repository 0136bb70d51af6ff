//! Which argument of a call is which, and what each must be.

use std::time::Duration;

use ruff_python_ast::{Arguments, Expr};

use super::literal::Literal;
use crate::desktop::Button;

/// Arguments that change how pyautogui works and not what happens. Their values are not looked at.
const IGNORED: [&str; 4] = ["tween", "logScreenshot", "_pause", "mouseDownUp"];

/// The arguments of a call by their names.
#[derive(Debug)]
pub(super) struct Named<'a> {
    function: &'a str,
    given: Vec<(&'static str, Literal)>,
}

/// A number of pixels each, if given: left and top, or right and down.
pub(super) type Pair = (Option<f64>, Option<f64>);

impl<'a> Named<'a> {
    /// Binds arguments to the names of a function's parameters, in Python's way.
    pub(super) fn bind(
        function: &'a str,
        parameters: &[&'static str],
        arguments: &Arguments,
    ) -> Result<Self, String> {
        let mut given: Vec<(&'static str, Literal)> = Vec::new();
        let mut names = parameters.iter();
        let mut add = |name: &'static str, value: &Expr| {
            if given.iter().any(|(known, _)| *known == name) {
                return Err(format!("{function} was given {name} twice"));
            }
            if !IGNORED.contains(&name) {
                given.push((name, Literal::of(value)?));
            }
            Ok(())
        };
        for value in &arguments.args {
            let Some(name) = names.next() else {
                return Err(format!(
                    "{function} takes at most {} arguments",
                    parameters.len()
                ));
            };
            add(name, value)?;
        }
        for keyword in &arguments.keywords {
            let name = keyword
                .arg
                .as_ref()
                .map(ruff_python_ast::Identifier::as_str);
            let name = name.ok_or("arguments are written out, not unpacked")?;
            let known = parameters.iter().find(|parameter| **parameter == name);
            let known = known.ok_or_else(|| {
                let list = parameters.join(", ");
                format!("{function} has no argument {name}; it has {list}")
            })?;
            add(known, &keyword.value)?;
        }
        Ok(Self { function, given })
    }

    /// An argument, unless it is absent or None.
    fn get(&self, name: &str) -> Option<&Literal> {
        let found = self.given.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, value)| value)
            .filter(|value| **value != Literal::None)
    }

    fn wrong(&self, name: &str, expected: &str, found: &Literal) -> String {
        let kind = found.kind();
        format!("{}: {name} must be {expected}, not {kind}", self.function)
    }

    pub(super) fn required(&self, name: &str) -> Result<&Literal, String> {
        let missing = || format!("{} needs {name}", self.function);
        self.get(name).ok_or_else(missing)
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(Literal::Number(number)) => Ok(Some(*number)),
            Some(other) => Err(self.wrong(name, "a number", other)),
        }
    }

    /// Two numbers, by their names or as a pair under the first one.
    pub(super) fn pair(&self, [first, second]: [&str; 2]) -> Result<Pair, String> {
        match self.get(first) {
            Some(Literal::List(list)) => match list[..] {
                [Literal::Number(x), Literal::Number(y)] => Ok((Some(x), Some(y))),
                _ => Err(format!("{}: a place is two numbers", self.function)),
            },
            _ => Ok((self.number(first)?, self.number(second)?)),
        }
    }

    /// A whole number from 0 to `most`.
    pub(super) fn count(&self, name: &str, default: u32, most: u32) -> Result<u32, String> {
        let Some(number) = self.number(name)? else {
            return Ok(default);
        };
        whole(number, most).ok_or_else(|| {
            format!(
                "{}: {name} must be a whole number up to {most}",
                self.function
            )
        })
    }

    pub(super) fn seconds(&self, name: &str) -> Result<Duration, String> {
        let number = self.number(name)?.unwrap_or(0.0);
        Duration::try_from_secs_f64(number)
            .map_err(|_| format!("{}: {name} must be a number of seconds", self.function))
    }

    pub(super) fn button(&self, default: Button) -> Result<Button, String> {
        let known = match self.get("button") {
            None => Some(default),
            Some(Literal::Text(name)) => match name.to_lowercase().as_str() {
                "left" | "primary" => Some(Button::Left),
                "middle" => Some(Button::Middle),
                "right" | "secondary" => Some(Button::Right),
                _ => None,
            },
            Some(Literal::Number(number)) => match whole(*number, 3) {
                Some(1) => Some(Button::Left),
                Some(2) => Some(Button::Middle),
                Some(3) => Some(Button::Right),
                _ => None,
            },
            Some(_) => None,
        };
        known.ok_or_else(|| format!("{}: button is left, middle or right", self.function))
    }

    pub(super) fn text(&self, name: &str) -> Result<String, String> {
        match self.required(name)? {
            Literal::Text(text) => Ok(text.clone()),
            other => Err(self.wrong(name, "a string", other)),
        }
    }

    /// One string, or a list of strings.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let list = match self.required(name)? {
            Literal::Text(text) => return Ok(vec![text.clone()]),
            Literal::List(list) => list,
            other => return Err(self.wrong(name, "a string or a list of strings", other)),
        };
        list.iter()
            .map(|item| match item {
                Literal::Text(text) => Ok(text.clone()),
                other => Err(self.wrong(name, "a list of strings", other)),
            })
            .collect()
    }
}

/// A number as a whole one from 0 to `most`.
fn whole(number: f64, most: u32) -> Option<u32> {
    let fits = number.fract() == 0.0 && (0.0..=f64::from(most)).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and in range, as checked"
    )]
    fits.then_some(number as u32)
}
