//! Pause, trust, and roots that are accepted anew.

use std::sync::PoisonError;

use serde_json::json;

use crate::agent::roots::Claim;
use crate::agent::slots::{self, SlotError};
use crate::agent::{clock as clocks, problems};
use crate::api::{ApiError, PauseRequest, PauseState, PeerIdentity, RootResource, TrustState};
use crate::model::RootName;
use crate::store::ledger::Pause;
use crate::sys::clock;

use super::{Served, health};

fn shown(pause: Option<&Pause>) -> PauseState {
    PauseState {
        paused: pause.is_some(),
        until: pause.and_then(|pause| pause.until),
        emergencies: pause.is_some_and(|pause| pause.emergencies),
    }
}

impl Served {
    fn tell_those_who_wait(&self) {
        self.agent.stir.bell.ring();
        self.agent.schedule_bell.ring();
    }

    pub(super) fn begin_pause(
        &self,
        request: PauseRequest,
        by: &PeerIdentity,
    ) -> Result<PauseState, ApiError> {
        let until = request.duration.map(|span| clock::now().plus(span.0));
        let pause = Pause { until, emergencies: request.emergencies };
        let agent = &self.agent;
        let on_record = agent.pause.begin(&pause, |pause| agent.ledger.set_pause(pause));
        self.tell_those_who_wait();
        let shown_until = until.map(|time| time.to_string());
        tracing::warn!(
            uid = by.uid,
            pid = by.pid,
            until = shown_until,
            emergencies = request.emergencies,
            "removals are paused"
        );
        self.record(by, json!({ "action": "pause", "until": until, "emergencies": request.emergencies }));
        on_record.map_err(|error| {
            let problem = problems::store(&error);
            let detail =
                format!("removals are paused, but that holds only until a restart: {}", problem.detail);
            ApiError { detail, ..problem }
        })?;
        Ok(shown(Some(&pause)))
    }

    pub(super) fn end_pause(&self, by: &PeerIdentity) -> Result<PauseState, ApiError> {
        let agent = &self.agent;
        agent.pause.end(|pause| agent.ledger.set_pause(pause)).map_err(|error| problems::store(&error))?;
        self.tell_those_who_wait();
        tracing::info!(uid = by.uid, pid = by.pid, "removals go on");
        self.record(by, json!({ "action": "resume" }));
        Ok(shown(None))
    }

    pub(super) fn accept(&self, name: &RootName, by: &PeerIdentity) -> Result<RootResource, ApiError> {
        let agent = &self.agent;
        let slot = agent.slot(name).ok_or_else(|| {
            ApiError::not_found(format!("no root is called {name}"))
                .with_help("`guardian root list` names them")
        })?;
        if slot.ready().is_none() {
            slots::open(agent, &slot, Claim::Accept).map_err(|error| match &error {
                SlotError::Root(error) => problems::root(error),
                SlotError::Refused { refusal, .. } => problems::refusal(name, refusal),
                SlotError::Opening(_) => ApiError::conflict(error.to_string()).with_help("try again"),
                SlotError::Ingest { .. } => ApiError::internal(&error),
            })?;
            self.record(by, json!({ "action": "root_accept", "root": name }));
            agent.stir.bell.ring();
        }
        Ok(health::root(agent, &slot))
    }

    pub(super) fn trust_registry(&self, by: &PeerIdentity) -> Result<TrustState, ApiError> {
        let agent = &self.agent;
        let before = agent.engine.jobs.read().unwrap_or_else(PoisonError::into_inner).known;
        agent.registry.trust().map_err(|error| problems::store(&error))?;
        self.record(by, json!({ "action": "registry_trust" }));
        Ok(TrustState { trusted: true, changed: !before })
    }

    pub(super) fn trust_clock(&self, by: &PeerIdentity) -> Result<TrustState, ApiError> {
        let agent = &self.agent;
        let (wall, boot) = (clock::now(), clock::since_boot());
        let doubted = {
            let mut guard = agent.engine.clock.lock().unwrap_or_else(PoisonError::into_inner);
            let doubted = guard.doubt().is_some();
            guard.trust(wall, boot);
            doubted
        };
        clocks::note_clock(&agent.ledger, wall, boot);
        self.record(by, json!({ "action": "clock_trust" }));
        agent.stir.bell.ring();
        Ok(TrustState { trusted: true, changed: doubted })
    }
}
