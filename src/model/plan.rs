//! A plan: what would be removed, in which order, and why.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ChunkId, EntryId, FileFacts, JobId, JobState, Phase, PlanId, Policy, RelPath, RootName, SessionId,
    TimeSpan, Timestamp, TreePrint,
};

/// Why a file may go, with the numbers that decided it. Comes out of the
/// decision itself, so that dry run, `explain`, audit and log say the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Reason {
    /// Names a job that the registry does not know.
    OrphanUnknownJob {
        /// The job it names.
        job: JobId,
        /// Its age.
        age: Duration,
        /// The age at which it is due.
        limit: Duration,
    },
    /// Belongs to a job that ended long enough ago.
    OrphanEndedJob {
        /// The job it belongs to.
        job: JobId,
        /// The state of that job.
        state: JobState,
        /// How long ago the job ended.
        ended: Duration,
        /// Its age.
        age: Duration,
        /// The age at which it is due.
        limit: Duration,
    },
    /// Names no job and nothing refers to it.
    OrphanUntracked {
        /// Its age.
        age: Duration,
        /// The age at which it is due.
        limit: Duration,
    },
    /// Belongs to a failed, cancelled or error job.
    FailedJob {
        /// The job it belongs to.
        job: JobId,
        /// The state of that job.
        state: JobState,
        /// How long ago it failed.
        ended: Duration,
        /// How long its files are kept after that.
        limit: Duration,
    },
    /// A temporary file left by a completed job.
    CompletedJob {
        /// The job it belongs to.
        job: JobId,
        /// How long ago it completed.
        ended: Duration,
        /// How long its files are kept after that.
        limit: Duration,
    },
    /// Among the oldest eligible files.
    Oldest {
        /// Its age.
        age: Duration,
        /// The age below which it would have been kept.
        limit: Duration,
    },
    /// Past the expiry that it was given, by `track` or by its own mark.
    Expired {
        /// When it expired.
        expires_at: Timestamp,
        /// How long ago that was.
        expired: Duration,
        /// How long it had to be, where somebody asked.
        limit: Duration,
    },
    /// A member of a session that has ended.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// How long ago it ended.
        ended: Duration,
    },
    /// A member of a session without activity.
    SessionIdle {
        /// The session.
        session: SessionId,
        /// How long there was none.
        idle: Duration,
        /// How long a session goes on without any.
        limit: Duration,
    },
    /// Past the maximum age of its root.
    MaxAge {
        /// Its age.
        age: Duration,
        /// The maximum.
        limit: Duration,
    },
    /// A result of a job that ended long ago.
    OldResult {
        /// The job it belongs to.
        job: JobId,
        /// The state of that job.
        state: JobState,
        /// How long ago it ended.
        ended: Duration,
        /// How long its results are kept after that.
        limit: Duration,
    },
    /// Of a chunk that its job reported complete.
    ChunkCompleted {
        /// The job.
        job: JobId,
        /// The chunk.
        chunk: ChunkId,
        /// How long ago it was reported.
        completed: Duration,
    },
    /// Its deletion was asked for and deferred.
    Deferred {
        /// The entry of the queue.
        id: EntryId,
        /// How long ago it was asked for.
        queued: Duration,
        /// Tries before this one.
        attempts: u32,
        /// It lies in the private directory.
        moved: bool,
        /// Names that go with it.
        files: u64,
    },
    /// Lay in the trash long enough.
    Trash {
        /// The entry of the trash.
        id: EntryId,
        /// How long ago it was put there.
        deleted: Duration,
        /// How long it is kept.
        limit: Duration,
        /// It lies in the private directory.
        moved: bool,
        /// Names that go with it.
        files: u64,
    },
    /// A job's directory, of which every file may go.
    Tree {
        /// Names of files in it.
        files: u64,
        /// Allocated bytes of inodes that lie wholly inside.
        bytes: u64,
        /// What its files were.
        print: TreePrint,
        /// Age of its youngest file.
        age: Duration,
        /// Jobs whose results go with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        results_of: Vec<JobId>,
        /// Why the youngest of the files may go that the phase is about.
        because: Box<Reason>,
    },
}

