//! Plans that the agent makes and keeps.

use crate::agent::engine::Commission;
use crate::agent::surroundings::Control;
use crate::agent::{problems, sweeper};
use crate::api::{ApiError, PeerIdentity, PlanResource};
use crate::model::{PlanId, SweepRequest, Trigger};
use crate::sys::clock;

use super::Served;

impl Served {
    pub(super) fn make_plan(
        &self,
        request: &SweepRequest,
        by: &PeerIdentity,
    ) -> Result<PlanResource, ApiError> {
        self.admit(request, by, "plan")?;
        let agent = &self.agent;
        let (targets, _) = sweeper::targets(agent, request).map_err(ApiError::conflict)?;
        let control = Control::default();
        let commission = Commission {
            request,
            trigger: Trigger::Manual,
            requested_by: Some(by.requester()),
            control: &control,
            list: true,
            stop: &|| None,
            leave_out: None,
        };
        let planned = agent.engine.plan(&commission, &targets).map_err(|error| problems::engine(&error))?;
        let plans = planned
            .iter()
            .filter_map(|(plan, ..)| {
                let target = targets.iter().find(|target| target.root.name == plan.root)?;
                Some(PlanResource::of(plan, request, target.root.path()))
            })
            .collect();
        Ok(sweeper::keep(agent, plans, request, Some(by.requester())))
    }

    pub(super) fn kept_plan(&self, id: &PlanId) -> Result<PlanResource, ApiError> {
        let kept = self.agent.plans.get(id, clock::now());
        kept.map(|kept| kept.plan)
            .ok_or_else(|| ApiError::not_found(format!("plan {id} is not kept (any more)")))
    }
}
