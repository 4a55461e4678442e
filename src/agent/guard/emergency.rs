//! Emergencies of a volume: when one begins, what it came to, how long the
//! next one waits.
//!
//! Promises: one at a time on a volume, on a thread of its own; one in vain
//! puts off the next for the same resource, not for the other; one that was cut
//! off is over: the next begins where the settings in force say so, and when what
//! the last one unlinked has come free. Must not know: how runs choose and remove.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::agent::alerts::{Alert, Subject};
use crate::agent::engine::{Commission, Target};
use crate::agent::forbidden::{forbids_unasked, pause_for};
use crate::agent::state::Agent;
use crate::agent::surroundings::Control;
use crate::agent::{chain, dry, log};
use crate::model::{AlertKind, Level, Policy, Report, Resource, SweepRequest, TimeSpan, Trigger};
use crate::policy::{PATIENCE, resource_needed};
use crate::sys::clock;

use super::backoffs::Ended;
use super::volume::{Member, Volume};

/// Takes in what an emergency that is over has come to.
pub(super) fn end(agent: &Agent, volume: &mut Volume, now: Duration) {
    if !volume.emergency.as_ref().is_some_and(JoinHandle::is_finished) {
        return;
    }
    let Some(ended) = volume.emergency.take() else { return };
    // One that panicked counts as having freed nothing: the next waits longer.
    let in_vain = || vec![(Resource::Bytes, 0, 1), (Resource::Inodes, 0, 1)];
    let ended = ended.join().unwrap_or_else(|_| Ended { yields: in_vain(), cut: false });
    if ended.cut {
        volume.rests_until = now.saturating_add(PATIENCE);
    }
    for (resource, freed, needed) in ended.yields {
        let pause = volume.backoff.of(resource).ended(freed, needed, now);
        // What was in vain is no alarm any more where nothing is needed now.
        let usage = volume.monitor.last().map(|look| look.usage);
        let is_needed = |member: &Member| {
            usage.is_some_and(|usage| resource_needed(&usage, resource, &member.root.guarded.marks).is_some())
        };
        for member in &volume.members {
            let subject = Subject::of(AlertKind::Futile, Some(member.slot.name())).part(log::name(resource));
            if pause.is_zero() || !is_needed(member) {
                agent.engine.alerts.end(&subject);
            } else {
                let message = format!(
                    "an emergency freed next to nothing of the {} needed; the next waits {} at most",
                    log::name(resource),
                    TimeSpan(pause)
                );
                agent.engine.alerts.raise(&Alert::new(subject, Level::Warning, message), now);
            }
        }
    }
    volume.monitor.cut();
}

/// Begins an emergency where one is needed and may be.
pub(super) fn begin(agent: &Arc<Agent>, volume: &mut Volume, now: Duration) {
    let Some(look) = volume.monitor.last() else { return };
    let mut needed: Vec<(Resource, u64)> = Vec::new();
    for resource in [Resource::Bytes, Resource::Inodes] {
        let need = |member: &Member| resource_needed(&look.usage, resource, &member.root.guarded.marks);
        match volume.members.iter().filter_map(need).map(|need| need.amount).max() {
            Some(amount) => needed.push((resource, amount)),
            None => volume.backoff.of(resource).reset(),
        }
    }
    let settings = agent.settings();
    let paused = agent.pause_at(clock::now()).is_some_and(|pause| pause.emergencies);
    let allowed = now >= volume.rests_until
        && needed.iter().any(|(resource, _)| volume.backoff.of(*resource).allows(now));
    if volume.emergency.is_some() || !settings.agent.automatic || paused || !allowed {
        return;
    }
    let targets: Vec<Target> = volume
        .members
        .iter()
        .map(|member| Target { root: Arc::clone(&member.root.guarded), key: member.root.key })
        .collect();
    let agent = Arc::clone(agent);
    let thread = std::thread::Builder::new().name("guardian-emergency".to_owned());
    let started = thread.spawn(move || {
        let watch = agent.watch_over(&targets);
        let reports = carry_out(&agent, &targets, &watch);
        // One that was ended from outside says nothing about what the next can free.
        let ended = watch().is_some();
        agent.stir.bell.ring();
        let counts = |resource, needed| if ended { needed } else { freed(&reports, resource) };
        let yields =
            needed.into_iter().map(|(resource, needed)| (resource, counts(resource, needed), needed));
        Ended { yields: yields.collect(), cut: ended && !agent.stop.is_raised() }
    });
    match started {
        Ok(handle) => {
            volume.emergency = Some(handle);
        }
        Err(error) => tracing::error!(reason = %error, "failed to start the thread of an emergency"),
    }
}

/// What came free of a resource by all runs of an emergency: bytes, or names.
fn freed(reports: &[Report], resource: Resource) -> u64 {
    let of = |report: &Report| match resource {
        Resource::Bytes => report.bytes_freed,
        Resource::Inodes => report.files_deleted,
    };
    reports.iter().map(of).sum()
}

/// Runs one emergency.
fn carry_out(agent: &Agent, targets: &[Target], watch: &(dyn Fn() -> Option<String> + Sync)) -> Vec<Report> {
    let request = SweepRequest::of(Policy::Emergency);
    let control = Control::default();
    let dry = agent.settings().agent.dry_run;
    let stop = || {
        let paused = || pause_for(agent, Policy::Emergency).map(|_| "paused".to_owned());
        // Settings that were taken meanwhile.
        let forbidden = || forbids_unasked(&agent.settings().agent, Policy::Emergency).map(str::to_owned);
        watch().or_else(paused).or_else(|| if dry { None } else { forbidden() })
    };
    let commission = Commission {
        request: &request,
        trigger: Trigger::EmergencyThreshold,
        requested_by: None,
        control: &control,
        list: false,
        stop: &stop,
        leave_out: None,
    };
    if dry {
        match agent.engine.plan(&commission, targets) {
            Ok(plans) => {
                for (plan, _, _) in plans {
                    dry::log_plan(agent, &plan);
                }
            }
            Err(error) => {
                tracing::error!(reason = %chain(&error), "an emergency could not be planned")
            }
        }
        return Vec::new();
    }
    agent.engine.sweep(&commission, targets).unwrap_or_else(|error| {
        tracing::error!(reason = %chain(&error), "an emergency could not begin");
        Vec::new()
    })
}
