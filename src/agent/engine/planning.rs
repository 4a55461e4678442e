//! Plans, and what they would take: nothing is changed anywhere.

use crate::model::{Plan, Resource, VolumeUsage};
use crate::policy::Amount;
use crate::sweep::orders::runs_of;
use crate::sweep::run::{Orders, plan};

use super::{Commission, Engine, EngineError, Target, by_volume, choose_past, guarded, is_served};

impl Engine {
    /// Plans a request over `targets`; changes nothing anywhere. One plan for
    /// each root and run ([`runs_of`]), and what the volume of each showed.
    pub fn plan(
        &self,
        commission: &Commission<'_>,
        targets: &[Target],
    ) -> Result<Vec<(Plan, Option<VolumeUsage>, Orders)>, EngineError> {
        let mut all = Vec::new();
        let request = commission.request;
        for group in by_volume(targets) {
            let start = self.usage(&group);
            let (mut roots, _) = self.run_roots(&group, request, start.as_ref())?;
            let shared = self.shared();
            // What a second run would find when the first is over.
            let (mut usage, mut taken, mut order) = (start, Vec::new(), 0);
            let runs = runs_of(request, &guarded(&group), start.as_ref());
            for (number, resource) in runs.into_iter().enumerate() {
                let orders = self.orders_for(commission, &group, start.as_ref(), resource)?;
                if is_served(number > 0, &orders, usage.as_ref()) {
                    continue;
                }
                choose_past(&mut roots, request, start.as_ref(), resource);
                let mut plans = plan(&orders, &roots, shared, usage.as_ref(), &mut taken)?;
                let shown = usage;
                usage = usage.map(|usage| crate::agent::dry::after(&usage, &plans));
                let first = order;
                for action in plans.iter_mut().flat_map(|plan| &mut plan.actions) {
                    action.order += first;
                    order += 1;
                }
                all.extend(plans.into_iter().map(|plan| (plan, shown, orders.clone())));
            }
        }
        Ok(all)
    }

    /// What a request would take from one root without any bound, and what the
    /// root holds: what the fuse compares.
    pub fn share(
        &self,
        commission: &Commission<'_>,
        target: &Target,
    ) -> Result<(Amount, Amount), EngineError> {
        let group = [target.clone()];
        let usage = self.usage(&group);
        let (roots, _) = self.run_roots(&group, commission.request, usage.as_ref())?;
        let mut orders = self.orders_for(commission, &group, usage.as_ref(), Resource::Bytes)?;
        orders.max_files = None;
        let shared = self.shared();
        let totals = match roots.first() {
            Some(one) => one.nominator.totals()?,
            None => return Err(EngineError::NoRoots),
        };
        let plans = plan(&orders, &roots, shared, usage.as_ref(), &mut Vec::new())?;
        let taken = plans.first().map(amount).unwrap_or_default();
        Ok((taken, Amount { files: totals.files, bytes: totals.bytes }))
    }
}

/// What a plan takes, by its actions. What was given up one by one is no
/// surprise, and not among the files that a root is counted by.
fn amount(plan: &Plan) -> Amount {
    let surprising = || plan.actions.iter().filter(|action| action.reason.kept().is_none());
    Amount {
        files: surprising().map(|action| action.reason.files()).sum(),
        bytes: surprising().map(|action| action.expected_bytes).sum(),
    }
}
