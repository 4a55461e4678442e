//! Where a value came from, and what can be wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::escape_control;

/// Where a value in effect came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// Follows from another key; the text says which.
    Derived(&'static str),
    /// A file.
    File {
        /// Which file.
        path: Arc<Path>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// An environment variable, by its name.
    Env(String),
    /// A command-line flag, as typed (`--root`).
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Derived(from) => write!(f, "derived from {from}"),
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", escape_control(&path.to_string_lossy()))
            }
            Self::Env(name) => write!(f, "environment variable {}", escape_control(name)),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One thing that is wrong, in one line: `FILE:LINE:COLUMN: KEY: found …; allowed: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// The key with its table (`agent.socket`, `root.scratch.retain.orphans`); empty for bad syntax.
    pub key: String,
    /// What was found, as it stands in the file.
    pub found: String,
    /// What is allowed, or what to do instead.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", escape_control(&self.key))?;
        }
        write!(f, "found {}; allowed: {}", escape_control(&self.found), escape_control(&self.allowed))
    }
}

/// Something odd that does not stop the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub origin: Origin,
    /// What, in one line.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, escape_control(&self.text))
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or directory of the configuration could not be read.
    #[error("failed to read configuration {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Everything that is wrong, at once, in the order of the sources.
    #[error("failed to accept the configuration: {} {}{}", .0.len(), if .0.len() == 1 { "problem" } else { "problems" }, listed(.0))]
    Invalid(Vec<Problem>),
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}
