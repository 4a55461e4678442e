//! Holds, tracked files and sessions without an agent: on the ledger, under its lock.

use std::sync::Arc;

use crate::agent::problems;
use crate::agent::roots::{Claim, Looked, Reading, look_root};
use crate::agent::telling::{self, Desk, Place};
use crate::api::{
    ApiError, HoldRequest, HoldResource, Listing, Page, PeerIdentity, ReferenceCommands, ReleaseRequest,
    SessionEnd, SessionResource, TrackRequest, TrackedFile,
};
use crate::cli::StandaloneSweep;
use crate::config::{RootSettings, Settings};
use crate::model::{HoldId, Policy, SessionId};
use crate::sys::clock;

use super::Alone;
use super::workplace::{Workplace, clock_guard};

impl Alone {
    /// The configured roots, looked at and not locked.
    fn places(&self) -> Result<Vec<Place>, ApiError> {
        let (now, reader) = (clock::now(), self.reader()?);
        let own = self.own_places().collect();
        let reading = Reading {
            ledger: reader.ledger.as_ref(),
            state_dir: self.state_dir(),
            own: &own,
            workers: self.settings.agent.workers,
        };
        let place = |settings: &RootSettings| Place {
            name: settings.name.clone(),
            path: settings.path.clone(),
            open: match look_root(settings, Claim::Usual, &reading, now) {
                Ok(Looked::Ready { root, .. }) => Ok((Arc::clone(&root.dir), root.own.clone())),
                Ok(Looked::Refused(refusal)) => Err(problems::refusal(&settings.name, &refusal).detail),
                Err(error) => Err(crate::agent::chain(&error)),
            },
        };
        Ok(self.settings.roots.iter().map(place).collect())
    }

    fn at_the_desk<T>(&self, work: impl FnOnce(&Desk<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let places = self.places()?;
        let held = self.workplace()?;
        work(&Desk { references: &held.references, places })
    }
}

impl ReferenceCommands for Alone {
    fn hold(&self, request: HoldRequest, by: &PeerIdentity) -> Result<Listing<HoldResource>, ApiError> {
        self.at_the_desk(|desk| desk.hold(&request, by, clock::now()))
    }

    fn holds(&self, page: &Page) -> Result<Listing<HoldResource>, ApiError> {
        self.at_the_desk(|desk| desk.holds(page).map_err(|error| problems::store(&error)))
    }

    fn release(&self, id: &HoldId, by: &PeerIdentity) -> Result<HoldResource, ApiError> {
        self.at_the_desk(|desk| desk.release(id, by))
    }

    fn release_paths(
        &self,
        request: ReleaseRequest,
        by: &PeerIdentity,
    ) -> Result<Listing<HoldResource>, ApiError> {
        self.at_the_desk(|desk| desk.release_paths(&request, by))
    }

    fn track(&self, request: TrackRequest, by: &PeerIdentity) -> Result<Listing<TrackedFile>, ApiError> {
        self.at_the_desk(|desk| desk.track(request, by, clock::now()))
    }

    fn session_touch(&self, id: &SessionId, by: &PeerIdentity) -> Result<SessionResource, ApiError> {
        telling::touch(&self.workplace()?.references, id, by, clock::now())
    }

    /// Its files are for the sweep that the command asks for next.
    fn session_end(&self, id: &SessionId, by: &PeerIdentity) -> Result<SessionEnd, ApiError> {
        let session = telling::end(&self.workplace()?.references, id, by, clock::now())?;
        Ok(SessionEnd { session, sweep: None })
    }

    fn sessions(&self, page: &Page) -> Result<Listing<SessionResource>, ApiError> {
        telling::sessions(&self.workplace()?.references, page)
    }

    fn session(&self, id: &SessionId) -> Result<SessionResource, ApiError> {
        telling::session(&self.workplace()?.references, id)
    }
}

/// What a sweep of sessions does before all else, here as in the agent.
pub(super) fn end_idle_sessions(sweep: &StandaloneSweep, work: &Workplace, settings: &Settings) {
    let about_them = matches!(sweep.request.policy, Policy::Scheduled | Policy::Session)
        && sweep.request.session.is_none()
        && sweep.plan.is_none();
    let trusted =
        || clock_guard(work.ledger.clock_mark().ok().flatten().map(|mark| mark.wall)).doubt().is_none();
    let longest = settings.roots.iter().map(|root| root.retain.sessions).max();
    let Some(limit) = longest.filter(|_| about_them && trusted()) else { return };
    if let Err(error) = work.references.end_idle(limit, clock::now()) {
        tracing::warn!(reason = %crate::agent::chain(&error), "sessions without activity are not ended");
    }
}
