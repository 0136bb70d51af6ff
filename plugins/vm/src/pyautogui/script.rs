//! From text to calls: first the tokens, of which few kinds are allowed, then the syntax.
//!
//! The tokens are looked at first because a tree of syntax as deep as a text is long is taken apart on the stack, and
//! a stack that overflows ends the server.

use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{Expr, ExprCall, Stmt};
use ruff_python_parser::{Mode, lexer, parse_module};
use ruff_text_size::Ranged;

use super::action::Action;

/// Longer programs are not typed by hand.
const LONGEST: usize = 64 * 1024;
/// Brackets in brackets: a list in a call needs two.
const DEEPEST: usize = 16;
/// The modules that may be imported, and whose functions are known.
const MODULES: [&str; 2] = ["pyautogui", "time"];

/// One call, with the text it was written as.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) text: String,
    pub(crate) action: Action,
}

/// Reads a program.
///
/// # Errors
/// A message with the line of what is not understood.
pub(crate) fn read(text: &str) -> Result<Vec<Call>, String> {
    if text.len() > LONGEST {
        return Err(format!("a program has at most {LONGEST} bytes"));
    }
    check_tokens(text)?;
    let parsed = parse_module(text).map_err(|error| {
        let line = line_of(text, error.location.start().to_usize());
        format!("line {line}: this is no Python ({})", error.error)
    })?;
    let mut calls = Vec::new();
    for statement in &parsed.syntax().body {
        let span = statement.range();
        let (start, end) = (span.start().to_usize(), span.end().to_usize());
        let read = call(statement).and_then(|call| call.map(Action::of).transpose());
        let action = read.map_err(|wrong| format!("line {}: {wrong}", line_of(text, start)))?;
        calls.extend(action.map(|action| Call {
            text: text[start..end].to_owned(),
            action,
        }));
    }
    if calls.is_empty() {
        return Err("there is no call in it, as `pyautogui.click(100, 200)`".into());
    }
    Ok(calls)
}

/// The call that a statement is; none for an import.
fn call(statement: &Stmt) -> Result<Option<&ExprCall>, String> {
    match statement {
        Stmt::Expr(expression) => match &*expression.value {
            Expr::Call(call) => Ok(Some(call)),
            _ => Err(only_calls()),
        },
        Stmt::Import(import) => {
            let known = import
                .names
                .iter()
                .all(|alias| alias.asname.is_none() && MODULES.contains(&alias.name.as_str()));
            if known { Ok(None) } else { Err(only_calls()) }
        }
        _ => Err(only_calls()),
    }
}

fn only_calls() -> String {
    "only calls of pyautogui and of time.sleep with literal arguments are understood".into()
}

