//! What every policy says about one path, in words.

mod words;

use std::sync::Arc;
use std::time::Duration;

use super::{
    DirContext, JobsView, Moment, Ownership, PathReadings, ReferenceView, RootRules, Verdict, classify,
};
use crate::model::{FileFacts, Phase, RelPath, TimeSpan, Timestamp};
use words::About;

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
    /// For how long it has been due by its times, if it is and that can be told.
    pub due_for: Option<Duration>,
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
    let owner = jobs.owner_of(readings.jobs().chain(tracked), &rules.root, facts.uid);
    let unknown = matches!(owner, Ownership::Unknown(_));
    let owner = match owner {
        Ownership::ProtectedBy(job, facts) => format!("job {job}, {}", facts.state.as_str()),
        Ownership::Belongs(job, facts) => {
            let ended = TimeSpan(moment.age(facts.ended()));
            let how = if facts.presumed { "presumed " } else { "" };
            format!("job {job}, {how}{} {ended} ago", facts.state.as_str())
        }
        Ownership::Unknown(job) => format!("names job {job}, unknown to the registry"),
        Ownership::None => "names no job".to_owned(),
    };
    let about = About {
        rules,
        moment,
        jobs,
        references,
        at: &dir.file(rules, path.name(), facts),
        owner: &owner,
        unknown,
    };
    let phases = CLASSIFIED
        .into_iter()
        .map(|phase| {
            let verdict = classify(phase, rules, moment, jobs, references, &dir, path.name(), facts);
            let (text, due_at, due_for) = match &verdict {
                Verdict::Remove { reason, .. } => (reason.to_string(), None, about.due_for(reason)),
                Verdict::Keep { keep, detail } => (about.kept(phase, keep, detail), detail.due_at, None),
            };
            PhaseVerdict { phase, verdict, text, due_at, due_for }
        })
        .collect();
    Explanation { readings, owner, age: moment.age(rules.age_by.newest(facts)), phases }
}
