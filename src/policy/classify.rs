//! The decision about one file: may it go in this phase, and why or why not.
//!
//! One classification serves plan, dry run and `explain`. It judges facts
//! alone; whether the file is open, changed or linked elsewhere is confirmed
//! on the filesystem when it is about to go.
//!
//! What binds in every phase, in this order: kind, `protect`, living jobs,
//! holds, a lost registry, a clock not to be trusted. After that each phase
//! has its own subject. Two rules that the phases don't share:
//!
//! - `results` and references (expiry, session, queue) spare a file from every
//!   phase but `oldest` in an emergency, which comes after all that is safer.
//! - A failure that was reported counts in an emergency at once; a presumed
//!   one only `emergency_orphans` after the job's last sign of life, until
//!   when the job counts as living in every phase. So it does outside of
//!   emergencies where age alone decides: there no retention waits.

use std::time::Duration;

use super::{FileAt, JobFacts, JobsView, Moment, Ownership, ReferenceView, RootRules};
use crate::model::{FileFacts, FileKind, JobId, JobState, Keep, Phase, Reason, Timestamp};

/// The numbers behind a decision to keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail {
    /// The job on whose account it stays.
    pub job: Option<JobId>,
    /// What was compared with `limit`.
    pub age: Option<Duration>,
    /// What `age` falls short of.
    pub limit: Option<Duration>,
    /// When this obstacle ends by itself; `None` if time alone doesn't end it.
    pub due_at: Option<Timestamp>,
}

/// What a phase may do with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may go.
    Remove {
        /// Why, with the numbers that decided it.
        reason: Reason,
        /// Its age by `age_by`: the order of removal.
        age: Duration,
    },
    /// It stays.
    Keep {
        /// Why.
        keep: Keep,
        /// The numbers.
        detail: Detail,
    },
}

impl Verdict {
    /// Whether the file may go.
    pub const fn is_remove(&self) -> bool {
        matches!(self, Self::Remove { .. })
    }
}

fn keep(keep: Keep, detail: Detail) -> Verdict {
    Verdict::Keep { keep, detail }
}

fn keep_for(why: Keep, job: &JobId) -> Verdict {
    keep(why, Detail { job: Some(job.clone()), ..Detail::default() })
}

/// A span that must have passed: from when, how long, and why the file stays until then.
struct Wait {
    from: Timestamp,
    limit: Duration,
    keep: Keep,
}

impl Wait {
    /// Whether it is over (at the limit it is); else why the file stays.
    fn check(&self, moment: &Moment, job: Option<&JobId>) -> Result<Duration, Verdict> {
        let age = moment.age(self.from);
        if age >= self.limit {
            return Ok(age);
        }
        Err(keep(
            self.keep.clone(),
            Detail {
                job: job.cloned(),
                age: Some(age),
                limit: Some(self.limit),
                // A time in the future counts as now: waiting begins now.
                due_at: Some(self.from.min(moment.now).plus(self.limit)),
            },
        ))
    }
}

/// Judges one file in one phase.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a fact of its own; a bundle would only be taken apart again"
)]
pub fn classify(
    phase: Phase,
    rules: &RootRules,
    moment: &Moment,
    jobs: &JobsView,
    references: &ReferenceView,
    dir: &DirContext,
    name: &[u8],
    facts: &FileFacts,
) -> Verdict {
    let own = rules.patterns.readings(name);
    let at = dir.file(rules, name, facts);
    let tracked = references.tracked_jobs(&at);
    let given_up = match phase {
        Phase::Chunks => chunk::given_up(rules, moment, jobs, dir, name, &own, facts),
        _ => None,
    };
    let lives = |job: &JobFacts| counts_as_living(phase, rules, moment, job);
    if let Some(chunk::GivenUp::Perhaps(done, state)) = given_up {
        return chunk::kept_for(done, state);
    }
    if let Some(chunk::GivenUp::Wholly(done)) = given_up {
        let owner = jobs.owner_after(dir.jobs(&own, &tracked), &rules.root, facts.uid, &done.job, lives);
        let case = Case { phase, rules, moment, jobs, references, dir, name, facts, at, owner };
        return case.of_chunk(done).unwrap_or_else(|kept| kept);
    }
    let owner = jobs.owner_where(dir.jobs(&own, &tracked), &rules.root, facts.uid, lives);
    let case = Case { phase, rules, moment, jobs, references, dir, name, facts, at, owner };
    case.judge().unwrap_or_else(|kept| kept)
}