/// Refuses every text that could become a deep tree: brackets in brackets, and what nests without brackets, as
/// operators, attributes of attributes and calls of calls do.
fn check_tokens(text: &str) -> Result<(), String> {
    use TokenKind::{
        Comma, Comment, Dot, EndOfFile, Equal, False, Float, Import, Int, Lpar, Lsqb, Minus, Name,
        Newline, NonLogicalNewline, None, Rpar, Rsqb, Semi, String, True,
    };
    let mut tokens = lexer::lex(text, Mode::Module);
    let (mut depth, mut dots) = (0_usize, 0);
    let (mut before, mut line) = (Newline, 1);
    loop {
        let token = tokens.next_token();
        dots = match token {
            Dot => dots + 1,
            Name => dots,
            _ => 0,
        };
        let fine = match token {
            EndOfFile => return Ok(()),
            Lpar | Lsqb => {
                depth += 1;
                depth <= DEEPEST && !matches!(before, Rpar | Rsqb)
            }
            Rpar | Rsqb => {
                depth = depth.saturating_sub(1);
                true
            }
            Dot => dots < 2 && before == Name,
            Minus => matches!(before, Lpar | Lsqb | Comma | Equal),
            Comma | Comment | Equal | False | Float | Import | Int | Name | Newline
            | NonLogicalNewline | None | Semi | String | True => true,
            _ => false,
        };
        if !fine {
            return Err(format!("line {line}: {}", only_calls()));
        }
        if matches!(token, Newline | NonLogicalNewline) {
            line += 1;
        }
        if !matches!(token, Comment | NonLogicalNewline) {
            before = token;
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_program_as_agents_write_it_is_read() {
        let text = "import pyautogui, time\n# go\npyautogui.click(\n    x=10, y=20.4, button='right')\n\
                    time.sleep(0.5); pyautogui.write(\"it's \\u4e16\" '界')\n";
        let calls = read(text).unwrap();
        let texts: Vec<&str> = calls.iter().map(|call| call.text.as_str()).collect();
        assert_eq!(texts[1], "time.sleep(0.5)");
        assert_eq!(calls.len(), 3);
        assert!(matches!(&calls[2].action, Action::Write { text, .. } if text == "it's 世界"));
    }

    #[test]
    fn what_is_no_call_of_ours_is_refused() {
        for text in [
            "",
            "import os",
            "import pyautogui as os",
            "os.system('x')",
            "__import__('os').system('x')",
            "pyautogui.click(open('x'))",
            "pyautogui.click(x=1 if True else 2)",
            "pyautogui.click(*[1, 2])",
            "pyautogui.click(**{'x': 1})",
            "pyautogui.write(f'{1}')",
            "pyautogui.click.__globals__",
            "x = pyautogui.click(1, 2)",
            "[pyautogui.click(1, 2) for _ in range(9)]",
            "while True: pyautogui.click(1, 2)",
            "pyautogui.screenshot()",
            "pyautogui.click(1, 2, 3, 4, 'left', 6, 7, 8, 9, 10)",
            "pyautogui.click(x=1, x=2)",
            "pyautogui.click(1, x=2)",
            "pyautogui.press('nokey')",
            "pyautogui.press('a', presses=10**9)",
            "time.sleep(-1)",
            "time.sleep(1e400)",
            "pyautogui.sleep('1')",
        ] {
            assert!(read(text).is_err(), "{text} was understood");
        }
        assert_eq!(
            read("\npyautogui.clik(1, 2)").unwrap_err(),
            "line 2: there is no pyautogui.clik; did you mean `click`?"
        );
    }

    #[test]
    fn deep_and_long_programs_do_not_hurt() {
        assert!(read(&"(".repeat(60_000)).is_err());
        for nested in [
            "-",
            "- ",
            "not ",
            "a.",
            "a()",
            "a[0]",
            "1-",
            "1 if 1 else ",
            "lambda:",
            "[0,",
            "(",
            "{0:",
        ] {
            let text = nested.repeat(60_000 / nested.len());
            assert!(read(&text).is_err(), "{nested}");
            assert!(
                read(&format!("pyautogui.click({text}")).is_err(),
                "{nested}"
            );
        }
        assert!(read(&"x".repeat(LONGEST + 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            drop(read(&text));
        }

        #[test]
        fn near_programs_are_read_or_refused(
            words in proptest::collection::vec("pyautogui|\\.|click|write|\\(|\\)|,|=|'|\"|-|1|[a-z]|\\[|\\]|\n| |\\*", 0..40)
        ) {
            drop(read(&words.concat()));
        }

        #[test]
        fn text_to_write_comes_back_as_it_was(text in "\\PC{1,50}") {
            let quoted = text.replace('\\', "\\\\").replace('\'', "\\'");
            let calls = read(&format!("pyautogui.write('{quoted}')")).unwrap();
            let Action::Write { text: read, .. } = &calls[0].action else { panic!("no write") };
            prop_assert_eq!(read, &text);
        }

        #[test]
        fn places_come_back_as_they_were(x in -9999i32..9999, y in -9999i32..9999) {
            let by_place = read(&format!("pyautogui.moveTo({x}, {y})")).unwrap();
            let by_name = read(&format!("pyautogui.moveTo(y={y}, x={x})")).unwrap();
            prop_assert_eq!(&by_place[0].action, &by_name[0].action);
        }
    }
}
