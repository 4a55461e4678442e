//! Sweeps in the command's own process: planned without a trace, or carried out.
//!
//! Promises: the same checks and the same record as the agent's; a pause holds
//! here too. Must not know: how roots are opened, how the ledger is locked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::agent::ended::{check_job, check_session};
use crate::agent::engine::{Commission, Engine, Target};
use crate::agent::roots::{Claim, Looked, Reading, look_root};
use crate::agent::surroundings::Control;
use crate::agent::vault::Keeper;
use crate::agent::{dry, forbidden, problems};
use crate::api::{ApiError, PlanAction, PlanResource};
use crate::cli::{StandaloneSweep, SweepOutcome, Told};
use crate::model::{Requester, RootName, SweepRequest, Trigger};
use crate::sys::{clock, process};

use super::opening::{OpenedTargets, count_by_walking, gather};
use super::references::end_idle_sessions;
use super::workplace::pause_at;
use super::{Alone, kept, unattended};

impl Alone {
    /// Sweeps, or only plans, where that is asked for or configured.
    pub(super) fn sweep_alone(
        &self,
        sweep: &StandaloneSweep,
        cancelled: &AtomicBool,
        told: Told,
    ) -> Result<SweepOutcome, ApiError> {
        // A plan is carried out, and its report speaks, as what it was made for.
        let mut all = sweep.plan.iter().flatten().map(PlanResource::asked);
        let asked = all.next();
        if all.any(|other| Some(other) != asked) {
            return Err(ApiError::invalid(
                "the plans were made for different requests: apply them one by one",
            ));
        }
        let policy = asked.as_ref().map_or(sweep.request.policy, |asked| asked.policy);
        if !forbidden::is_dry(&self.settings.agent, &sweep.request, policy) {
            let request = match asked {
                Some(asked) => SweepRequest {
                    older_than: asked.older_than,
                    job: asked.job,
                    session: asked.session,
                    policy,
                    ..sweep.request.clone()
                },
                None => sweep.request.clone(),
            };
            return self.carry_out(&StandaloneSweep { request, ..sweep.clone() }, cancelled, told);
        }
        if sweep.plan.is_some() {
            return Err(ApiError::conflict(
                "a plan is not carried out while the configuration says to remove nothing \
                 (dry_run or keep_files_for_debugging)",
            ));
        }
        self.plan_only(sweep, cancelled)
    }

    fn is_wanted(sweep: &StandaloneSweep, name: &RootName) -> bool {
        match &sweep.plan {
            Some(plans) => plans.iter().flat_map(|plan| &plan.actions).any(|action| action.root == *name),
            None => sweep.request.root.as_ref().is_none_or(|wanted| wanted == name),
        }
    }

    fn plan_only(&self, sweep: &StandaloneSweep, cancelled: &AtomicBool) -> Result<SweepOutcome, ApiError> {
        let (now, begun) = (clock::now(), clock::since_boot());
        let reader = self.reader()?;
        let chosen = self.chosen(&|name| Self::is_wanted(sweep, name))?;
        let own = self.own_places().collect();
        let mut view = reader.view()?;
        check_job(&sweep.request, &view)?;
        let references = reader.references()?;
        check_session(&sweep.request, &references)?;
        let claim = if sweep.adopt { Claim::Adopt } else { Claim::Usual };
        let gathered = gather(&sweep.request, chosen, |settings| {
            let reading = Reading {
                ledger: reader.ledger.as_ref(),
                state_dir: self.state_dir(),
                own: &own,
                workers: self.settings.agent.workers,
            };
            match look_root(settings, claim, &reading, now).map_err(|error| problems::root(&error))? {
                Looked::Ready { mut root, distrust } => {
                    view.known &= !distrust;
                    count_by_walking(&mut root, settings, &own);
                    Ok(Ok(*root))
                }
                Looked::Refused(refusal) => Ok(Err(refusal)),
            }
        })?;
        let targets: Vec<Target> =
            gathered.roots.into_iter().map(|root| Target { root: Arc::new(root), key: None }).collect();
        let engine = Engine::new(
            None,
            None,
            Arc::new(RwLock::new(view)),
            Arc::new(RwLock::new(references)),
            reader.clock(),
        );
        let control = Control::default();
        let stop = || cancelled.load(Ordering::Relaxed).then(|| "interrupted".to_owned());
        let commission = commission(sweep, &control, &stop);
        let planned = engine.plan(&commission, &targets).map_err(|error| problems::engine(&error))?;
        let took = clock::since_boot().saturating_sub(begun);
        let mut outcome = SweepOutcome::default();
        for (report, plan) in dry::reports(&planned, &sweep.request, &targets, clock::now(), took) {
            outcome.reports.push(report);
            outcome.plans.push(plan);
        }
        if !sweep.request.dry_run {
            note(
                &mut outcome,
                "removed nothing: the configuration says so (dry_run or keep_files_for_debugging)",
            );
        }
        for why in gathered.left_out {
            note(&mut outcome, &why);
        }
        Ok(outcome)
    }

