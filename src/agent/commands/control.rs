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
    fn set_pause(&self, pause: Option<Pause>) -> Result<PauseState, ApiError> {
        let agent = &self.agent;
        // Held while the ledger is written, so that two requests end in one order in both places.
        let mut held = agent.pause.write().unwrap_or_else(PoisonError::into_inner);
        match agent.ledger.set_pause(pause.as_ref()) {
            Ok(()) => {}
            // Nothing would ever free the space that the ledger waits for.
            Err(error) if pause.is_none() && error.is_no_space() => {
                tracing::error!(reason = %crate::agent::chain(&error), "the end of the pause is not on record: a restart would pause again");
            }
            Err(error) => return Err(problems::store(&error)),
        }
        held.clone_from(&pause);
        drop(held);
        agent.stir.bell.ring();
        agent.schedule_bell.ring();
        Ok(shown(pause.as_ref()))
    }

    pub(super) fn begin_pause(
        &self,
        request: PauseRequest,
        by: &PeerIdentity,
    ) -> Result<PauseState, ApiError> {
        let until = request.duration.map(|span| clock::now().plus(span.0));
        let state = self.set_pause(Some(Pause { until, emergencies: request.emergencies }))?;
        let shown = until.map(|time| time.to_string());
        tracing::warn!(
            uid = by.uid,
            pid = by.pid,
            until = shown,
            emergencies = request.emergencies,
            "removals are paused"
        );
        self.record(by, json!({ "action": "pause", "until": until, "emergencies": request.emergencies }));
        Ok(state)
    }

    pub(super) fn end_pause(&self, by: &PeerIdentity) -> Result<PauseState, ApiError> {
        let state = self.set_pause(None)?;
        tracing::info!(uid = by.uid, pid = by.pid, "removals go on");
        self.record(by, json!({ "action": "resume" }));
        Ok(state)
    }

    pub(super) fn accept(&self, name: &RootName, by: &PeerIdentity) -> Result<RootResource, ApiError> {
        let agent = &self.agent;
        let slot =
            agent.slot(name).ok_or_else(|| ApiError::not_found(format!("no root is called {name}")))?;
        if slot.ready().is_none() {
            slots::open(agent, &slot, Claim::Accept).map_err(|error| match &error {
                SlotError::Root(error) => problems::root(error),
                SlotError::Refused { refusal, .. } => problems::refusal(name, refusal),
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
