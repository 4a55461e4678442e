//! How a command ends: exit codes, and failures in words.

use std::path::PathBuf;

use crate::api::ApiError;
use crate::model::TimeSpan;

/// Exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; also dry runs and nothing to do.
    Done,
    /// Done with failures; for `health` a warning.
    Failures,
    /// Usage or configuration.
    Usage,
    /// Target not reached; for `health` critical or a root suspended.
    Short,
    /// No agent answers.
    NoAgent,
    /// Not permitted, rate limit, lock held, conflicting request.
    Refused,
    /// Interrupted.
    Interrupted,
    /// As the command ended that was run.
    Command(u8),
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failures => 1,
            Self::Usage => 2,
            Self::Short => 3,
            Self::NoAgent => 4,
            Self::Refused => 5,
            Self::Interrupted => 130,
            Self::Command(status) => status,
        }
    }

    /// What a refused request means for the exit code. A name that nothing has is
    /// a mistake of whoever typed it, wherever the request carried it (the path
    /// answers 404, a body 400).
    const fn of_status(status: u16) -> Self {
        match status {
            400 | 404 | 413 => Self::Usage,
            403 | 409 | 429 => Self::Refused,
            408 | 503 | 504 => Self::NoAgent,
            _ => Self::Failures,
        }
    }
}

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempt}: {cause}")]
pub struct Failure {
    /// What was tried, as a verb with its object.
    pub attempt: String,
    /// Why it did not work, causes joined by colons.
    pub cause: String,
    /// What the user can do.
    pub help: Option<String>,
    /// How the process ends.
    pub exit: Exit,
}

impl Failure {
    /// A failure in words.
    pub fn new(exit: Exit, attempt: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { attempt: attempt.into(), cause: cause.into(), help: None, exit }
    }

    /// A contradiction in what was asked for.
    pub fn usage(attempt: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::new(Exit::Usage, attempt, cause)
    }

    /// A refusal of the agent, or of own-process mode.
    pub fn refused(attempt: impl Into<String>, error: &ApiError) -> Self {
        let again =
            error.retry_after_seconds.map(|seconds| format!("try again in {}", TimeSpan::from_secs(seconds)));
        let help = error.help.clone().or(again);
        Self { help, ..Self::new(Exit::of_status(error.status), attempt, &*error.detail) }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Why no agent answered.
#[derive(Debug, thiserror::Error)]
#[error("no agent answers: {}", list(tried))]
pub struct NoAgent {
    /// Each socket and what it said.
    pub tried: Vec<(PathBuf, String)>,
    /// Whether each was absent or refused: then there is no agent, and a
    /// command may work in its own process.
    pub absent: bool,
}

fn list(tried: &[(PathBuf, String)]) -> String {
    let each: Vec<_> = tried.iter().map(|(path, why)| format!("{}: {why}", path.display())).collect();
    each.join("; ")
}

impl NoAgent {
    pub(super) fn into_failure(self, attempt: impl Into<String>) -> Failure {
        let help = if self.absent {
            "start the agent (guardian run), or name its socket with --socket or GUARDIAN_SOCKET"
        } else {
            "an agent is there but cannot be spoken to: check who may open the socket, and the agent's log"
        };
        Failure::new(Exit::NoAgent, attempt, self.to_string()).with_help(help)
    }
}
