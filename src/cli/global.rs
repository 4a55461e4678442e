//! What goes with every verb: how its results are shown, and where the agent
//! and its settings are. Must not know: any verb.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What goes with every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "With every command")]
pub(super) struct Global {
    /// Print the HTTP body
    #[arg(long, global = true, conflicts_with = "jsonl")]
    pub(super) json: bool,
    /// Print lists as JSON lines
    #[arg(long, global = true)]
    pub(super) jsonl: bool,
    /// No messages but errors; a sweep without any says nothing
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// More messages
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(super) verbose: bool,
    /// The agent's socket
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// The configuration file [default: /etc/guardian/guardian.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Colours; `auto` only on a terminal and without NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}