/// A failure that was only presumed does not count yet within
/// `emergency_orphans` of the job's last sign of life: in an emergency, and
/// where no retention counts from the failure but age alone decides.
fn counts_as_living(phase: Phase, rules: &RootRules, moment: &Moment, job: &JobFacts) -> bool {
    (moment.emergency || matches!(phase, Phase::MaxAge | Phase::Oldest | Phase::Expired | Phase::Sessions))
        && job.presumed
        && job.state.is_failure()
        && moment.age(job.last_sign_of_life) < rules.retain.emergency_orphans
}

mod aged;
mod chunk;
mod context;
mod given;
mod results;
mod tree;

pub use context::DirContext;
pub use tree::{InTree, Obstacle, TreeFold, TreeVerdict, classify_in_tree, empty_directory_waits, tree_of};

struct Case<'a> {
    phase: Phase,
    rules: &'a RootRules,
    moment: &'a Moment,
    jobs: &'a JobsView,
    references: &'a ReferenceView,
    dir: &'a DirContext,
    name: &'a [u8],
    facts: &'a FileFacts,
    at: FileAt<'a>,
    owner: Ownership<'a>,
}

type Judged = Result<Verdict, Verdict>;

impl Case<'_> {
    fn judge(&self) -> Judged {
        if self.phase == Phase::Results {
            return self.old_result();
        }
        if !matches!(
            self.phase,
            Phase::Expired
                | Phase::Sessions
                | Phase::Orphans
                | Phase::FailedJobs
                | Phase::Oldest
                | Phase::CompletedJobs
                | Phase::MaxAge
        ) {
            return Err(keep(Keep::NotSubject, Detail::default()));
        }
        self.check_protections()?;
        self.check_forced_job()?;
        match self.phase {
            Phase::Orphans => self.orphan(),
            Phase::FailedJobs => self.ended_job(JobState::is_failure),
            Phase::CompletedJobs => self.ended_job(|state| state == JobState::Completed),
            Phase::MaxAge => self.max_age(),
            Phase::Expired => self.expired(),
            Phase::Sessions => self.of_session(),
            _ => self.oldest(),
        }
    }

    fn check_protections(&self) -> Result<(), Verdict> {
        match self.facts.id.kind {
            FileKind::Special => return Err(keep(Keep::Special, Detail::default())),
            FileKind::Directory => return Err(keep(Keep::NotSubject, Detail::default())),
            FileKind::Regular | FileKind::Symlink => {}
        }
        if self.dir.protected
            || self.dir.is_private(self.name)
            || self.rules.protect.matches_in(&self.dir.path, self.name)
        {
            return Err(keep(Keep::Protected, Detail::default()));
        }
        if let Ownership::ProtectedBy(job, _) = self.owner {
            return Err(keep_for(Keep::ActiveJob, job));
        }
        if self.references.is_held(&self.at, self.moment.at_the_earliest()) {
            return Err(keep(Keep::Held, Detail::default()));
        }
        match self.owner {
            Ownership::Belongs(job, _) | Ownership::Unknown(job) if !self.jobs.known => {
                return Err(keep_for(Keep::RegistryLost, job));
            }
            _ => {}
        }
        // One job's or session's files on demand: no age decides, so no clock is needed.
        let on_demand = self.moment.forced_job.is_some() || self.moment.session.is_some();
        if !self.moment.emergency && !on_demand {
            self.check_clock()?;
        }
        Ok(())
    }

    fn check_clock(&self) -> Result<(), Verdict> {
        if self.moment.clock_trusted {
            return Ok(());
        }
        Err(keep(Keep::ClockUncertain, Detail::default()))
    }

    fn check_forced_job(&self) -> Result<(), Verdict> {
        match (&self.moment.forced_job, self.owner) {
            (None, _) => Ok(()),
            (Some(forced), Ownership::Belongs(job, _)) if forced == job => Ok(()),
            (Some(_), _) => Err(keep(Keep::NotSubject, Detail::default())),
        }
    }

    fn check_not_result(&self) -> Result<(), Verdict> {
        if self.dir.result || self.rules.results.matches_in(&self.dir.path, self.name) {
            return Err(keep(Keep::Result, Detail::default()));
        }
        Ok(())
    }

    fn check_not_referred(&self) -> Result<(), Verdict> {
        if self.references.refers(&self.at, self.moment.at_the_earliest()) {
            return Err(keep(Keep::Referred, Detail::default()));
        }
        Ok(())
    }

    fn time(&self) -> Timestamp {
        self.rules.age_by.newest(self.facts)
    }

    /// What a file that names a job is aged from: nothing is known of jobs
    /// from before the registry, unless `registry_grace` says how long to wait.
    fn time_since_registry(&self) -> Timestamp {
        match self.rules.registry_grace {
            None => self.time().max(self.jobs.began_at),
            Some(_) => self.time(),
        }
    }

    fn wait(
        &self,
        from: Timestamp,
        limit: Duration,
        keep: Keep,
        job: Option<&JobId>,
    ) -> Result<Duration, Verdict> {
        Wait { from, limit, keep }.check(self.moment, job)
    }

    fn check_grace(&self, job: &JobId) -> Result<(), Verdict> {
        let grace = self.rules.grace(self.moment.emergency);
        self.wait(self.jobs.began_at, grace, Keep::RegistryGrace, Some(job)).map(|_| ())
    }

    fn remove(&self, reason: Reason) -> Judged {
        Ok(Verdict::Remove { reason, age: self.moment.age(self.time()) })
    }

    fn orphan(&self) -> Judged {
        self.check_not_referred()?;
        let limit = self.moment.limit(self.rules.orphan_age(self.moment.emergency));
        match self.owner {
            Ownership::ProtectedBy(job, _) => Err(keep_for(Keep::ActiveJob, job)),
            Ownership::Unknown(job) => {
                self.check_not_result()?;
                self.check_grace(job)?;
                let age = self.wait(self.time_since_registry(), limit, Keep::TooYoung, Some(job))?;
                self.remove(Reason::OrphanUnknownJob { job: job.clone(), age, limit })
            }
            Ownership::Belongs(job, facts) => {
                self.check_not_result()?;
                let retention = self.retention_of(facts);
                let ended = self.wait(facts.ended(), retention, Keep::JobRetention, Some(job))?;
                let limit = if self.moment.forced_job.is_some() { Duration::ZERO } else { limit };
                let age = self.wait(self.time_since_registry(), limit, Keep::TooYoung, Some(job))?;
                self.remove(Reason::OrphanEndedJob {
                    job: job.clone(),
                    state: facts.state,
                    ended,
                    age,
                    limit,
                })
            }
            Ownership::None => {
                if !self.rules.orphans_untracked {
                    self.check_not_result()?;
                }
                let age = self.wait(self.time(), limit, Keep::TooYoung, None)?;
                self.remove(Reason::OrphanUntracked { age, limit })
            }
        }
    }

    /// How long the job's files stay after its end.
    fn retention_of(&self, job: &JobFacts) -> Duration {
        if self.moment.forced_job.is_some() {
            Duration::ZERO
        } else if job.state == JobState::Completed {
            self.rules.retain.completed_jobs
        } else {
            self.rules.retain.failed_jobs
        }
    }

    fn ended_job(&self, subject: impl Fn(JobState) -> bool) -> Judged {
        let Ownership::Belongs(job, facts) = self.owner else {
            return Err(keep(Keep::NotSubject, Detail::default()));
        };
        if !subject(facts.state) {
            return Err(keep(Keep::NotSubject, Detail { job: Some(job.clone()), ..Detail::default() }));
        }
        self.check_not_result()?;
        self.check_not_referred()?;
        // In an emergency the failure itself makes the files the next safest to take.
        let at_once = self.moment.emergency && facts.state.is_failure();
        let retention = if at_once { Duration::ZERO } else { self.retention_of(facts) };
        let forced = self.moment.forced_job.is_some();
        let limit = if forced { Duration::ZERO } else { self.moment.limit(retention) };
        let ended = self.wait(facts.ended(), limit, Keep::JobRetention, Some(job))?;
        self.remove(if facts.state == JobState::Completed {
            Reason::CompletedJob { job: job.clone(), ended, limit }
        } else {
            Reason::FailedJob { job: job.clone(), state: facts.state, ended, limit }
        })
    }
}
