//! Dry runs: plans become reports of what would go, or lines of the log.
//!
//! Promises: the figures are the plan's own; nothing is written.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::PoisonError;
use std::time::Duration;

use crate::model::{
    Plan, PlanAction, PlanResource, Report, Resource, RunId, Skip, SweepRequest, Timestamp, VolumeUsage,
};
use crate::policy::Target as Goal;
use crate::sweep::merge::gain;
use crate::sweep::record::{RunEnd, RunRecord};
use crate::sweep::root::GuardedRoot;
use crate::sweep::run::Orders;

use super::engine::Target;
use super::state::Agent;
use super::surroundings::new_id;

/// A plan with what it was made for.
pub type Planned = (Plan, Option<VolumeUsage>, Orders);

/// The reports and plans of a dry run, in the order of the roots. `now` and
/// `took` are the end of planning and how long it took.
pub fn reports(
    planned: &[Planned],
    request: &SweepRequest,
    targets: &[Target],
    now: Timestamp,
    took: Duration,
) -> Vec<(Report, PlanResource)> {
    planned
        .iter()
        .filter_map(|(plan, usage, orders)| {
            let root = &targets.iter().find(|target| target.root.name == plan.root)?.root;
            // Roots of one volume end at one target.
            let volume =
                || planned.iter().filter(|(_, _, other)| other.head.volume_run == orders.head.volume_run);
            let after = usage.map(|usage| after(&usage, volume().map(|(plan, ..)| plan)));
            let report = report(plan, orders, usage.as_ref(), after, now, took, root);
            Some((report, PlanResource::of(plan, request, root.path())))
        })
        .collect()
}

/// What the volume would show when `plans` were carried out.
pub fn after<'a>(usage: &VolumeUsage, plans: impl IntoIterator<Item = &'a Plan>) -> VolumeUsage {
    let (mut bytes, mut inodes): (u64, u64) = (0, 0);
    for action in plans.into_iter().flat_map(|plan| &plan.actions) {
        bytes = bytes.saturating_add(gain(action, Resource::Bytes));
        inodes = inodes.saturating_add(gain(action, Resource::Inodes));
    }
    VolumeUsage {
        used: usage.used.saturating_sub(bytes),
        available: usage.available.saturating_add(bytes),
        inodes_used: usage.inodes_used.saturating_sub(inodes),
        inodes_available: usage.inodes_available.saturating_add(inodes),
        ..*usage
    }
}

fn reached(target: &Goal, after: Option<&VolumeUsage>) -> Option<bool> {
    target.is_set().then(|| after.is_some_and(|usage| target.is_reached(usage)))
}

fn report(
    plan: &Plan,
    orders: &Orders,
    before: Option<&VolumeUsage>,
    after: Option<VolumeUsage>,
    now: Timestamp,
    took: Duration,
    root: &GuardedRoot,
) -> Report {
    let target = orders.target;
    let mut record =
        RunRecord::begin(&orders.head, RunId::new(new_id()), plan.root.clone(), target.resource, before);
    record.scanned(plan.scanned);
    for &phase in &orders.phases {
        record.phase(phase, plan.cutoffs.get(&phase).copied());
    }
    let listed: Vec<serde_json::Value> = plan
        .actions
        .iter()
        .filter_map(|action| {
            serde_json::to_value(PlanAction::of(action, plan.policy, &plan.root, root.path())).ok()
        })
        .collect();
    let mut end = RunEnd {
        time: now,
        took,
        target_percent: target.percent,
        target_reached: reached(&target, after.as_ref()),
        usage: after,
        open_check: Some(root.open_check_now().as_str()),
        ..RunEnd::default()
    };
    end.reclaim.unlinked_bytes = plan.actions.iter().map(|action| action.expected_bytes).sum();
    let mut report = record.finish_dry(&plan.actions, listed, end);
    // A plan counts what stays for the run as a whole, not for each phase.
    for skip in Skip::ALL {
        let count = plan.kept.get(skip.as_str()).copied().unwrap_or(0);
        *report.skipped.entry(skip.as_str().to_owned()).or_default() += count;
        if let [only] = report.phases.as_mut_slice()
            && count > 0
        {
            only.skipped.insert(skip.as_str().to_owned(), count);
        }
    }
    report
}

/// Logs what a plan would remove, once as long as it says the same.
pub fn log_plan(agent: &Agent, plan: &Plan) {
    let mut hasher = DefaultHasher::new();
    for action in &plan.actions {
        (action.path.as_bytes(), action.facts.id.ino).hash(&mut hasher);
    }
    let (print, key) = (hasher.finish(), (plan.root.clone(), plan.policy));
    {
        let mut logged = agent.logged_plans.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.insert(key, print) == Some(print) {
            return;
        }
    }
    for action in &plan.actions {
        tracing::info!(
            root = %plan.root, policy = %action.phase, path = %action.path,
            bytes = action.expected_bytes, reason = %action.reason, "would remove"
        );
    }
}
