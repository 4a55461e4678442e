//! Plans that the agent keeps: the last 16, for an hour each.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::{PlanId, PlanResource, SweepRequest, Timestamp};

/// How many plans are kept.
pub const KEPT: usize = 16;
/// How long a plan is kept.
pub const LIFETIME: Duration = Duration::from_secs(3600);

/// A kept plan: what it says, and the request it answers.
#[derive(Debug, Clone)]
pub struct KeptPlan {
    /// The plan; over several roots its actions name theirs.
    pub plan: PlanResource,
    /// What was asked for.
    pub request: SweepRequest,
    /// Who asked; `None`: guardian itself.
    by: Option<u32>,
}

/// The kept plans.
#[derive(Debug, Default)]
pub struct Plans(Mutex<VecDeque<KeptPlan>>);

impl Plans {
    /// Names a plan and keeps it. Anybody may ask for plans, so one that has no
    /// room displaces the oldest of whoever keeps most, not an administrator's.
    pub fn keep(
        &self,
        mut plan: PlanResource,
        request: SweepRequest,
        by: Option<u32>,
        now: Timestamp,
    ) -> PlanResource {
        plan.id = Some(PlanId::new(super::surroundings::new_id()));
        plan.expires_at = Some(now.plus(LIFETIME));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(KeptPlan { plan: plan.clone(), request, by });
        while kept.len() > KEPT {
            let of = |by| kept.iter().filter(|one| one.by == by).count();
            let most = kept.iter().map(|one| of(one.by)).max();
            let place = kept.iter().position(|one| Some(of(one.by)) == most).unwrap_or(0);
            kept.remove(place);
        }
        plan
    }

    /// A plan that is still kept at `now`.
    pub fn get(&self, id: &PlanId, now: Timestamp) -> Option<KeptPlan> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .find(|one| one.plan.id.as_ref() == Some(id) && one.plan.expires_at.is_none_or(|end| now < end))
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Policy;

    fn plan() -> PlanResource {
        PlanResource {
            id: None,
            as_of: Timestamp::EPOCH,
            policy: Policy::Orphans,
            root: None,
            older_than: None,
            job: None,
            session: None,
            actions: Vec::new(),
            kept: Default::default(),
            expires_at: None,
        }
    }

    #[test]
    fn a_plan_is_kept_for_an_hour_and_sixteen_at_most() {
        let plans = Plans::default();
        let now = Timestamp::from_unix(1_000, 0);
        let first = plans.keep(plan(), SweepRequest::of(Policy::Orphans), Some(0), now).id.unwrap();
        assert!(plans.get(&first, now).is_some());
        assert!(plans.get(&first, now.plus(LIFETIME)).is_none());
        for _ in 0..KEPT {
            plans.keep(plan(), SweepRequest::of(Policy::Orphans), Some(0), now);
        }
        assert!(plans.get(&first, now).is_none());
    }

    #[test]
    fn nobody_displaces_the_plans_of_others_by_asking_often() {
        let plans = Plans::default();
        let now = Timestamp::from_unix(1_000, 0);
        let keep = |by| plans.keep(plan(), SweepRequest::of(Policy::Orphans), by, now).id.unwrap();
        let (of_root, of_guardian) = (keep(Some(0)), keep(None));
        let many: Vec<_> = (0..3 * KEPT).map(|_| keep(Some(1000))).collect();
        assert!(plans.get(&of_root, now).is_some() && plans.get(&of_guardian, now).is_some());
        assert!(plans.get(&many[0], now).is_none() && plans.get(&many[3 * KEPT - 1], now).is_some());
    }
}