    fn carry_out(
        &self,
        sweep: &StandaloneSweep,
        cancelled: &AtomicBool,
        told: Told,
    ) -> Result<SweepOutcome, ApiError> {
        let work = self.workplace()?;
        let now = clock::now();
        if let Some(pause) = pause_at(work.ledger.pause(), now) {
            return Err(problems::paused(&pause));
        }
        let audit = work.audit();
        let claim = if sweep.adopt { Claim::Adopt } else { Claim::Usual };
        let opened = self.open_targets(&work, &sweep.request, claim, &|name| Self::is_wanted(sweep, name))?;
        let OpenedTargets { targets, left_out, locked: _locked } = opened;
        check_job(&sweep.request, &work.registry.view().read().unwrap_or_else(PoisonError::into_inner))?;
        check_session(
            &sweep.request,
            &work.references.view().read().unwrap_or_else(PoisonError::into_inner),
        )?;
        end_idle_sessions(sweep, &work, &self.settings);
        let engine = work.engine(audit);
        kept::settle(&Keeper { ledger: &work.ledger, engine: &engine, targets: targets.clone() })?;
        let control = Control::telling(told);
        let stop = || {
            cancelled.load(Ordering::Relaxed).then(|| {
                control.cancel("interrupted");
                "interrupted".to_owned()
            })
        };
        let commission = commission(sweep, &control, &stop);
        let done = |reports| SweepOutcome { reports, ..SweepOutcome::default() };
        let outcome = match &sweep.plan {
            Some(plans) => {
                let actions: Vec<PlanAction> =
                    plans.iter().flat_map(|plan| plan.actions.iter().cloned()).collect();
                engine.apply(&commission, &targets, &actions).map(done)
            }
            None if sweep.unattended => unattended::sweep(&engine, &commission, &targets),
            None => engine.sweep(&commission, &targets).map(done),
        };
        let mut outcome = outcome.map_err(|error| problems::engine(&error))?;
        for why in left_out {
            note(&mut outcome, &why);
            outcome.not_done.push(why);
        }
        Ok(outcome)
    }
}

fn note(outcome: &mut SweepOutcome, text: &str) {
    for report in &mut outcome.reports {
        report.notes.push(text.to_owned());
    }
}

/// What is commissioned by whoever gave the command; nobody did where a timer began it.
pub(super) fn commission<'a>(
    sweep: &'a StandaloneSweep,
    control: &'a Control,
    stop: &'a (dyn Fn() -> Option<String> + Sync),
) -> Commission<'a> {
    let (uid, gid) = process::own_ids();
    Commission {
        request: &sweep.request,
        trigger: match &sweep.request.session {
            _ if sweep.unattended => Trigger::Scheduled,
            // What is asked for by name is asked for because it has ended.
            Some(_) => Trigger::SessionEnded,
            None => Trigger::Manual,
        },
        requested_by: (!sweep.unattended).then(|| Requester { uid, gid, pid: std::process::id() }),
        control,
        list: sweep.list,
        stop,
        leave_out: None,
    }
}
