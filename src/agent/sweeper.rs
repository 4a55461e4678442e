//! The named threads that carry out sweeps that somebody asked for.
//!
//! Promises: what the configuration forbids to remove is planned only, whoever
//! asks; a pause ends a run after its batch; a dry run writes nothing and
//! leaves its plan with the agent. Must not know: HTTP, who may ask.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::model::{PlanId, PlanResource, Policy, Report, Requester, SweepRequest};
use crate::sys::clock;
use crate::sys::priority::giving_way;

use super::chunks_served::{chunks_to_serve, forget_served_chunks, is_up_to_date};
use super::dry::log_plan;
use super::engine::{Commission, Target};
use super::forbidden::{REMOVES_NOTHING, is_dry, pause_for};
use super::idle_sessions::end_idle_sessions;
use super::plans::KeptPlan;
use super::runs::Run;
use super::state::{Agent, SlotState};
use super::{chain, dry};

/// Carries out sweeps until the agent stops.
pub fn work(agent: &Arc<Agent>) {
    while let Some(run) = agent.runs.take() {
        match catch_unwind(AssertUnwindSafe(|| carry_out(agent, &run))) {
            Ok(result) => {
                if let Err(error) = &result {
                    tracing::error!(run = %run.id, policy = %run.request.policy, reason = %error, "a sweep failed");
                }
                agent.runs.end(&run, result);
                agent.stir.bell.ring();
            }
            Err(panic) => {
                agent.runs.end(&run, Err("it ended unexpectedly; the agent's log says more".to_owned()));
                // This thread's end ends the agent: its state is not to be trusted.
                resume_unwind(panic);
            }
        }
    }
}

/// The roots of a request that are ready, and what is to be said of the others.
///
/// # Errors
/// In words, when the root that is named is not ready, or none is.
pub fn targets(agent: &Agent, request: &SweepRequest) -> Result<(Vec<Target>, Vec<String>), String> {
    let slots = agent.slots();
    let wanted =
        |slot: &&Arc<super::state::Slot>| request.root.as_ref().is_none_or(|name| slot.name() == name);
    let mut left_out = Vec::new();
    for slot in slots.iter().filter(wanted) {
        if let SlotState::Suspended(why) = slot.state() {
            left_out.push(format!("root {} is suspended: {why}", slot.name()));
        }
    }
    let found = agent.targets(request.root.as_ref());
    if found.is_empty() {
        let why = left_out.into_iter().next();
        return Err(why.unwrap_or_else(|| "no root is ready".to_owned()));
    }
    agent.settle(found.iter().filter_map(|target| target.key));
    Ok((found, left_out))
}

fn carry_out(agent: &Agent, run: &Run) -> Result<(Vec<Report>, Option<PlanId>), String> {
    let kept = match &run.request.plan {
        Some(id) => {
            Some(agent.plans.get(id, clock::now()).ok_or_else(|| format!("plan {id} is not kept any more"))?)
        }
        None => None,
    };
    let request = kept.as_ref().map_or(&run.request, |kept| &kept.request);
    match request.policy {
        Policy::Emergency => follow(agent, run, kept.as_ref(), request),
        _ => giving_way(|| follow(agent, run, kept.as_ref(), request)),
    }
}

fn follow(
    agent: &Agent,
    run: &Run,
    kept: Option<&KeptPlan>,
    request: &SweepRequest,
) -> Result<(Vec<Report>, Option<PlanId>), String> {
    let (targets, left_out) = targets(agent, request)?;
    let dry = is_dry(&agent.settings().agent, &run.request, request.policy);
    let watch = agent.watch_over(&targets);
    let stop = || {
        let paused = || pause_for(agent, request.policy).map(|_| "paused".to_owned());
        // Settings that were taken meanwhile.
        let forbids = || is_dry(&agent.settings().agent, &run.request, request.policy);
        let removing = || paused().or_else(|| forbids().then(|| REMOVES_NOTHING.to_owned()));
        watch().or_else(|| if dry { None } else { removing() })
    };
    let commission = Commission {
        request,
        trigger: run.trigger,
        requested_by: run.requested_by,
        control: &run.control,
        list: run.request.list,
        stop: &stop,
        leave_out: None,
    };
    let mut plan = None;
    let given_up = match request.policy {
        Policy::Chunks => chunks_to_serve(agent, request),
        _ => Vec::new(),
    };
    // Files of a chunk may have been written a moment before it was reported.
    let up_to_date = request.policy != Policy::Chunks || is_up_to_date(agent, &targets);
    let result = if dry {
        if kept.is_some() {
            return Err(REMOVES_NOTHING.to_owned());
        }
        plan_only(agent, &commission, &targets).map(|(reports, id)| {
            plan = Some(id);
            reports
        })
    } else if let Some(why) = stop() {
        return Err(why);
    } else {
        let about_sessions = matches!(request.policy, Policy::Scheduled | Policy::Session);
        if about_sessions && request.session.is_none() && kept.is_none() {
            end_idle_sessions(agent);
        }
        match kept {
            Some(kept) => agent.engine.apply(&commission, &targets, &kept.plan.actions),
            None => agent.engine.sweep(&commission, &targets),
        }
    };
    let mut reports = result.map_err(|error| chain(&error))?;
    if request.policy == Policy::Chunks && !dry && up_to_date {
        forget_served_chunks(agent, given_up);
    }
    for report in &mut reports {
        report.notes.extend(left_out.iter().map(|why| format!("left out: {why}")));
    }
    Ok((reports, plan))
}

fn plan_only(
    agent: &Agent,
    commission: &Commission<'_>,
    targets: &[Target],
) -> Result<(Vec<Report>, PlanId), super::engine::EngineError> {
    let begun = clock::since_boot();
    let planned = agent.engine.plan(commission, targets)?;
    if !commission.request.dry_run {
        for (plan, ..) in &planned {
            log_plan(agent, plan);
        }
    }
    let took = clock::since_boot().saturating_sub(begun);
    let (reports, plans): (Vec<_>, Vec<_>) =
        dry::reports(&planned, commission.request, targets, clock::now(), took).into_iter().unzip();
    let kept = keep(agent, plans, commission.request, commission.requested_by);
    // `keep` names every plan that it takes.
    let id = kept.id.unwrap_or_else(|| PlanId::new(""));
    Ok((reports, id))
}

/// Keeps the plans of a request as one.
pub fn keep(
    agent: &Agent,
    plans: Vec<PlanResource>,
    request: &SweepRequest,
    by: Option<Requester>,
) -> PlanResource {
    let now = clock::now();
    let mut all = PlanResource {
        id: None,
        as_of: plans.first().map_or(now, |plan| plan.as_of),
        policy: request.policy,
        root: match plans.as_slice() {
            [only] => only.root.clone(),
            _ => None,
        },
        older_than: request.older_than,
        job: request.job.clone(),
        session: request.session.clone(),
        actions: Vec::new(),
        kept: Default::default(),
        expires_at: None,
    };
    for plan in plans {
        all.actions.extend(plan.actions);
        for (why, count) in plan.kept {
            *all.kept.entry(why).or_default() += count;
        }
    }
    all.actions.sort_by_key(|action| action.order);
    agent.plans.keep(all, request.clone(), by.map(|by| by.uid), now)
}
