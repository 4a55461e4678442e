//! Where log lines go, and in which form. One line an event.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, Verbosity};
use crate::sys::journal::{self, JournalSocket};

use super::journal::Journal;

/// The variable that overrides the level, in the syntax of tracing's filters
/// (`debug`, `guardian::sweep=debug`).
const LEVEL_VARIABLE: &str = "GUARDIAN_LOG";

/// Starts logging. Whatever can't be had falls back to lines on standard
/// error: an agent that can't log as wished still guards.
pub fn start(format: LogFormat, verbosity: Verbosity) {
    let level = match verbosity {
        Verbosity::Quiet => "warn",
        Verbosity::Normal => "info",
        // Other crates' details are of no use to an operator.
        Verbosity::Verbose => "info,guardian=debug",
    };
    let filter = EnvFilter::try_from_env(LEVEL_VARIABLE).unwrap_or_else(|_| EnvFilter::new(level));
    let registry = tracing_subscriber::registry().with(filter);
    let wants_journal = match format {
        LogFormat::Journald => true,
        LogFormat::Auto => journal::is_stderr(),
        LogFormat::Text | LogFormat::Json => false,
    };
    if wants_journal && let Ok(socket) = JournalSocket::open(Path::new(journal::SOCKET)) {
        let layer = Journal::new(Box::new(move |entry| socket.send(entry)), Box::new(journal::tell_stderr));
        // Logging may have been started by whoever runs the agent in-process.
        let _ = registry.with(layer).try_init();
        return;
    }
    let terminal = std::io::stderr().is_terminal();
    let json = format == LogFormat::Json || (format == LogFormat::Auto && !terminal);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let _ = if json {
        registry.with(lines.json().flatten_event(true)).try_init()
    } else {
        registry.with(lines.with_ansi(terminal)).try_init()
    };
}

/// Starts logging for a command that works without an agent: what goes wrong
/// is told on standard error as it happens, with `-v` also what is done.
pub fn start_for_command(verbosity: Verbosity) {
    let level = match verbosity {
        Verbosity::Quiet => "error",
        Verbosity::Normal => "warn",
        Verbosity::Verbose => "info",
    };
    let filter = EnvFilter::try_from_env(LEVEL_VARIABLE).unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| OverProgress(io::stderr()))
        .with_target(false)
        .without_time()
        .with_ansi(false);
    // Whoever runs several commands in one process keeps the first one's.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}

/// Standard error; on a terminal a line takes the place of a progress bar, which
/// is drawn again below it.
struct OverProgress(io::Stderr);

impl Write for OverProgress {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.is_terminal() {
            self.0.write_all(b"\r\x1b[2K")?;
        }
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
