//! Programs: calls of pyautogui, and what is started on the desktop.

use std::time::Duration;

use sandbox_plugin_api::prelude::*;

use super::Vm;
use crate::answer::{Launched, Performed};
use crate::desktop::Failure;
use crate::pyautogui::{self, Call};
use crate::session::Session;

/// Calls in one program.
const MOST_CALLS: usize = 1000;

#[tools(programs)]
impl Vm {
    /// Carry out calls of pyautogui, as `pyautogui.click(100, 200)` or `pyautogui.hotkey('ctrl', 's')`, with literal
    /// arguments. They are read and checked as a whole first; `time.sleep` is understood too, other Python is not.
    #[tool(
        destructive,
        title = "Carry out pyautogui calls",
        example = r#"{"command": "pyautogui.moveTo(100, 200)\npyautogui.position()"}"#
    )]
    async fn pyautogui(
        &self,
        session: &Session,
        /// Lines of calls.
        command: Option<String>,
        /// The same, as a list.
        commands: Option<Vec<String>>,
    ) -> Result<Performed> {
        let calls = self.program(command, commands)?;
        let mut done = Performed {
            commands: calls.iter().map(|call| call.text.clone()).collect(),
            results: Vec::with_capacity(calls.len()),
        };
        for call in &calls {
            match pyautogui::perform(&call.action, &session.hands).await {
                Ok(result) => done.results.push(result),
                Err(failure) => return Err(stopped(failure, call, done)),
            }
        }
        Ok(done)
    }

    /// Start a program on the desktop and go on without waiting for its window.
    #[tool(
        destructive,
        title = "Start a program",
        example = r#"{"command": ["xterm"]}"#
    )]
    async fn launch(
        &self,
        session: &Session,
        /// The program and its arguments.
        command: Vec<String>,
    ) -> Result<Launched> {
        let pid = session.desktop.launch(&command).await?;
        Ok(Launched { pid })
    }
}

impl Vm {
    /// The calls of a program, checked.
    fn program(&self, command: Option<String>, commands: Option<Vec<String>>) -> Result<Vec<Call>> {
        let texts = match (command, commands) {
            (Some(command), None) => vec![("/command".to_owned(), command)],
            (None, Some(commands)) => {
                let each = commands.into_iter().enumerate();
                each.map(|(number, text)| (format!("/commands/{number}"), text))
                    .collect()
            }
            _ => {
                return Err(Error::param(
                    "/command",
                    "expected either `command` or `commands`",
                ));
            }
        };
        let mut calls = Vec::new();
        for (pointer, text) in &texts {
            let read = pyautogui::read(text).map_err(|wrong| Error::param(pointer, wrong))?;
            calls.extend(read);
        }
        let pointer = texts.first().map_or("/commands", |(pointer, _)| pointer);
        if calls.is_empty() || calls.len() > MOST_CALLS {
            let message = format!("expected 1 to {MOST_CALLS} calls, found {}", calls.len());
            return Err(Error::param(pointer, message));
        }
        let times = calls.iter().map(|call| call.action.time());
        let time = times.fold(Duration::ZERO, Duration::saturating_add);
        if time.as_secs_f64() > self.config.max_seconds {
            let most = self.config.max_seconds;
            let message = format!("it would wait for {time:?} altogether; {most} s is the most");
            return Err(Error::param(pointer, message));
        }
        Ok(calls)
    }
}

/// The failure of one call of a program, with what was done before it.
fn stopped(failure: Failure, call: &Call, done: Performed) -> Error {
    let error = Error::from(failure);
    let message = format!("{}: {}", call.text, error.message());
    Error::new(error.code(), message).with_data(done)
}
