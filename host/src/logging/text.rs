//! A line of the log for people: time, level, who speaks, what happened, and its fields as `key=value`.
//!
//! `tracing-subscriber`'s own layer writes every text through `Debug`, character by character, works the date out anew
//! for each line, and hands all of it through writers that it does not know: a tenth of what a call costs.

use std::{
    cell::Cell,
    fmt::{self, Write},
};

use sandbox_protocol::Timestamp;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Writes each event as one line.
pub(super) struct Text<W> {
    /// Whether a terminal shows it.
    pub(super) coloured: bool,
    /// Takes a line, and whether it is a warning or an error.
    pub(super) take: W,
}

impl<S, W> Layer<S> for Text<W>
where
    S: Subscriber,
    W: Fn(&str, bool) + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        thread_local! {
            /// Its room is kept from line to line. It is not here while a line is written, in which a value may log.
            static LINE: Cell<String> = const { Cell::new(String::new()) };
        }
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        self.write(&mut line, event);
        (self.take)(&line, *event.metadata().level() <= Level::WARN);
        // A thread on its way out has nowhere to keep it.
        let _ = LINE.try_with(|kept| kept.set(line));
    }
}

impl<W> Text<W> {
    fn write(&self, line: &mut String, event: &Event<'_>) {
        let metadata = event.metadata();
        self.in_colour(line, "2", |line| {
            let _ = Timestamp::now().push_to(line);
        });
        let (colour, level) = match *metadata.level() {
            Level::ERROR => ("31", " ERROR "),
            Level::WARN => ("33", "  WARN "),
            Level::INFO => ("32", "  INFO "),
            Level::DEBUG => ("34", " DEBUG "),
            Level::TRACE => ("35", " TRACE "),
        };
        self.in_colour(line, colour, |line| line.push_str(level));
        self.in_colour(line, "2", |line| {
            line.push_str(metadata.target());
            line.push_str(": ");
        });
        event.record(&mut Fields { line, first: true });
        line.push('\n');
    }

    fn in_colour(&self, line: &mut String, colour: &str, write: impl FnOnce(&mut String)) {
        if !self.coloured {
            return write(line);
        }
        line.push_str("\x1b[");
        line.push_str(colour);
        line.push('m');
        write(line);
        line.push_str("\x1b[0m");
    }
}

/// Writes the message, and each field behind its name.
struct Fields<'a> {
    line: &'a mut String,
    first: bool,
}

impl Fields<'_> {
    fn begin(&mut self, field: &Field) -> &mut String {
        if !std::mem::take(&mut self.first) {
            self.line.push(' ');
        }
        let name = field.name();
        if name != "message" {
            self.line.push_str(name);
            self.line.push('=');
        }
        self.line
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, text: &str) {
        let line = self.begin(field);
        if is_plain(text) || field.name() == "message" && is_one_line(text) {
            line.push_str(text);
        } else {
            let _ = write!(line, "{text:?}");
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        let line = self.begin(field);
        line.push_str(itoa::Buffer::new().format(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let line = self.begin(field);
        line.push_str(itoa::Buffer::new().format(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        /// Up to here, whole numbers of thousandths are exact.
        const MOST: f64 = 1e12;
        let line = self.begin(field);
        // Microseconds of a `took_ms` are as much as anybody reads. Whole numbers are much faster to write.
        if (0.0..MOST).contains(&value) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is neither negative nor too large"
            )]
            let thousandths = (value * 1e3).round() as u64;
            line.push_str(itoa::Buffer::new().format(thousandths / 1000));
            // Behind the point all three digits are wanted: those of 1007 without the one.
            let digits = thousandths % 1000 + 1000;
            line.push('.');
            line.push_str(&itoa::Buffer::new().format(digits)[1..]);
        } else {
            let _ = write!(line, "{value:.3}");
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(OneLine(self.begin(field)), "{value:?}");
    }
}

/// Keeps what is displayed from looking like lines of its own.
struct OneLine<'a>(&'a mut String);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if is_one_line(text) {
            return self.0.write_str(text);
        }
        for character in text.chars() {
            if character.is_control() {
                write!(self.0, "{}", character.escape_debug())?;
            } else {
                self.0.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Whether nobody could take the text for anything but one value.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| PLAIN[usize::from(byte)])
}

/// The bytes that a plain text consists of. Every text of every line is looked at.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        plain[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/' | b'#' | b'@' | b'+');
        byte += 1;
    }
    plain
};

fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::prelude::*;

    use super::*;

    fn logged(log: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(String::new()));
        let layer = Text {
            coloured: false,
            take: {
                let lines = Arc::clone(&lines);
                move |line: &str, _| lines.lock().unwrap().push_str(line)
            },
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        lines.lock().unwrap().clone()
    }

    #[test]
    fn a_line_is_a_time_a_level_a_message_and_fields() {
        let line = logged(|| {
            tracing::warn!(target: "sandbox::call", tool = "vm:click", worker = "my run", code = 0, took_ms = 1.25, "call");
        });
        let (time, rest) = line.split_at("2026-01-31T12:00:00.000000Z".len());
        assert!(time.ends_with('Z') && time.starts_with("20"), "{time}");
        assert_eq!(
            rest,
            "  WARN sandbox::call: call tool=vm:click worker=\"my run\" code=0 took_ms=1.250\n"
        );
    }

    #[test]
    fn a_fraction_has_three_digits() {
        let line = logged(|| {
            tracing::info!(
                a = 0.0,
                b = 0.0004,
                c = 0.9996,
                d = 12_345.678_9,
                e = -1.5,
                f = f64::NAN,
                g = 1e15
            );
        });
        assert!(
            line.ends_with(
                "a=0.000 b=0.000 c=1.000 d=12345.679 e=-1.500 f=NaN g=1000000000000000.000\n"
            ),
            "{line}"
        );
    }

    #[test]
    fn nobody_can_write_lines_of_the_log() {
        let forged = "a\n2026-01-31T12:00:00Z ERROR sandbox: forged";
        let lines = logged(|| {
            tracing::info!(worker = forged, "call");
            tracing::info!(error = %forged, "call");
            tracing::info!("{forged}");
        });
        assert_eq!(lines.lines().count(), 3, "{lines}");
    }
}
