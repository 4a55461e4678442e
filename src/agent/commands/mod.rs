//! What the socket asks, answered from the agent's state; one file a subject.
//!
//! Promises: a change is refused, or it is done and on record with the peer
//! that asked; what can't be known is absent. Must not know: HTTP, removal.

mod chunks;
mod control;
mod explain;
mod files;
mod health;
mod jobs;
mod kept;
mod plans;
mod rate;
mod records;
mod references;
mod stats;
mod sweeps;

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::api::{
    ApiError, AuditEntry, AuditFilter, ChunkCompletion, ChunkRequest, Commands, EventId, EventReader,
    Explanation, FileEntry, Health, HistoryFilter, JobPut, JobResource, Listing, Page, PauseRequest,
    PauseState, PeerIdentity, PlanResource, RequestEntry, RequestFilter, RootResource, Stats, SweepResource,
    TrustState,
};
use crate::model::{ChunkId, JobId, PlanId, Report, RootName, RunId, SweepRequest};
use crate::store::audit::AuditedChange;
use crate::store::ledger::RequestRecord;
use crate::sys::clock;

use super::census::Census;
use super::state::{Agent, Slot};
use rate::Rates;

pub(super) use health::state;

/// The agent as the socket sees it.
struct Served {
    agent: Arc<Agent>,
    rates: Rates,
    census: Arc<Census>,
}

/// The commands of this agent.
pub fn shared(agent: Arc<Agent>) -> Arc<dyn Commands> {
    Arc::new(Served { agent, rates: Rates::default(), census: Arc::default() })
}

/// Paths and the like named in the record of a change.
const NAMED: usize = 100;

/// Most bytes of what is named there: who asks chooses how long it is, and nobody limits how often.
const NAMED_BYTES: usize = 32 * 1024;

/// The beginning of what a request names; the record says how many there are.
fn few<T: Serialize>(all: &[T]) -> &[T] {
    let mut room = NAMED_BYTES;
    let fits = |one: &&T| {
        let length = serde_json::to_vec(one).map_or(usize::MAX, |text| text.len());
        room.checked_sub(length).inspect(|rest| room = *rest).is_some()
    };
    let count = all.iter().take(NAMED).take_while(fits).count();
    all.get(..count).unwrap_or_default()
}

impl Served {
    /// Puts a change on record. A full volume must not keep anybody from
    /// protecting files: what can't be recorded is logged.
    fn record(&self, by: &PeerIdentity, what: Value) {
        let time = clock::now();
        if let Some(audit) = &self.agent.engine.audit {
            let change = AuditedChange { time, uid: by.uid, gid: by.gid, pid: by.pid, what: what.clone() };
            if let Err(error) = audit.append_change(&change) {
                tracing::warn!(uid = by.uid, pid = by.pid, change = %what, reason = %super::chain(&error), "a change is not on record");
            }
        }
    }

    /// Carries out a request that changes something: it is in the ledger with
    /// what it changes there. One that is not on record is done all the same,
    /// as long as what it asks for could be recorded.
    fn on_behalf<T>(
        &self,
        by: &PeerIdentity,
        what: Value,
        work: impl FnOnce() -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let request = RequestRecord { at: clock::now(), uid: by.uid, gid: by.gid, pid: by.pid, what };
        let (done, recorded) = self.agent.ledger.on_behalf(request, work);
        if let Err(error) = recorded {
            tracing::warn!(uid = by.uid, pid = by.pid, reason = %super::chain(&error), "a request is not in the ledger");
        }
        done
    }

    /// A root that a body or query names.
    fn named(&self, name: &RootName) -> Result<Arc<Slot>, ApiError> {
        self.agent.slot(name).ok_or_else(|| {
            ApiError::invalid(format!("no root is called {name}"))
                .with_help("`guardian root list` names them")
        })
    }
}

impl Commands for Served {
    fn health(&self) -> Result<Health, ApiError> {
        Ok(health::health(&self.agent))
    }

    fn stats(&self) -> Result<Stats, ApiError> {
        Ok(stats::stats(self))
    }

    fn metrics(&self) -> Result<String, ApiError> {
        super::metrics::text(&self.agent).map_err(|error| ApiError::internal(&error))
    }

    fn roots(&self) -> Result<Vec<RootResource>, ApiError> {
        Ok(self.agent.slots().iter().map(|slot| health::root(&self.agent, slot)).collect())
    }

    fn accept_root(&self, root: &RootName, by: &PeerIdentity) -> Result<RootResource, ApiError> {
        self.on_behalf(by, json!({ "action": "root_accept", "root": root }), || self.accept(root, by))
    }

    fn files(&self, root: Option<&RootName>, page: &Page) -> Result<Listing<FileEntry>, ApiError> {
        self.list_files(root, page)
    }