impl Reason {
    /// The rule's name, for filters and logs.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Tree { because, .. } => because.rule(),
            Self::OrphanUnknownJob { .. } => "orphan_unknown_job",
            Self::OrphanEndedJob { .. } => "orphan_ended_job",
            Self::OrphanUntracked { .. } => "orphan_untracked",
            Self::FailedJob { .. } => "failed_job",
            Self::CompletedJob { .. } => "completed_job",
            Self::Oldest { .. } => "oldest",
            Self::Expired { .. } => "expired",
            Self::SessionEnded { .. } => "session_ended",
            Self::SessionIdle { .. } => "session_idle",
            Self::MaxAge { .. } => "max_age",
            Self::OldResult { .. } => "old_result",
            Self::ChunkCompleted { .. } => "chunk_completed",
            Self::Deferred { .. } => "deferred",
            Self::Trash { .. } => "trash",
        }
    }

    /// The age or span at which the rule took effect.
    pub fn limit(&self) -> Duration {
        match self {
            Self::Tree { because, .. } => because.limit(),
            Self::OrphanUnknownJob { limit, .. }
            | Self::OrphanEndedJob { limit, .. }
            | Self::OrphanUntracked { limit, .. }
            | Self::FailedJob { limit, .. }
            | Self::CompletedJob { limit, .. }
            | Self::Oldest { limit, .. }
            | Self::Expired { limit, .. }
            | Self::SessionIdle { limit, .. }
            | Self::MaxAge { limit, .. }
            | Self::OldResult { limit, .. }
            | Self::Trash { limit, .. } => *limit,
            Self::SessionEnded { .. } | Self::Deferred { .. } | Self::ChunkCompleted { .. } => Duration::ZERO,
        }
    }

    /// The job on whose account the file may go.
    pub fn job(&self) -> Option<&JobId> {
        match self {
            Self::Tree { because, .. } => because.job(),
            Self::OrphanUnknownJob { job, .. }
            | Self::OrphanEndedJob { job, .. }
            | Self::FailedJob { job, .. }
            | Self::CompletedJob { job, .. }
            | Self::OldResult { job, .. }
            | Self::ChunkCompleted { job, .. } => Some(job),
            Self::OrphanUntracked { .. }
            | Self::Oldest { .. }
            | Self::Expired { .. }
            | Self::SessionEnded { .. }
            | Self::SessionIdle { .. }
            | Self::MaxAge { .. }
            | Self::Deferred { .. }
            | Self::Trash { .. } => None,
        }
    }

    /// The entry of queue or trash that it is about, and whether that lies in
    /// the private directory.
    pub const fn kept(&self) -> Option<(&EntryId, bool)> {
        match self {
            Self::Deferred { id, moved, .. } | Self::Trash { id, moved, .. } => Some((id, *moved)),
            _ => None,
        }
    }

    /// How many names it is about.
    pub const fn files(&self) -> u64 {
        match self {
            Self::Deferred { files, .. } | Self::Trash { files, .. } | Self::Tree { files, .. } => *files,
            _ => 1,
        }
    }

    /// Whether it is about a job's directory as a whole.
    pub const fn is_tree(&self) -> bool {
        matches!(self, Self::Tree { .. })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |d: &Duration| TimeSpan(*d);
        match self {
            Self::OrphanUnknownJob { job, age, limit } => {
                write!(
                    f,
                    "orphan: names job {job}, unknown to the registry; age {}, limit {}",
                    span(age),
                    span(limit)
                )
            }
            Self::OrphanEndedJob { job, state, ended, age, limit } => write!(
                f,
                "orphan: job {job} {} {} ago; age {}, limit {}",
                state.as_str(),
                span(ended),
                span(age),
                span(limit)
            ),
            Self::OrphanUntracked { age, limit } => {
                write!(
                    f,
                    "orphan: names no job, nothing refers to it; age {}, limit {}",
                    span(age),
                    span(limit)
                )
            }
            Self::FailedJob { job, state, ended, limit } => {
                write!(f, "job {job} {} {} ago, limit {}", state.as_str(), span(ended), span(limit))
            }
            Self::CompletedJob { job, ended, limit } => {
                write!(f, "job {job} completed {} ago, limit {}", span(ended), span(limit))
            }
            Self::Oldest { age, limit } => {
                write!(f, "among the oldest; age {}, at least {}", span(age), span(limit))
            }
            Self::Expired { expires_at, expired, limit } => {
                write!(f, "expired at {expires_at:#}, {} ago", span(expired))?;
                if limit.is_zero() { Ok(()) } else { write!(f, ", limit {}", span(limit)) }
            }
            Self::SessionEnded { session, ended } => {
                write!(f, "session {session} ended {} ago", span(ended))
            }
            Self::SessionIdle { session, idle, limit } => {
                write!(f, "session {session} without activity for {}, limit {}", span(idle), span(limit))
            }
            Self::MaxAge { age, limit } => {
                write!(f, "past the maximum age; age {}, limit {}", span(age), span(limit))
            }
            Self::OldResult { job, state, ended, limit } => {
                write!(
                    f,
                    "result of job {job}, {} {} ago, limit {}",
                    state.as_str(),
                    span(ended),
                    span(limit)
                )
            }
            Self::ChunkCompleted { job, chunk, completed } => {
                write!(f, "chunk {chunk} of job {job} was reported complete {} ago", span(completed))
            }
            Self::Deferred { queued, attempts, .. } => {
                write!(f, "deferred deletion, asked for {} ago", span(queued))?;
                if *attempts > 0 { write!(f, ", {attempts} tries before") } else { Ok(()) }
            }
            Self::Trash { deleted, limit, .. } => {
                write!(f, "in the trash for {}, kept for {}", span(deleted), span(limit))
            }
            Self::Tree { files, age, because, .. } => {
                let s = if *files == 1 { "" } else { "s" };
                write!(f, "tree of {files} file{s}; {because}; youngest file {}", span(age))
            }
        }
    }
}

