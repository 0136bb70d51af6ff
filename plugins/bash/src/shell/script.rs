//! The shell's side of the conversation: the files it sources and the lines that make it do so.
//!
//! A shell is interactive, without a terminal: only an interactive one survives an interrupt, a failed expansion or an
//! unset variable. It reads *lines* from a socket, its standard input, and each line sources a *file* that the server
//! wrote. So a line holds no quotes: when an interrupt throws away the beginning of one, the rest cannot swallow the
//! next. A sourced file also runs as if not interactive, without notices of job numbers.
//!
//! The shell answers on the same socket, which commands do not have. An answer bears the call's nonce.

use std::fmt::Write as _;

use crate::config::Start;

/// Keeps a shell running. `$1` is the shell. File descriptors 8 and 9 are the outputs of commands; the shell's own are
/// nowhere, so that prompts and traces of our lines are not taken for a command's output.
pub(crate) const SUPERVISE: &str = r#"command -v "$1" >/dev/null || exit 127
while :; do
    "$1" --noprofile --norc --noediting -i 8>&1 9>&2 >/dev/null 2>&1
    printf '\001exit %s\0' "$?" >&0 || exit 1
done"#;

/// Answers `mark NONCE STATUS DIRECTORY`, between a byte 1 and a byte 0. Written so that options and functions of the user's do not matter.
pub(crate) const MARK: &str = r#"\builtin printf '\001mark %s %s ' "$1" "$?" >&0
\builtin pwd >&0 || \builtin echo >&0
\builtin printf '\0' >&0
"#;

/// Starts a long command. `$1` is its folder, `$2` and `$3` its input and output, `$4` its name, `$5` and on the words
/// that give it a session and perhaps a terminal.
///
/// It is no child of the shell, so that the shell's `wait` does not wait for it; a shell beside it reports its pid
/// and its exit code. Signals that a background command would ignore are given back.
pub(crate) const START: &str = r#"\exec 203>"$1/status" 204<"$2" 205>"$3"
( (
    \builtin trap - EXIT
    \builtin printf 'pid %s\0' "$BASHPID" >&203
    \command env --default-signal=INT,QUIT SANDBOX_JOB="$4" "${@:5}" "$BASH" "$1/command" \
        <&204 >&205 2>&1 203>&- 204>&- 205>&- &&
        \builtin printf 'exit 0\0' >&203 || \builtin printf 'exit %s\0' "$?" >&203
) & )
\exec 203>&- 204<&- 205>&-
"#;

/// Prepares a new shell.
pub(crate) fn init(start: &Start) -> String {
    let mut text = String::from(
        "\\exec 201>&8 202>&9 8>&- 9>&-\n\
         \\builtin set +o history +H\n\
         \\builtin unset HISTFILE MAILCHECK\n\
         PS1= PS2=\n",
    );
    for (name, value) in &start.env {
        // A String takes every write.
        let _ = writeln!(text, "\\builtin export {name}={}", quoted(value));
    }
    let _ = writeln!(text, "\\builtin cd -- {}", quoted(&start.cwd));
    text
}

/// The lines that run a command file and then ask for a mark. `status` is what `$?` shall be at its start.
pub(crate) fn run(folder: &str, has_stdin: bool, status: i32, nonce: &str) -> String {
    let folder = escaped(folder);
    let stdin = if has_stdin {
        format!("{folder}/stdin")
    } else {
        "/dev/null".into()
    };
    let before = if status == 0 {
        String::new()
    } else {
        format!("(\\builtin exit {status}) || ")
    };
    format!(
        "{before}\\builtin . {folder}/command <{stdin} >&201 2>&202 201>&- 202>&-\n\
         \\builtin . {folder}/mark {nonce}\n"
    )
}

/// The line that prepares a new shell, and one that asks for a mark.
pub(crate) fn prepare(folder: &str, nonce: &str) -> String {
    let folder = escaped(folder);
    format!("\\builtin . {folder}/init\n\\builtin . {folder}/mark {nonce}\n")
}

/// A line that asks for a mark.
pub(crate) fn mark(folder: &str, nonce: &str) -> String {
    format!("\\builtin . {}/mark {nonce}\n", escaped(folder))
}

/// The lines that start a long command.
pub(crate) fn start(folder: &str, job: &str, terminal: Option<&str>, nonce: &str) -> String {
    let folder = escaped(folder);
    let dir = format!("{folder}/{job}");
    let (input, output, session) = match terminal {
        Some(terminal) => (
            terminal.to_owned(),
            terminal.to_owned(),
            "TERM=xterm-256color setsid --ctty --wait",
        ),
        None => (format!("{dir}/in"), format!("{dir}/out"), "setsid --wait"),
    };
    format!(
        "\\builtin . {folder}/start {dir} {input} {output} {job} {session} </dev/null 201>&- 202>&-\n\
         \\builtin . {folder}/mark {nonce}\n"
    )
}

/// `text` as one word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `path` as one word of the shell, without quotes.
fn escaped(path: &str) -> String {
    let mut word = String::with_capacity(path.len());
    for c in path.chars() {
        if !c.is_ascii_alphanumeric() && !"/_.-".contains(c) {
            word.push('\\');
        }
        word.push(c);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_as_they_are() {
        for text in [
            "",
            "plain",
            "it's",
            "a b\t$HOME `id` \\ \"x\" !",
            "世界; rm",
        ] {
            let output = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {}", quoted(text))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), text);
        }
        let path = "/tmp/a b'c\"d$e/世";
        let output = std::process::Command::new("bash")
            .args(["-c", &format!("printf %s {}", escaped(path))])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), path);
    }

    #[test]
    fn lines_hold_no_quotes() {
        let lines = run("/f", true, 3, "n")
            + &prepare("/f", "n")
            + &start("/f", "j", Some("/dev/pts/0"), "n");
        assert!(!lines.contains(['\'', '"', '`']), "{lines}");
    }
}
