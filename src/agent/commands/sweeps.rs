//! Sweeps that somebody asks for.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::json;

use crate::agent::runs::{Asked, Run};
use crate::agent::state::SlotState;
use crate::agent::{ended, forbidden, problems};
use crate::api::{ApiError, Listing, Page, PeerIdentity, Problem, SweepResource};
use crate::model::{JobId, Policy, RunId, SweepRequest, TimeSpan, Trigger};
use crate::sys::clock;

use super::Served;

impl Served {
    /// Refuses what the present state forbids; `what` names the work in a refusal.
    pub(super) fn admit(
        &self,
        request: &SweepRequest,
        by: &PeerIdentity,
        what: &str,
    ) -> Result<(), ApiError> {
        let agent = &self.agent;
        if let Some(name) = &request.root
            && let SlotState::Suspended(why) = self.named(name)?.state()
        {
            return Err(ApiError::conflict(format!("root {name} is suspended: {why}"))
                .with_help("`guardian root accept` takes what is there now for the root"));
        }
        ended::check_job(request, &agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner))?;
        ended::check_session(
            request,
            &agent.engine.references.read().unwrap_or_else(PoisonError::into_inner),
        )?;
        self.limit(by, what)
    }

    pub(super) fn ask_sweep(
        &self,
        request: SweepRequest,
        by: &PeerIdentity,
    ) -> Result<SweepResource, ApiError> {
        let agent = &self.agent;
        let policy = match &request.plan {
            Some(id) => {
                let kept = agent.plans.get(id, clock::now()).ok_or_else(|| {
                    ApiError::invalid(format!("plan {id} is not kept (any more)"))
                        .with_help("plans are kept for an hour, the last 16; make it again with --dry-run")
                })?;
                kept.request.policy
            }
            None => request.policy,
        };
        let dry = forbidden::is_dry(&agent.settings().agent, &request, policy);
        if dry && request.plan.is_some() {
            return Err(ApiError::conflict(forbidden::REMOVES_NOTHING));
        }
        if !dry && let Some(pause) = forbidden::pause_for(agent, policy) {
            return Err(problems::paused(&pause));
        }
        self.admit(&request, by, "sweep")?;
        let what = json!({ "action": "sweep", "request": &request });
        // A dry run writes nothing.
        if dry {
            return self.queue(request, by);
        }
        self.record(by, what.clone());
        self.on_behalf(by, what, || self.queue(request, by))
    }

    fn queue(&self, request: SweepRequest, by: &PeerIdentity) -> Result<SweepResource, ApiError> {
        match self.agent.runs.ask(request, Trigger::Manual, Some(by.requester())) {
            Asked::New(run) | Asked::Joined(run) => Ok(run.resource()),
            Asked::Refused => Err(ApiError::new(
                Problem::Unavailable,
                "too many sweeps are waiting, or the agent is stopping",
            )),
        }
    }

    pub(super) fn sweep_job(&self, id: &JobId, by: &PeerIdentity) -> Result<SweepResource, ApiError> {
        self.agent.registry.get(id).map_err(|error| problems::job(&error))?;
        let request = SweepRequest { job: Some(id.clone()), ..SweepRequest::of(Policy::FailedJobs) };
        self.ask_sweep(request, by)
    }

    /// Now, whatever their retention: somebody asked.
    pub(super) fn sweep_failed_jobs(&self, by: &PeerIdentity) -> Result<SweepResource, ApiError> {
        let older_than = Some(TimeSpan(Duration::ZERO));
        self.ask_sweep(SweepRequest { older_than, ..SweepRequest::of(Policy::FailedJobs) }, by)
    }

    pub(super) fn run(&self, id: &RunId) -> Result<Arc<Run>, ApiError> {
        let found = self.agent.runs.get(id);
        found.ok_or_else(|| problems::no_sweep(id, self.agent.started_at))
    }

    pub(super) fn wait_for_sweep(&self, id: &RunId) -> Result<SweepResource, ApiError> {
        let run = self.run(id)?;
        if self.agent.runs.wait(&run) {
            Ok(run.resource())
        } else {
            Err(ApiError::new(Problem::Unavailable, "the agent is stopping; the sweep ends after its batch")
                .with_help("`guardian history` has its report once the agent is there again"))
        }
    }

    pub(super) fn cancel_sweep(&self, id: &RunId, by: &PeerIdentity) -> Result<SweepResource, ApiError> {
        let run = self.run(id)?;
        if !run.is_over() {
            self.agent.runs.cancel(&run, "cancelled");
            self.record(by, json!({ "action": "sweep_cancel", "sweep": id }));
        }
        Ok(run.resource())
    }

    pub(super) fn list_sweeps(&self, page: &Page) -> Listing<SweepResource> {
        let all = self.agent.runs.all();
        let mut behind =
            all.iter().filter(|run| page.after.as_ref().is_none_or(|after| run.id.as_str() < after.as_str()));
        let items: Vec<SweepResource> = behind
            .by_ref()
            .take(page.limit)
            .map(|run| {
                let mut shown = run.resource();
                for report in shown.reports.iter_mut().chain(&mut shown.report) {
                    report.actions = None;
                }
                shown
            })
            .collect();
        let next = behind.next().and_then(|_| items.last()).map(|last| last.id.as_str().to_owned());
        Listing { items, next }
    }
}