/// One removal that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Place in the plan, from 0.
    pub order: u64,
    /// The part of the run it belongs to.
    pub phase: Phase,
    /// The file, or the top of the tree, below its root.
    pub path: RelPath,
    /// The file as it was when the decision was made.
    pub facts: FileFacts,
    /// Why it may go.
    pub reason: Reason,
    /// Its age when the decision was made.
    pub age: Duration,
    /// What its removal should free: its allocated bytes on its last planned link, else 0.
    pub expected_bytes: u64,
}

/// What would be removed from one root. A plan is only ever made by deciding;
/// executing consumes it, a dry run prints it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name; absent without an agent to keep it.
    pub id: Option<PlanId>,
    /// When the decisions were made.
    pub as_of: Timestamp,
    /// What was asked for.
    pub policy: Policy,
    /// The root.
    pub root: RootName,
    /// Removals in order.
    pub actions: Vec<Action>,
    /// How many files were looked at and stay, by reason.
    pub kept: BTreeMap<&'static str, u64>,
    /// Files at or before this time were due, by part; absent where age alone says nothing.
    pub cutoffs: BTreeMap<Phase, Timestamp>,
    /// How many files were looked at.
    pub scanned: u64,
    /// When the agent forgets it.
    pub expires_at: Option<Timestamp>,
}

impl Plan {
    /// How many names would go.
    pub fn files(&self) -> u64 {
        self.actions.iter().map(|action| action.reason.files()).sum()
    }
}
