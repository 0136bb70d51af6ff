//! The one way to stdout and stderr, and the shape of tables.

use serde::Serialize;
use std::io::{self, ErrorKind, Write};

/// Writes data to stdout. A reader that has closed its end (`| head`) has seen enough: no error.
///
/// # Errors
///
/// When stdout cannot be written for another reason, such as a full disk.
pub(in crate::cli) fn print(text: &str) -> io::Result<()> {
    tolerate_closed_pipe(write_line(&mut io::stdout().lock(), text))
}

/// Writes data to stdout as JSON for a program to read.
///
/// # Errors
///
/// As [`print`].
pub(in crate::cli) fn print_json(value: &impl Serialize) -> io::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Writes bytes to stdout as they are.
///
/// # Errors
///
/// As [`print`].
pub(in crate::cli) fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    tolerate_closed_pipe(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Says something to the person at the terminal.
pub(in crate::cli) fn talk(text: &str) {
    // There is nowhere left to complain about a closed stderr.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn write_line(sink: &mut impl Write, text: &str) -> io::Result<()> {
    // One write, so that a closed pipe is met once, and lines of two programs do not mix.
    let mut line = String::with_capacity(text.len() + 1);
    line.push_str(text);
    if !text.ends_with('\n') {
        line.push('\n');
    }
    sink.write_all(line.as_bytes())?;
    sink.flush()
}

fn tolerate_closed_pipe(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Lines up the columns of rows; the last column is as wide as it likes.
pub(in crate::cli) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let start = text.len();
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        let end = text[start..].trim_end().len() + start;
        text.truncate(end);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink whose reader is gone, or whose disk is full.
    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        let write = |kind| tolerate_closed_pipe(write_line(&mut Failing(kind), "text"));
        write(ErrorKind::BrokenPipe).unwrap();
        write(ErrorKind::StorageFull).unwrap_err();
    }

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let rows = [["a", "b", "c"], ["äöü", "", ""]].map(|row| row.map(String::from));
        assert_eq!(table(&rows), "a    b  c\näöü\n");
        assert_eq!(table::<2>(&[]), "");
    }
}
