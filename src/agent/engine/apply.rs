//! Plans that were made before, applied later.
//!
//! Each entry is looked at as a fresh decision would be. A plan of fixed sets
//! is carried out whole, as far as it is unchanged. One of an emergency says in
//! which order, not how much: the volume may be fine by now.

use std::collections::VecDeque;

use crate::model::{Action, PlanAction, Policy, Report, Resource};
use crate::policy::Target as Goal;
use crate::sweep::carry_out::carry_out_plan;
use crate::sweep::orders::{moment, runs_of};
use crate::sweep::run::RunRoot;

use super::{Commission, Engine, EngineError, Target, VolumeId, by_volume, choose_past, guarded, is_served};

/// The removals of a plan that concern `group`, in the plan's order, with the place of their root.
fn read(group: &[Target], actions: &[PlanAction]) -> Result<VecDeque<(usize, Action)>, EngineError> {
    let mut mine = VecDeque::new();
    for action in actions {
        if let Some(place) = group.iter().position(|target| target.root.name == action.root) {
            let read = action.to_action(group[place].root.path());
            mine.push_back((place, read.map_err(|error| EngineError::BadPlan(error.to_string()))?));
        }
    }
    Ok(mine)
}

impl Engine {
    /// Carries out removals that were planned before, as far as they are unchanged.
    pub fn apply(
        &self,
        commission: &Commission<'_>,
        targets: &[Target],
        actions: &[PlanAction],
    ) -> Result<Vec<Report>, EngineError> {
        let mut reports = Vec::new();
        for group in by_volume(targets) {
            let mut rest = read(&group, actions)?;
            if rest.is_empty() {
                continue;
            }
            let emergency = commission.request.policy == Policy::Emergency;
            let Some(volume) = group.first().map(|target| VolumeId::of(&target.root)) else { continue };
            self.turns.with(volume, emergency, |between| {
                let _at_work = self.turns.at_work(group.iter().map(|target| target.root.name.clone()));
                let start = self.usage(&group);
                let (now, trusted) = self.look_at_clock();
                let runs = runs_of(commission.request, &guarded(&group), start.as_ref());
                for (number, resource) in runs.into_iter().enumerate() {
                    let usage = if number == 0 { start } else { self.usage(&group) };
                    let mut orders = self.orders_for(commission, &group, start.as_ref(), resource)?;
                    let over = || rest.is_empty() || self.is_stopped(commission);
                    if is_served(number > 0, &orders, usage.as_ref()) || (number > 0 && over()) {
                        continue;
                    }
                    let mut roots: Vec<RunRoot<'_>> = group
                        .iter()
                        .map(|target| RunRoot {
                            root: &target.root,
                            nominator: Box::new(crate::sweep::nominate::Nothing),
                            moment: moment(commission.request, &target.root, usage.as_ref(), now, trusted),
                            past_its_mark: false,
                        })
                        .collect();
                    choose_past(&mut roots, commission.request, start.as_ref(), resource);
                    if !emergency {
                        orders.target = Goal::none(Resource::Bytes);
                    }
                    orders.max_files = commission.request.max_files;
                    let shared = self.shared();
                    let world = self.world(commission, &group, between);
                    let done = carry_out_plan(&orders, &roots, shared, &world, &mut rest);
                    self.remember(commission.trigger, &done);
                    self.tell_end(&world, &done, self.is_stopped(commission));
                    reports.extend(done);
                }
                Ok::<(), EngineError>(())
            })?;
        }
        Ok(reports)
    }
}
