//! Wiring and supervision: what turns settings into guarded roots and a
//! registry of jobs, for the resident agent and for a command that works alone.

pub mod engine;
pub mod jobs;
pub mod log;
pub mod plans;
pub mod roots;
pub mod runs;
pub mod state;
pub mod surroundings;
pub mod turns;

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}
