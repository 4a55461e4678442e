//! What a protection means to each kind of request.
//!
//! The table of the design, and nothing else: the same obstacle keeps a file
//! from a policy in silence, and makes a person's request a refusal by name.

use crate::model::{Keep, Skip};

/// Who wants the file gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A policy, in a run of the agent or in a sweep over many files.
    Policy,
    /// The completion of the file's own chunk.
    ChunkComplete,
    /// Somebody who named it: `delete`, `trash put`, `session end`, one job's sweep.
    Person,
}

/// What stands against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// A pending or active job may still want it.
    ActiveJob,
    /// Somebody has it open or mapped.
    InUse,
    /// A hold or a `keep` mark.
    Held,
    /// `protect`, or guardian's own.
    Protected,
}

impl Obstacle {
    /// The obstacle that a verdict names, if it is one of these.
    pub const fn of(keep: &Keep) -> Option<Self> {
        match keep {
            Keep::ActiveJob => Some(Self::ActiveJob),
            Keep::Held => Some(Self::Held),
            Keep::Protected => Some(Self::Protected),
            _ => None,
        }
    }

    /// The obstacle that was found when the file was looked at again, if it is one of these.
    pub const fn found(skip: Skip) -> Option<Self> {
        match skip {
            Skip::ActiveJob => Some(Self::ActiveJob),
            Skip::InUse => Some(Self::InUse),
            Skip::Held => Some(Self::Held),
            Skip::Protected => Some(Self::Protected),
            Skip::Changed | Skip::Vanished | Skip::Linked => None,
        }
    }

    /// In words that follow the name of a file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ActiveJob => "its job is pending or active",
            Self::InUse => "it is open or mapped",
            Self::Held => "it is held",
            Self::Protected => "it is protected",
        }
    }
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// No obstacle to this request.
    Go,
    /// It stays, and is counted.
    Keep,
    /// It stays for now, and is tried again.
    TryAgain,
    /// The request is refused by the file's name (409).
    Refuse,
}

/// What an obstacle means to a request.
pub const fn answer(asked: Asked, obstacle: Obstacle) -> Answer {
    match (asked, obstacle) {
        // The chunk's own files only: which they are is for the caller to see to.
        (Asked::ChunkComplete, Obstacle::ActiveJob) => Answer::Go,
        (Asked::Policy | Asked::ChunkComplete, _) => Answer::Keep,
        (Asked::Person, Obstacle::InUse) => Answer::TryAgain,
        (Asked::Person, _) => Answer::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_is_complete_goes_though_its_job_is_at_work_and_nothing_else_does() {
        for asked in [Asked::Policy, Asked::ChunkComplete, Asked::Person] {
            for obstacle in [Obstacle::ActiveJob, Obstacle::InUse, Obstacle::Held, Obstacle::Protected] {
                let goes = asked == Asked::ChunkComplete && obstacle == Obstacle::ActiveJob;
                assert_eq!(answer(asked, obstacle) == Answer::Go, goes, "{asked:?} {obstacle:?}");
            }
        }
    }

    #[test]
    fn who_names_a_file_is_refused_and_an_open_one_is_tried_again() {
        assert_eq!(answer(Asked::Person, Obstacle::Held), Answer::Refuse);
        assert_eq!(answer(Asked::Person, Obstacle::ActiveJob), Answer::Refuse);
        assert_eq!(answer(Asked::Person, Obstacle::Protected), Answer::Refuse);
        assert_eq!(answer(Asked::Person, Obstacle::InUse), Answer::TryAgain);
    }
}
