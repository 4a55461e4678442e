//! Scheduled cleanup: when it is due, what it may take unasked, what it only plans.
//!
//! A new root's scheduled policies only plan for `adoption_grace`; a plan that
//! would take too much of a root waits for a person (the fuse); a doubted clock,
//! a pause, `dry_run` and `keep_files_for_debugging` stop it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::model::{
    AlertKind, Level, Phase, PlanResource, Policy, RootName, SweepRequest, Timestamp, Trigger,
};
use crate::policy::{Amount, Due, Fuse, due, fuse, interrupted};
use crate::sys::clock;

use super::alerts::{Alert, Subject};
use super::chunks_served::{chunks_to_serve, forget_served_chunks, is_up_to_date};
use super::dry::log_plan;
use super::engine::{Commission, Target};
use super::failures::{self, Failures};
use super::forbidden::forbids_unasked;
use super::idle_sessions::end_idle_sessions;
use super::state::Agent;
use super::surroundings::Control;

/// Under which name the ledger keeps the last scheduled sweep.
const SCHEDULED: &str = "scheduled";
/// The same for orphans.
const ORPHANS: &str = "orphans";
/// The shortest pause of the scheduler, so that a wrong clock can't make it spin.
const SHORTEST: Duration = Duration::from_millis(200);
/// How often is looked whether a scan has ended that an interrupted sweep waits for.
const SCAN_PAUSE: Duration = Duration::from_secs(1);
/// The longest: a clock that was set back must not put it off for years.
const LONGEST: Duration = Duration::from_secs(60);

/// Under which name the ledger keeps what the last one of `schedule` got done.
fn end_of(schedule: &str) -> String {
    format!("{schedule}.ended")
}

fn noted(agent: &Agent, schedule: &str) -> Option<Timestamp> {
    agent.ledger.last_run(schedule).ok().flatten()
}

/// Whether the last scheduled sweep was cut off by the end of the process.
fn was_interrupted(agent: &Agent, schedule: &str) -> bool {
    interrupted(noted(agent, schedule), noted(agent, &end_of(schedule)))
}

/// Notes in the ledger when a schedule began or ended; whether it could.
fn note(agent: &Agent, schedule: &str, at: Timestamp) -> bool {
    let noted = agent.ledger.set_last_run(schedule, at);
    if let Err(error) = &noted {
        tracing::warn!(reason = %super::chain(error), "failed to note a scheduled sweep");
    }
    noted.is_ok()
}

/// Whether every file of the ready roots is in the index.
fn is_indexed(agent: &Agent) -> bool {
    agent.targets(None).iter().all(|target| target.key.is_none_or(|key| (agent.engine.complete)(key)))
}

/// Runs scheduled sweeps until the agent stops. One that was interrupted goes on
/// as soon as it may: what it removed is gone, so that it begins with the rest.
pub fn work(agent: &Arc<Agent>) {
    let mut unfinished: HashSet<&str> =
        [SCHEDULED, ORPHANS].into_iter().filter(|name| was_interrupted(agent, name)).collect();
    while !agent.stop.is_raised() {
        let now = clock::now();
        let settings = agent.settings();
        if agent.hurried.swap(false, Ordering::AcqRel) && settings.agent.automatic {
            run(agent, Policy::Scheduled, Trigger::Forecast, 0);
            run(agent, Policy::Orphans, Trigger::Forecast, 0);
        }
        let mut next = LONGEST;
        for (name, policy, interval) in [
            (SCHEDULED, Policy::Scheduled, settings.agent.sweep_interval),
            (ORPHANS, Policy::Orphans, settings.agent.orphan_sweep_interval),
        ] {
            let last = agent.ledger.last_run(name).unwrap_or_else(|error| {
                tracing::warn!(reason = %super::chain(&error), "the time of the last scheduled sweep is unknown");
                Some(now)
            });
            let waits = unfinished.contains(name)
                && settings.agent.automatic
                && agent.pause_at(clock::now()).is_none();
            // After a start the index may know little of what is there.
            let goes_on = waits && is_indexed(agent);
            if waits && !goes_on {
                next = next.min(SCAN_PAUSE);
            }
            let missed = match due(now, interval, last, agent.started_at) {
                Due::At(at) if !goes_on => {
                    next = next.min(now.age_at(at));
                    continue;
                }
                Due::At(at) => {
                    next = next.min(now.age_at(at));
                    tracing::info!(policy = %policy, "going on with a scheduled sweep that was interrupted");
                    0
                }
                Due::Now { missed } => {
                    next = next.min(interval);
                    let end = end_of(name);
                    if noted(agent, &end).is_none() {
                        note(agent, &end, Timestamp::EPOCH);
                    }
                    if !note(agent, name, now) {
                        // Without the note it would be due again at once.
                        next = LONGEST;
                    }
                    missed
                }
            };
            if !settings.agent.automatic || run(agent, policy, Trigger::Scheduled, missed) {
                unfinished.remove(name);
                note(agent, &end_of(name), now);
            } else {
                unfinished.insert(name);
            }
        }
        next = next.min(follow_failures(agent, settings.agent.automatic, now));
        agent.schedule_bell.wait(next.clamp(SHORTEST, LONGEST));
    }
}

