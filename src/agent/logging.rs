//! Where log lines go, and in which form. One line an event.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, Verbosity};

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
    let journal = match format {
        LogFormat::Journald => true,
        LogFormat::Auto => std::env::var_os("JOURNAL_STREAM").is_some(),
        LogFormat::Text | LogFormat::Json => false,
    };
    if journal && let Ok(layer) = tracing_journald::layer() {
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
