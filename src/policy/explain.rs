//! What every policy says about one path, in words.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Detail, DirContext, JobsView, Moment, Ownership, PathReadings, ReferenceView, RootRules, Verdict,
    classify,
};
use crate::model::{FileFacts, Keep, Phase, RelPath, TimeSpan, Timestamp};

/// The phases that are decided from facts.
pub const CLASSIFIED: [Phase; 9] = [
    Phase::Orphans,
    Phase::FailedJobs,
    Phase::Oldest,
    Phase::CompletedJobs,
    Phase::MaxAge,
    Phase::Expired,
    Phase::Sessions,
    Phase::Chunks,
    Phase::Results,
];

/// What one phase says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseVerdict {
    /// Which.
    pub phase: Phase,
    /// The decision itself.
    pub verdict: Verdict,
    /// The decision in words.
    pub text: String,
    /// When the file becomes due, if nothing but time stands against it (a
    /// lower bound: another limit may follow); `None` if it is due or never will be.
    pub due_at: Option<Timestamp>,
}

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Every way to read it.
    pub readings: PathReadings,
    /// Whose it is, in words.
    pub owner: String,
    /// Its age by `age_by`.
    pub age: Duration,
    /// What each phase says.
    pub phases: Vec<PhaseVerdict>,
}

/// Runs [`classify`] for every phase on one path, and puts the answers in words.
/// With the file's facts come the inodes of the directories above it, where they are known.
pub fn explain(
    rules: &RootRules,
    moment: &Moment,
    jobs: &JobsView,
    references: &ReferenceView,
    path: &RelPath,
    (facts, above): (&FileFacts, Arc<[u64]>),
) -> Explanation {
    let dir = DirContext::new(rules, path.parent().unwrap_or_default()).with_inodes(above);
    let readings = PathReadings::of(&rules.patterns, path);
    let tracked = references.tracked_jobs(&dir.file(rules, path.name(), facts));
    let owner = match jobs.owner_of(readings.jobs().chain(tracked), &rules.root, facts.uid) {
        Ownership::ProtectedBy(job, facts) => format!("job {job}, {}", facts.state.as_str()),
        Ownership::Belongs(job, facts) => {
            let ended = TimeSpan(moment.age(facts.ended()));
            let how = if facts.presumed { "presumed " } else { "" };
            format!("job {job}, {how}{} {ended} ago", facts.state.as_str())
        }
        Ownership::Unknown(job) => format!("names job {job}, unknown to the registry"),
        Ownership::None => "names no job".to_owned(),
    };
    let phases = CLASSIFIED
        .into_iter()
        .map(|phase| {
            let verdict = classify(phase, rules, moment, jobs, references, &dir, path.name(), facts);
            let (text, due_at) = match &verdict {
                Verdict::Remove { reason, .. } => (reason.to_string(), None),
                Verdict::Keep { keep, detail } => (describe(keep, detail), detail.due_at),
            };
            PhaseVerdict { phase, verdict, text, due_at }
        })
        .collect();
    Explanation { readings, owner, age: moment.age(rules.age_by.newest(facts)), phases }
}

/// Why a file stays, in words.
pub fn describe(keep: &Keep, detail: &Detail) -> String {
    let mut text = match keep {
        Keep::ActiveJob => "kept: its job is pending, active, or only just presumed failed",
        Keep::Held => "kept: held",
        Keep::Protected => "kept: protected",
        Keep::TooYoung => "kept: too young",
        Keep::RegistryGrace => "kept: names a job that may be older than the registry",
        Keep::RegistryLost => "kept: names a job, and the ledger was lost (guardian registry trust)",
        Keep::JobRetention => "kept: its job ended too recently",
        Keep::Result => "kept: a result",
        Keep::Unexpired => "kept: not expired yet",
        Keep::SessionAlive => "kept: its session goes on",
        Keep::NotSubject => "not subject to this policy",
        Keep::Special => "kept: not a file or a link",
        Keep::Linked => "kept: has links outside the plan",
        Keep::ClockUncertain => "kept: the clock is not trusted (guardian clock trust)",
        Keep::IndexIncomplete => "kept: the index is incomplete",
        Keep::Referred => "kept: something refers to it",
    }
    .to_owned();
    if let Some(job) = &detail.job {
        text.push_str(&format!("; job {job}"));
    }
    if let (Some(age), Some(limit)) = (detail.age, detail.limit) {
        text.push_str(&format!("; {} of {}", TimeSpan(age), TimeSpan(limit)));
    }
    if let Some(due) = detail.due_at {
        text.push_str(&format!("; not before {due:#}"));
    }
    text
}
