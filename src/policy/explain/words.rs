//! Decisions about one file in words, with the numbers that decided them.

use std::time::Duration;

use crate::model::{JobId, JobState, Keep, Phase, Reason, TimeSpan};
use crate::policy::{Detail, FileAt, JobFacts, JobsView, Moment, ReferenceView, RootRules};

/// What a decision was about.
pub(super) struct About<'a> {
    pub(super) rules: &'a RootRules,
    pub(super) moment: &'a Moment,
    pub(super) jobs: &'a JobsView,
    pub(super) references: &'a ReferenceView,
    pub(super) at: &'a FileAt<'a>,
    /// Whose it is, in words.
    pub(super) owner: &'a str,
    /// It names a job that the registry does not know.
    pub(super) unknown: bool,
}

/// `age 3h, limit 24h`, as far as they are known.
fn compared(what: &str, detail: &Detail) -> String {
    match (detail.age, detail.limit) {
        (Some(age), Some(limit)) => format!("; {what} {}, limit {}", whole(age), TimeSpan(limit)),
        _ => String::new(),
    }
}

const fn whole(span: Duration) -> TimeSpan {
    TimeSpan::from_secs(span.as_secs())
}

impl About<'_> {
    /// Why a phase leaves the file alone.
    pub(super) fn kept(&self, phase: Phase, keep: &Keep, detail: &Detail) -> String {
        let job =
            |text: &str| detail.job.as_ref().map_or_else(|| text.to_owned(), |job| format!("job {job}"));
        match keep {
            Keep::ActiveJob => detail
                .job
                .as_ref()
                .map_or_else(|| "kept: its job is pending or active".to_owned(), |job| self.active(job)),
            Keep::Held => match self.references.hold(self.at, self.moment.at_the_earliest()) {
                Some(hold) => {
                    let until = hold.until.map_or_else(String::new, |until| format!(" until {until:#}"));
                    format!("kept: held by uid {}{until}", hold.uid)
                }
                None => "kept: held".to_owned(),
            },
            Keep::Protected => "kept: protected (`protect`)".to_owned(),
            // What else decides about orphans is whose they are.
            Keep::TooYoung if phase == Phase::Orphans => {
                format!("kept: {}{}", self.owner, compared("age", detail))
            }
            Keep::TooYoung => format!("kept: too young{}", compared("age", detail)),
            Keep::RegistryGrace => format!(
                "kept: names {}, which may be older than the registry{}",
                job("a job"),
                compared("that began", detail).replace(", limit", " ago, limit")
            ),
            Keep::RegistryLost => format!(
                "kept: names {}, and the ledger that knew the jobs was lost (guardian registry trust)",
                job("a job")
            ),
            Keep::JobRetention => match (&detail.job, detail.age, detail.limit) {
                (Some(id), Some(ended), Some(limit)) => format!(
                    "kept: job {id} {} {} ago, limit {}",
                    self.jobs.jobs.get(id).map_or("ended", |job| state(job)),
                    whole(ended),
                    TimeSpan(limit)
                ),
                _ => "kept: its job ended too recently".to_owned(),
            },
            Keep::Result => "kept: a result (`results`)".to_owned(),
            Keep::Unexpired => detail
                .due_at
                .map_or_else(|| "kept: not expired yet".to_owned(), |at| format!("kept: expires at {at:#}")),
            Keep::SessionAlive => {
                let quiet = compared("last active", detail).replace(", limit", " ago, limit");
                let session = self.references.session(self.at);
                let session =
                    session.map_or_else(|| "its session".to_owned(), |(id, _)| format!("session {id}"));
                format!("kept: {session} goes on{quiet}")
            }
            Keep::NotSubject => "not subject to this policy".to_owned(),
            Keep::Special => "kept: not a file or a link".to_owned(),
            Keep::Linked => "kept: has links outside the plan".to_owned(),
            Keep::FreesNothing => "kept: occupies no space".to_owned(),
            Keep::ClockUncertain => "kept: the clock is not trusted (guardian clock trust)".to_owned(),
            Keep::IndexIncomplete => "kept: the index is incomplete".to_owned(),
            Keep::Referred => self.referred(),
        }
    }

    fn active(&self, id: &JobId) -> String {
        match self.jobs.jobs.get(id) {
            Some(job) if !job.state.is_alive() => format!(
                "kept: job {id} is only presumed {}: its last sign of life was {} ago, limit {}",
                job.state.as_str(),
                whole(self.moment.age(job.last_sign_of_life)),
                TimeSpan(self.rules.retain.emergency_orphans)
            ),
            Some(job) => format!("kept: job {id} is {}", job.state.as_str()),
            None => format!("kept: job {id} is pending or active"),
        }
    }

    fn referred(&self) -> String {
        if self.references.waits(self.at) {
            return "kept: given up already, it goes by the queue or the trash".to_owned();
        }
        let expiry = self.references.expires_at(self.at).filter(|at| *at > self.moment.at_the_earliest());
        if let Some(at) = expiry {
            return format!("kept: has an expiry of its own, {at:#}");
        }
        match self.references.session(self.at) {
            Some((id, _)) => format!("kept: a member of session {id}, which goes on"),
            None => "kept: something refers to it".to_owned(),
        }
    }

    /// For how long a file has been due by the times that decide about it.
    /// `None` where something else may have let it go later.
    pub(super) fn due_for(&self, reason: &Reason) -> Option<Duration> {
        let past = |span: &Duration, limit: &Duration| span.saturating_sub(*limit);
        Some(match reason {
            Reason::OrphanUnknownJob { age, limit, .. } => {
                let grace = self.rules.grace(self.moment.emergency);
                let known = self.moment.age(self.jobs.began_at);
                past(age, limit).min(if grace.is_zero() { known.max(*age) } else { past(&known, &grace) })
            }
            Reason::OrphanEndedJob { job, state, ended, age, limit } => {
                let keep = match state {
                    JobState::Completed => self.rules.retain.completed_jobs,
                    _ => self.rules.retain.failed_jobs,
                };
                past(age, limit).min(past(ended, &keep)).min(self.presumed_for(job))
            }
            Reason::FailedJob { job, ended, limit, .. } => past(ended, limit).min(self.presumed_for(job)),
            Reason::Oldest { .. } | Reason::MaxAge { .. } if self.unknown => return None,
            Reason::OrphanUntracked { age, limit }
            | Reason::Oldest { age, limit }
            | Reason::MaxAge { age, limit } => past(age, limit),
            Reason::CompletedJob { ended, limit, .. } | Reason::OldResult { ended, limit, .. } => {
                past(ended, limit)
            }
            Reason::Expired { expired, limit, .. } => past(expired, limit),
            Reason::SessionIdle { idle, limit, .. } => past(idle, limit),
            Reason::SessionEnded { ended, .. } => *ended,
            Reason::ChunkCompleted { completed, .. } => *completed,
            Reason::Deferred { .. } | Reason::Trash { .. } | Reason::Tree { .. } => return None,
        })
    }

    /// How long the failure of a job counts in an emergency that is only presumed.
    fn presumed_for(&self, id: &JobId) -> Duration {
        match self.jobs.jobs.get(id) {
            Some(job) if job.presumed && self.moment.emergency => {
                self.moment.age(job.last_sign_of_life).saturating_sub(self.rules.retain.emergency_orphans)
            }
            _ => Duration::MAX,
        }
    }
}

fn state(job: &JobFacts) -> &'static str {
    job.state.as_str()
}