    fn sweep(&self, request: SweepRequest, by: &PeerIdentity) -> Result<SweepResource, ApiError> {
        self.ask_sweep(request, by)
    }

    fn await_sweep(&self, id: &RunId) -> Result<SweepResource, ApiError> {
        self.wait_for_sweep(id)
    }

    fn sweeps(&self, page: &Page) -> Result<Listing<SweepResource>, ApiError> {
        Ok(self.list_sweeps(page))
    }

    fn sweep_get(&self, id: &RunId) -> Result<SweepResource, ApiError> {
        Ok(self.run(id)?.resource())
    }

    fn sweep_cancel(&self, id: &RunId, by: &PeerIdentity) -> Result<SweepResource, ApiError> {
        self.on_behalf(by, json!({ "action": "sweep_cancel", "sweep": id }), || self.cancel_sweep(id, by))
    }

    fn plan(&self, request: SweepRequest, by: &PeerIdentity) -> Result<PlanResource, ApiError> {
        self.make_plan(&request, by)
    }

    fn plan_get(&self, id: &PlanId) -> Result<PlanResource, ApiError> {
        self.kept_plan(id)
    }

    fn job_put(&self, id: &JobId, job: JobPut, by: &PeerIdentity) -> Result<JobResource, ApiError> {
        let what = json!({ "action": "job_put", "job": id, "change": &job });
        self.on_behalf(by, what, || self.put_job(id, job, by))
    }

    fn job_get(&self, id: &JobId) -> Result<JobResource, ApiError> {
        self.one_job(id)
    }

    fn jobs(&self, page: &Page) -> Result<Listing<JobResource>, ApiError> {
        self.list_jobs(page)
    }

    fn job_heartbeat(&self, id: &JobId, by: &PeerIdentity) -> Result<JobResource, ApiError> {
        self.beat(id, by)
    }

    fn chunk_complete(
        &self,
        job: &JobId,
        chunk: &ChunkId,
        request: ChunkRequest,
        by: &PeerIdentity,
    ) -> Result<ChunkCompletion, ApiError> {
        let what = json!({
            "action": "chunk_complete", "job": job, "chunk": chunk,
            "count": request.files.len(), "files": few(&request.files),
        });
        self.on_behalf(by, what, || self.complete_chunk(job, chunk, &request, by))
    }

    fn job_sweep(&self, id: &JobId, by: &PeerIdentity) -> Result<SweepResource, ApiError> {
        self.sweep_job(id, by)
    }

    fn failed_jobs_sweep(&self, by: &PeerIdentity) -> Result<SweepResource, ApiError> {
        self.sweep_failed_jobs(by)
    }

    fn explain(&self, path: &[u8]) -> Result<Explanation, ApiError> {
        explain::explain(&self.agent, path)
    }

    fn pause(&self, request: PauseRequest, by: &PeerIdentity) -> Result<PauseState, ApiError> {
        let what = json!({ "action": "pause", "request": &request });
        self.on_behalf(by, what, || self.begin_pause(request, by))
    }

    fn resume(&self, by: &PeerIdentity) -> Result<PauseState, ApiError> {
        self.on_behalf(by, json!({ "action": "resume" }), || self.end_pause(by))
    }

    fn history(&self, filter: &HistoryFilter, page: &Page) -> Result<Listing<Report>, ApiError> {
        self.list_history(filter, page)
    }

    fn audit(&self, filter: &AuditFilter, page: &Page) -> Result<Listing<AuditEntry>, ApiError> {
        self.list_audit(filter, page)
    }

    fn requests(&self, filter: &RequestFilter, page: &Page) -> Result<Listing<RequestEntry>, ApiError> {
        self.list_requests(filter, page)
    }

    fn events(&self, by: &PeerIdentity, last: Option<&EventId>) -> Result<EventReader, ApiError> {
        self.agent.engine.events.read(by.uid, last)
    }

    fn registry_trust(&self, by: &PeerIdentity) -> Result<TrustState, ApiError> {
        self.on_behalf(by, json!({ "action": "registry_trust" }), || self.trust_registry(by))
    }

    fn clock_trust(&self, by: &PeerIdentity) -> Result<TrustState, ApiError> {
        self.on_behalf(by, json!({ "action": "clock_trust" }), || self.trust_clock(by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PathText;

    #[test]
    fn the_record_of_a_request_is_small_whatever_its_paths_are() {
        let long = |n: usize| PathText::Plain(format!("/{}", "x".repeat(n)));
        let many: Vec<_> = (0..1000).map(|_| long(10)).collect();
        assert_eq!(few(&many).len(), NAMED);
        for paths in [vec![long(40_000_000)], (0..100).map(|_| long(4000)).collect()] {
            let record = json!({ "paths": few(&paths) }).to_string();
            assert!(record.len() < 100_000, "{} bytes for {} paths", record.len(), paths.len());
        }
    }
}
