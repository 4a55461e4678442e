//! What goes to the user: results on stdout, progress and messages on stderr.
//!
//! A reader that went away (`guardian files | head`) ends the output, not the
//! command with a panic.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::failure::{Exit, Failure};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// The HTTP body.
    Json,
    /// Lists as one JSON value per line.
    JsonLines,
}

/// A colour with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Needs attention.
    Warn,
    /// Wrong.
    Bad,
    /// Headings.
    Strong,
    /// Of less interest.
    Faint,
}

/// Where results go and how they look.
pub struct Output {
    sink: Box<dyn Write>,
    gone: bool,
    /// How results are written.
    pub format: Format,
    /// Whether colours are used.
    pub colour: bool,
    /// Columns of the terminal; `None` where the output is not one.
    pub width: Option<usize>,
    /// No messages but errors.
    pub quiet: bool,
    /// More messages.
    pub verbose: bool,
}

impl Output {
    /// Standard output. `colour`: `Some` from `--color always|never`.
    pub fn stdout(format: Format, colour: Option<bool>, quiet: bool, verbose: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let width = rustix::termios::tcgetwinsize(io::stdout())
            .ok()
            .map(|size| size.ws_col)
            .filter(|columns| *columns > 0);
        Self {
            sink: Box::new(io::BufWriter::new(io::stdout())),
            gone: false,
            format,
            colour: colour.unwrap_or(terminal && wanted),
            width: width.filter(|_| terminal).map(|columns| usize::from(columns).max(40)),
            quiet,
            verbose,
        }
    }

    /// For tests and other places than the terminal.
    pub fn to(sink: Box<dyn Write>, format: Format, width: Option<usize>) -> Self {
        Self { sink, gone: false, format, colour: false, width, quiet: false, verbose: false }
    }

    /// Whether the reader went away.
    pub const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Writes a line of a result.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.bytes(text.as_ref().as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes a body as it came, ended by a line break.
    pub fn body(&mut self, body: &[u8]) -> Result<(), Failure> {
        self.bytes(body)?;
        if body.ends_with(b"\n") { Ok(()) } else { self.bytes(b"\n") }
    }

    /// Writes a value in the chosen JSON format: a list by lines with `--jsonl`.
    pub fn json(&mut self, value: &Value) -> Result<(), Failure> {
        match value.get("items").and_then(Value::as_array) {
            Some(items) if self.format == Format::JsonLines => {
                for item in items {
                    self.line(item.to_string())?;
                }
                Ok(())
            }
            _ => self.line(value.to_string()),
        }
    }

    /// Makes everything written so far visible.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.gone {
            return Ok(());
        }
        let flushed = self.sink.flush();
        self.settle(flushed)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.gone {
            return Ok(());
        }
        let written = self.sink.write_all(bytes);
        self.settle(written)
    }

    fn settle(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            other => {
                other.map_err(|why| Failure::new(Exit::Failures, "write to standard output", why.to_string()))
            }
        }
    }

    /// Text in a colour, where colours are used.
    pub fn tone(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Strong => "1",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A message beside the result, unless `-q`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            tell(text);
        }
    }
}

/// Writes a line to stderr; nothing can be done when that fails.
pub(super) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
