//! Holds, tracked files and sessions.

use serde_json::json;

use crate::agent::forbidden;
use crate::agent::state::SlotState;
use crate::agent::telling::{self, Desk, Place};
use crate::agent::{problems, runs::Asked};
use crate::api::{
    ApiError, HoldRequest, HoldResource, Listing, Page, PeerIdentity, ReferenceCommands, ReleaseRequest,
    SessionEnd, SessionResource, TrackRequest, TrackedFile,
};
use crate::model::{HoldId, Policy, SessionId, SweepRequest, Trigger};
use crate::sys::clock;

use super::{NAMED, Served, few};

impl Served {
    fn desk(&self) -> Desk<'_> {
        let place = |slot: std::sync::Arc<crate::agent::state::Slot>| Place {
            name: slot.name().clone(),
            path: slot.settings.path.clone(),
            open: match slot.state() {
                SlotState::Ready(root) => Ok((root.guarded.dir.clone(), root.guarded.own.clone())),
                SlotState::Suspended(why) => Err(why),
            },
        };
        Desk {
            references: &self.agent.references,
            places: self.agent.slots().into_iter().map(place).collect(),
        }
    }
}

impl ReferenceCommands for Served {
    fn hold(&self, request: HoldRequest, by: &PeerIdentity) -> Result<Listing<HoldResource>, ApiError> {
        let what = json!({
            "action": "hold", "count": request.paths.len(), "paths": few(&request.paths),
            "until": request.until, "reason": request.reason,
        });
        let held = self.on_behalf(by, what, || self.desk().hold(&request, by, clock::now()))?;
        let paths: Vec<_> = held.items.iter().take(NAMED).map(|hold| (&hold.id, &hold.path)).collect();
        self.record(
            by,
            json!({ "action": "hold", "count": held.items.len(), "holds": paths, "until": request.until, "reason": request.reason }),
        );
        Ok(held)
    }

    fn holds(&self, page: &Page) -> Result<Listing<HoldResource>, ApiError> {
        self.desk().holds(page).map_err(|error| problems::store(&error))
    }

    fn release(&self, id: &HoldId, by: &PeerIdentity) -> Result<HoldResource, ApiError> {
        let what = json!({ "action": "release", "hold": id });
        let ended = self.on_behalf(by, what, || self.desk().release(id, by))?;
        self.agent.ease();
        self.record(by, json!({ "action": "release", "hold": id, "path": &ended.path }));
        Ok(ended)
    }

    fn release_paths(
        &self,
        request: ReleaseRequest,
        by: &PeerIdentity,
    ) -> Result<Listing<HoldResource>, ApiError> {
        let what = json!({
            "action": "release", "count": request.paths.len(), "paths": few(&request.paths),
        });
        let ended = self.on_behalf(by, what, || self.desk().release_paths(&request, by))?;
        if !ended.items.is_empty() {
            self.agent.ease();
            let named: Vec<_> = ended.items.iter().take(NAMED).map(|hold| (&hold.id, &hold.path)).collect();
            self.record(by, json!({ "action": "release", "count": ended.items.len(), "holds": named }));
        }
        Ok(ended)
    }

    fn track(&self, request: TrackRequest, by: &PeerIdentity) -> Result<Listing<TrackedFile>, ApiError> {
        let (expires_at, session, job) = (request.expires_at, request.session.clone(), request.job.clone());
        let what = json!({
            "action": "track", "count": request.paths.len(), "paths": few(&request.paths),
            "expires_at": expires_at, "session": session, "job": job,
        });
        let told = self.on_behalf(by, what, || self.desk().track(request, by, clock::now()))?;
        let named: Vec<_> = told.items.iter().take(NAMED).map(|file| &file.path).collect();
        self.record(
            by,
            json!({ "action": "track", "count": told.items.len(), "paths": named, "expires_at": expires_at, "session": session, "job": job }),
        );
        Ok(told)
    }

    fn session_touch(&self, id: &SessionId, by: &PeerIdentity) -> Result<SessionResource, ApiError> {
        // Not recorded: signs of activity come often, as heartbeats do.
        telling::touch(&self.agent.references, id, by, clock::now())
    }

    fn session_end(&self, id: &SessionId, by: &PeerIdentity) -> Result<SessionEnd, ApiError> {
        let agent = &self.agent;
        let what = json!({ "action": "session_end", "session": id });
        let session = self.on_behalf(by, what, || telling::end(&agent.references, id, by, clock::now()))?;
        agent.ease();
        self.record(by, json!({ "action": "session_end", "session": id }));
        let request = SweepRequest { session: Some(id.clone()), ..SweepRequest::of(Policy::Session) };
        // What may not be removed now stays due.
        let stopped = forbidden::is_dry(&agent.settings().agent, &request, request.policy)
            || forbidden::pause_for(agent, Policy::Session).is_some()
            || agent.targets(None).is_empty();
        let sweep = if stopped {
            None
        } else {
            match agent.runs.ask(request, Trigger::SessionEnded, Some(by.requester())) {
                Asked::New(run) | Asked::Joined(run) => Some(run.resource()),
                Asked::Refused => None,
            }
        };
        Ok(SessionEnd { session, sweep })
    }

    fn sessions(&self, page: &Page) -> Result<Listing<SessionResource>, ApiError> {
        telling::sessions(&self.agent.references, page)
    }

    fn session(&self, id: &SessionId) -> Result<SessionResource, ApiError> {
        telling::session(&self.agent.references, id)
    }
}
