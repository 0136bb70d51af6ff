//! A line of the log for people: time, level, who speaks, what happened, and its fields as `key=value`.
//!
//! `tracing-subscriber`'s own form of this writes every text through `Debug`, character by character, and
//! works the date out anew for each line: with a line per call, a tenth of what a call costs.

use std::{
    cell::Cell,
    fmt::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use sandbox_protocol::Timestamp;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// The form of a line.
pub(super) struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let dim = Colour(line.has_ansi_escapes(), "2");
        dim.write(&mut line, |line| write_time(line, SystemTime::now()))?;
        let (colour, level) = match *metadata.level() {
            Level::ERROR => ("31", " ERROR "),
            Level::WARN => ("33", "  WARN "),
            Level::INFO => ("32", "  INFO "),
            Level::DEBUG => ("34", " DEBUG "),
            Level::TRACE => ("35", " TRACE "),
        };
        Colour(line.has_ansi_escapes(), colour).write(&mut line, |line| line.write_str(level))?;
        dim.write(&mut line, |line| {
            line.write_str(metadata.target())?;
            line.write_str(": ")
        })?;
        let mut fields = Fields {
            line: &mut line,
            first: true,
            result: Ok(()),
        };
        event.record(&mut fields);
        fields.result?;
        line.write_char('\n')
    }
}

/// A colour of terminals, where the log goes to one.
struct Colour(bool, &'static str);

impl Colour {
    fn write(
        &self,
        line: &mut Writer<'_>,
        write: impl FnOnce(&mut Writer<'_>) -> fmt::Result,
    ) -> fmt::Result {
        if !self.0 {
            return write(line);
        }
        write!(line, "\x1b[{}m", self.1)?;
        write(line)?;
        line.write_str("\x1b[0m")
    }
}

/// Writes the time, whose date and seconds are worked out once a second and thread.
fn write_time(line: &mut Writer<'_>, now: SystemTime) -> fmt::Result {
    /// As long as `2026-01-31T12:00:00.`.
    const SECONDS: usize = 20;
    thread_local! {
        static LAST: Cell<(u64, [u8; SECONDS])> = const { Cell::new((u64::MAX, [0; SECONDS])) };
    }
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut second, mut text) = LAST.get();
    if second != since.as_secs() {
        let whole = Timestamp::from(now).to_string();
        let Some((seconds, _)) = whole.as_bytes().split_first_chunk::<SECONDS>() else {
            return line.write_str(&whole);
        };
        (second, text) = (since.as_secs(), *seconds);
        LAST.set((second, text));
    }
    let mut rest = *b"000000Z";
    let mut micros = since.subsec_micros();
    for digit in rest[..6].iter_mut().rev() {
        // A digit of a number below ten.
        *digit = b'0' + u8::try_from(micros % 10).unwrap_or_default();
        micros /= 10;
    }
    for part in [&text[..], &rest] {
        line.write_str(str::from_utf8(part).unwrap_or_default())?;
    }
    Ok(())
}

/// Writes the message, and each field behind its name.
struct Fields<'a, 'w> {
    line: &'a mut Writer<'w>,
    first: bool,
    result: fmt::Result,
}

impl Fields<'_, '_> {
    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        let name = field.name();
        let line = &mut *self.line;
        let write = || {
            if !std::mem::take(&mut self.first) {
                line.write_char(' ')?;
            }
            if name != "message" {
                line.write_str(name)?;
                line.write_char('=')?;
            }
            value(line)
        };
        if let Err(error) = write() {
            self.result = Err(error);
        }
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, text: &str) {
        self.write(field, |line| {
            if is_plain(text) || field.name() == "message" && is_one_line(text) {
                line.write_str(text)
            } else {
                write!(line, "{text:?}")
            }
        });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |line| write!(line, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |line| write!(line, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // Microseconds of a `took_ms` are as much as anybody reads.
        self.write(field, |line| write!(line, "{value:.3}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, |line| write!(OneLine(line), "{value:?}"));
    }
}

/// Keeps what is displayed from looking like lines of its own.
struct OneLine<'a, 'w>(&'a mut Writer<'w>);

impl Write for OneLine<'_, '_> {
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
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/#@+".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use tracing_subscriber::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> String {
        let output = Output::default();
        let writer = output.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Text)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = output.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
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
    fn nobody_can_write_lines_of_the_log() {
        let forged = "a\n2026-01-31T12:00:00Z ERROR sandbox: forged";
        let lines = logged(|| {
            tracing::info!(worker = forged, "call");
            tracing::info!(error = %forged, "call");
            tracing::info!("{forged}");
        });
        assert_eq!(lines.lines().count(), 3, "{lines}");
    }

    #[test]
    fn the_time_is_right_within_a_second_and_over_its_end() {
        for nanos in [0, 999_999_999, 1_000_000_000, 1_500_001_000] {
            let time = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_000 + nanos);
            let mut text = String::new();
            write_time(&mut Writer::new(&mut text), time).unwrap();
            assert_eq!(text, Timestamp::from(time).to_string());
        }
    }
}
