//! What decisions are made by: a root's rules and the moment.
//!
//! Plain values that the caller fills from configuration, ledger and clocks.
//! Must not know: where any of them came from.

use std::time::Duration;

use super::{Globs, Patterns};
use crate::model::{ChunkId, FileTimes, JobId, RootName, SessionId, Timestamp};

/// How long things are kept (configuration `[root.retain]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retain {
    /// Age at which a file that belongs to nobody is due.
    pub orphans: Duration,
    /// The same in an emergency.
    pub emergency_orphans: Duration,
    /// How long files of failed, cancelled and error jobs stay after the failure.
    pub failed_jobs: Duration,
    /// How long temporary files of completed jobs stay after the end.
    pub completed_jobs: Duration,
    /// How long results stay after the job ended.
    pub results: Duration,
    /// How long soft-deleted files stay.
    pub trash: Duration,
    /// How long a session without activity goes on.
    pub sessions: Duration,
    /// Everything older goes at the scheduled sweep; `None`: no such limit.
    pub max_age: Option<Duration>,
    /// What an emergency's last phase never takes younger than this.
    pub min_age: Duration,
}

impl Default for Retain {
    /// The defaults of the configuration reference.
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self {
            orphans: 24 * HOUR,
            emergency_orphans: HOUR,
            failed_jobs: HOUR,
            completed_jobs: HOUR,
            results: 30 * 24 * HOUR,
            trash: 30 * 24 * HOUR,
            sessions: HOUR,
            max_age: None,
            min_age: Duration::from_secs(60),
        }
    }
}

/// What a root's configuration says about its files.
#[derive(Debug, Clone)]
pub struct RootRules {
    /// The root's name: jobs may be bound to one.
    pub root: RootName,
    /// How names are read as jobs.
    pub patterns: Patterns,
    /// What is never removed.
    pub protect: Globs,
    /// What counts as a result.
    pub results: Globs,
    /// Which times a file's age counts from.
    pub age_by: FileTimes,
    /// How long things are kept.
    pub retain: Retain,
    /// How long after the registry began files that name unknown jobs are
    /// spared; `None`: as long as the orphan age in force.
    pub registry_grace: Option<Duration>,
    /// Whether what names no job and nobody tracks is an orphan even under `results`.
    pub orphans_untracked: bool,
    /// Whether a job's directory goes all or not at all.
    pub whole_trees: bool,
}

impl RootRules {
    /// The orphan age in force, before `--older-than`.
    pub const fn orphan_age(&self, emergency: bool) -> Duration {
        if emergency { self.retain.emergency_orphans } else { self.retain.orphans }
    }

    /// How long after the registry began files of unknown jobs are spared.
    /// `--older-than` never changes it.
    pub fn grace(&self, emergency: bool) -> Duration {
        self.registry_grace.unwrap_or_else(|| self.orphan_age(emergency))
    }
}

/// The circumstances of a decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moment {
    /// The time ages are measured against. The caller gives the newest time
    /// found in the root instead of the clock's when the clock is not trusted
    /// in an emergency.
    pub now: Timestamp,
    /// What the clock itself says, where `now` is not its time.
    pub wall: Option<Timestamp>,
    /// Whether this is an emergency.
    pub emergency: bool,
    /// Whether the clock can be trusted with ages (see [`super::ClockGuard`]).
    pub clock_trusted: bool,
    /// Whether space is so short that `retain.min_age` is suspended (see [`super::is_urgent`]).
    pub min_age_suspended: bool,
    /// Replaces the policy's age; never `registry_grace`.
    pub older_than: Option<Duration>,
    /// The age by which a plan from before was made, of what it is about: less never counts.
    pub at_least: Duration,
    /// A person asked for this ended job's files now: only them, and without its retention.
    pub forced_job: Option<JobId>,
    /// Of that job only this completed chunk is asked for.
    pub forced_chunk: Option<ChunkId>,
    /// A person asked for this ended session's files: only them.
    pub session: Option<SessionId>,
    /// The root was adopted less than `adoption_grace` ago.
    pub new_root: bool,
}

impl Moment {
    /// An ordinary moment: no emergency, a clock to trust.
    pub fn ordinary(now: Timestamp) -> Self {
        Self { now, clock_trusted: true, ..Self::default() }
    }

    /// The age that counts where the policy's is `usual`: that one, unless another
    /// was asked for, and for a plan from before no less than it was made by. So a
    /// rule that became milder since keeps what it keeps now.
    pub fn limit(&self, usual: Duration) -> Duration {
        self.older_than.unwrap_or(usual).max(self.at_least)
    }

    /// How old something of the time `from` is. What a doubted clock stamped
    /// is measured by that clock too, and the younger age counts: a clock that
    /// was set back by years must not make what was just written the oldest.
    pub fn age(&self, from: Timestamp) -> Duration {
        let age = from.age_at(self.now);
        self.wall.filter(|wall| from <= *wall).map_or(age, |wall| age.min(from.age_at(wall)))
    }

    /// The earliest time that it can be: what lasts until a given time lasts
    /// until even this is past it.
    pub fn at_the_earliest(&self) -> Timestamp {
        self.wall.map_or(self.now, |wall| wall.min(self.now))
    }

    /// A moment of an emergency.
    pub fn emergency(now: Timestamp) -> Self {
        Self { emergency: true, ..Self::ordinary(now) }
    }
}