/// Sweeps after jobs whose retention is over; how long there is nothing to do.
fn follow_failures(agent: &Arc<Agent>, automatic: bool, now: Timestamp) -> Duration {
    match failures::look(agent, now) {
        Failures::None => LONGEST,
        Failures::At(at) => now.age_at(at),
        // Without the note it would be due again at once.
        Failures::Due if !failures::note(agent, now) => LONGEST,
        Failures::Due => {
            if automatic {
                run(agent, Policy::FailedJobs, Trigger::JobFailed, 0);
            }
            Duration::ZERO
        }
    }
}

/// What a scheduled sweep may do to a root.
#[derive(Debug, PartialEq)]
pub enum Consent {
    /// Remove.
    Carry,
    /// Only say what it would remove.
    Plan,
    /// Leave it to a person: so much of the root it would take.
    Ask {
        /// Of its files or bytes, whichever is more.
        percent: f64,
    },
}

/// Decides by a plan and what its root holds. An empty plan gives no leave where
/// only planning is allowed: the sweep plans again, when the other roots are planned.
pub fn consent(plan: Amount, root: Amount, max_share: f64, only_plan: bool) -> Consent {
    if only_plan {
        return Consent::Plan;
    }
    match fuse(plan, root, max_share) {
        Fuse::Holds => Consent::Carry,
        Fuse::Blown { files_percent, bytes_percent, .. } => {
            Consent::Ask { percent: files_percent.max(bytes_percent) }
        }
    }
}

/// One scheduled sweep over all ready roots; whether nothing cut it off.
fn run(agent: &Arc<Agent>, policy: Policy, trigger: Trigger, missed: u64) -> bool {
    if let Some(pause) = agent.pause_at(clock::now()) {
        tracing::info!(policy = %policy, until = ?pause.until, "a scheduled sweep is left out: paused");
        return true;
    }
    if missed > 0 {
        tracing::info!(policy = %policy, missed, "making up for missed sweeps once");
    }
    let settings = agent.settings();
    let only_plan = settings.agent.dry_run || settings.agent.keep_files_for_debugging;
    let request = SweepRequest::of(policy);
    if policy == Policy::Scheduled && !only_plan {
        end_idle_sessions(agent);
    }
    let control = Control::default();
    let targets = agent.targets(None);
    {
        // What was remarked at the last scheduled sweep is judged anew.
        let mut remarks = agent.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        remarks.retain(|name, _| !targets.iter().any(|target| target.root.name == *name));
    }
    let given_up = match policy {
        Policy::Scheduled if !only_plan => chunks_to_serve(agent, &request),
        _ => Vec::new(),
    };
    let up_to_date = !given_up.is_empty() && is_up_to_date(agent, &targets);
    let watch = agent.watch_over(&targets);
    let stop = || {
        let paused = || agent.pause_at(clock::now()).map(|_| "paused".to_owned());
        // Settings that were taken meanwhile.
        let forbidden = || forbids_unasked(&agent.settings().agent, policy).map(str::to_owned);
        watch().or_else(paused).or_else(|| if only_plan { None } else { forbidden() })
    };
    let commission = Commission {
        request: &request,
        trigger,
        requested_by: None,
        control: &control,
        list: false,
        stop: &stop,
        // Orphans have an interval of their own.
        leave_out: (policy == Policy::Scheduled).then_some(Phase::Orphans),
    };
    let mut allowed: Vec<Target> = Vec::new();
    // What the fuse judged is all that may go: the sweep plans again.
    let mut judged = HashMap::new();
    for target in targets {
        let new = target.root.new_until.is_some_and(|until| clock::now() < until);
        match agent.engine.share(&commission, &target) {
            Ok((plan, root)) => {
                let share = target.root.limits.max_share;
                let consent = consent(plan, root, share, only_plan || new);
                if !matches!(consent, Consent::Ask { .. }) {
                    agent.engine.alerts.end(&plan_waits(policy, &target.root.name));
                }
                match consent {
                    Consent::Carry => {
                        judged.insert(target.root.name.clone(), plan);
                        allowed.push(target);
                    }
                    Consent::Plan if plan.files == 0 => {}
                    Consent::Plan => {
                        let why = if new {
                            "the root is new (adoption_grace)"
                        } else {
                            "configured to remove nothing"
                        };
                        plan_only(agent, &commission, &target, why);
                    }
                    Consent::Ask { percent } => blown(agent, &commission, &target, percent, share),
                }
            }
            Err(error) => {
                tracing::error!(root = %target.root.name, policy = %policy, reason = %super::chain(&error), "a scheduled sweep could not be planned");
            }
        }
    }
    if only_plan || allowed.is_empty() {
        return !agent.stop.is_raised();
    }
    if let Err(error) = agent.engine.sweep_at_most(&commission, &allowed, &judged) {
        tracing::error!(policy = %policy, reason = %super::chain(&error), "a scheduled sweep could not begin");
    }
    if up_to_date {
        forget_served_chunks(agent, given_up);
    }
    stop().is_none()
}

