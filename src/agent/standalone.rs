//! Own-process mode: what works without an agent, in the command's own process.
//!
//! Promises: one guardian at a time on a ledger and on a root (their locks);
//! a dry run and `explain` write nothing anywhere: no lock, no ledger, no
//! private directory. Otherwise sweeps are the agent's: the same checks, on
//! record, with their report in the history. Must not know: HTTP, rendering.

mod chunk;
mod kept;
mod opening;
mod references;
mod sweeping;
mod unattended;
mod workplace;

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, RwLock};

use crate::api::{
    ApiError, ChunkCompletion, ChunkRequest, Explanation, JobPut, JobResource, RootResource, RootState,
    TrustState,
};
use crate::cli::{Standalone, StandaloneSweep, SweepOutcome, Told};
use crate::config::Settings;
use crate::model::{ChunkId, JobId, WirePath};
use crate::sweep::root::OwnFiles;
use crate::sys::{clock, process};

use super::jobs::{Caller, JobChange, JobRegistry, Now};
use super::roots::{Claim, Looked, OwnPlaces, Reading, look_root};
use super::{explain, problems};
use opening::OpenedTargets;
use workplace::clock_guard;

/// Own-process mode with these settings. Nothing is opened before it is asked for something.
pub struct Alone {
    settings: Settings,
}

impl Alone {
    /// With these settings.
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn state_dir(&self) -> &Path {
        &self.settings.agent.state_dir
    }

    fn own_places(&self) -> OwnPlaces {
        OwnPlaces {
            state_dir: Some(self.state_dir().to_owned()),
            files: std::iter::once(self.settings.agent.socket.clone())
                .chain(self.settings.files.iter().cloned())
                .collect(),
            roots: self.settings.roots.iter().map(|root| root.path.clone()).collect(),
        }
    }

    fn caller() -> Caller {
        // Whoever may write the ledger may change any job in it.
        Caller { uid: process::own_ids().0, admin: true }
    }

    fn change_job(
        &self,
        change: impl FnOnce(&JobRegistry) -> Result<crate::model::JobRecord, super::jobs::JobError>,
    ) -> Result<JobResource, ApiError> {
        let work = self.workplace()?;
        let record = change(&work.registry).map_err(|error| problems::job(&error))?;
        Ok(JobResource::of(&record, None, None))
    }
}

impl Standalone for Alone {
    fn sweep(
        &self,
        sweep: &StandaloneSweep,
        cancelled: &AtomicBool,
        told: Told,
    ) -> Result<SweepOutcome, ApiError> {
        self.sweep_alone(sweep, cancelled, told)
    }

    fn explain(&self, path: &[u8]) -> Result<Explanation, ApiError> {
        let found =
            self.settings.roots.iter().find_map(|root| Some((root, explain::below(&root.path, path)?)));
        let Some((settings, below)) = found else {
            return Ok(explain::outside(path, None, "lies beneath no root: guardian leaves it alone"));
        };
        let now = clock::now();
        let reader = self.reader()?;
        let mut view = reader.view()?;
        let own = self.own_places().collect();
        let reading = Reading {
            ledger: reader.ledger.as_ref(),
            state_dir: self.state_dir(),
            own: &own,
            workers: self.settings.agent.workers,
        };
        match look_root(settings, Claim::Usual, &reading, now).map_err(|error| problems::root(&error))? {
            Looked::Refused(refusal) => {
                let why = problems::refusal(&settings.name, &refusal).detail;
                Ok(explain::outside(path, Some(&settings.name), &format!("kept: {why}")))
            }
            Looked::Ready { root, distrust } => {
                view.known &= !distrust;
                let with = explain::Knowledge {
                    jobs: &view,
                    references: &RwLock::new(reader.references()?),
                    now,
                    clock_trusted: reader.clock().doubt().is_none(),
                    index: None,
                    kept: reader.ledger.as_deref().map(|ledger| ledger as &dyn explain::KeptBook),
                    halts: vec!["no agent runs: nothing goes by itself, only on request".to_owned()],
                };
                explain::explain(&root, &below, &with)
            }
        }
    }

    fn job_put(&self, id: &JobId, job: JobPut) -> Result<JobResource, ApiError> {
        if let Some(root) = &job.root
            && !self.settings.roots.iter().any(|known| known.name == *root)
        {
            return Err(ApiError::invalid(format!("no root is called {root}"))
                .with_help("`guardian root list` names them"));
        }
        let change =
            JobChange { state: job.state, ttl: job.ttl.map(|ttl| ttl.0), pid: job.pid, root: job.root };
        self.change_job(|registry| registry.put(id, &change, Self::caller(), Now::read()))
    }

    fn job_heartbeat(&self, id: &JobId) -> Result<JobResource, ApiError> {
        self.change_job(|registry| registry.heartbeat(id, Self::caller(), Now::read()))
    }

    fn job_get(&self, id: &JobId) -> Result<JobResource, ApiError> {
        let record = match self.reader()?.ledger {
            Some(ledger) => ledger.job(id).map_err(|error| problems::store(&error))?,
            None => None,
        };
        let record = record.ok_or_else(|| {
            ApiError::not_found(format!("job {id} is not registered"))
                .with_help("`guardian job list` tells which are")
        })?;
        Ok(JobResource::of(&record, None, None))
    }

    fn jobs(&self) -> Result<Vec<JobResource>, ApiError> {
        let records = match self.reader()?.ledger {
            Some(ledger) => ledger.all_jobs().map_err(|error| problems::store(&error))?,
            None => Vec::new(),
        };
        Ok(records.iter().map(|record| JobResource::of(record, None, None)).collect())
    }

    fn chunk_complete(
        &self,
        job: &JobId,
        chunk: &ChunkId,
        request: &ChunkRequest,
    ) -> Result<ChunkCompletion, ApiError> {
        self.complete_chunk(job, chunk, request)
    }

    fn roots(&self) -> Result<Vec<RootResource>, ApiError> {
        let (now, reader) = (clock::now(), self.reader()?);
        let own = OwnFiles::default();
        self.settings
            .roots
            .iter()
            .map(|settings| {
                let reading = Reading {
                    ledger: reader.ledger.as_ref(),
                    state_dir: self.state_dir(),
                    own: &own,
                    workers: 1,
                };
                let record = match &reader.ledger {
                    Some(ledger) => ledger.root(&settings.name).map_err(|error| problems::store(&error))?,
                    None => None,
                };
                let reason = match look_root(settings, Claim::Usual, &reading, now) {
                    Ok(Looked::Ready { .. }) => None,
                    Ok(Looked::Refused(refusal)) => Some(problems::refusal(&settings.name, &refusal).detail),
                    Err(error) => Some(super::chain(&error)),
                };
                Ok(RootResource {
                    name: settings.name.clone(),
                    path: WirePath::from_path(&settings.path),
                    // Nobody watches it while no agent runs.
                    state: if reason.is_some() { RootState::Suspended } else { RootState::Unwatched },
                    reason,
                    patterns: settings.patterns.clone(),
                    adopted_at: record.as_ref().and_then(|record| record.adopted_at),
                    adoption_grace_until: record
                        .and_then(|record| record.new_until)
                        .filter(|until| now < *until),
                })
            })
            .collect()
    }

    fn registry_trust(&self) -> Result<TrustState, ApiError> {
        let work = self.workplace()?;
        let before = work.ledger.trusted().map_err(|error| problems::store(&error))?;
        work.registry.trust().map_err(|error| problems::store(&error))?;
        Ok(TrustState { trusted: true, changed: !before })
    }
}