fn plan_only(agent: &Agent, commission: &Commission<'_>, target: &Target, why: &str) {
    match agent.engine.plan(commission, std::slice::from_ref(target)) {
        Ok(plans) => {
            for (plan, _, _) in plans {
                tracing::info!(root = %plan.root, policy = %plan.policy, files = plan.files(), reason = why, "planned only");
                log_plan(agent, &plan);
            }
        }
        Err(error) => {
            tracing::error!(reason = %super::chain(&error), "a scheduled sweep could not be planned")
        }
    }
}

fn plan_waits(policy: Policy, root: &RootName) -> Subject {
    Subject::of(AlertKind::PlanWaits, Some(root)).part(policy.as_str())
}

/// The fuse has blown: the plan is kept for a person to look at and to apply.
fn blown(agent: &Agent, commission: &Commission<'_>, target: &Target, percent: f64, max_share: f64) {
    let kept = agent.engine.plan(commission, std::slice::from_ref(target)).map(|plans| {
        plans.first().map(|(plan, _, _)| {
            let plan = PlanResource::of(plan, commission.request, target.root.path());
            agent.plans.keep(plan, commission.request.clone(), None, clock::now())
        })
    });
    let id = kept.ok().flatten().and_then(|plan| plan.id);
    let id = id.as_ref().map_or_else(String::new, |id| id.as_str().to_owned());
    let note = format!(
        "a scheduled plan would take {percent:.0}% of the root (limits.max_share is {max_share:.0}%): \
         look at it with `guardian sweep {policy} --dry-run`, carry it out with `guardian sweep --plan {id}`",
        policy = commission.request.policy
    );
    let subject = plan_waits(commission.request.policy, &target.root.name);
    agent.engine.alerts.raise(&Alert::new(subject, Level::Warning, note.clone()), clock::since_boot());
    let mut remarks = agent.remarks.lock().unwrap_or_else(PoisonError::into_inner);
    remarks.insert(target.root.name.clone(), vec![note]);
}

/// When a scheduled sweep comes next, for status.
pub fn next_sweep(agent: &Agent, now: Timestamp) -> Option<Timestamp> {
    let interval = agent.settings().agent.sweep_interval;
    let last = agent.ledger.last_run(SCHEDULED).ok()?;
    match due(now, interval, last, agent.started_at) {
        Due::Now { .. } => Some(now),
        Due::At(at) => Some(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_only_planning_is_allowed_an_empty_plan_gives_no_leave_to_remove() {
        let root = Amount { files: 10, bytes: 1000 };
        let some = Amount { files: 1, bytes: 10 };
        let most = Amount { files: 9, bytes: 900 };
        for plan in [Amount::default(), some, most] {
            assert_eq!(consent(plan, root, 50.0, true), Consent::Plan);
        }
        assert_eq!(consent(some, root, 50.0, false), Consent::Carry);
        assert_eq!(consent(most, root, 50.0, false), Consent::Ask { percent: 90.0 });
    }
}
