//! Jobs.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::agent::jobs::{Caller, JobChange, Now};
use crate::agent::problems;
use crate::api::{ApiError, JobPut, JobResource, Listing, Page, PeerIdentity};
use crate::model::{JobId, JobRecord};
use crate::policy::PathReadings;
use crate::store::index::Snapshot;
use crate::sweep::SweepError;
use crate::sweep::indexed::Indexed;

use super::Served;

/// How long a list of jobs may count their files; the rest stay uncounted.
const COUNTING: Duration = Duration::from_millis(500);

pub(super) const fn caller(by: &PeerIdentity) -> Caller {
    Caller { uid: by.uid, admin: by.admin }
}

impl Served {
    /// A job with what the index holds of it; `None` where it can't tell.
    fn shown(&self, record: &JobRecord) -> JobResource {
        self.shown_in(record, self.index().as_ref())
    }

    /// The index as it is now, where there is one that can be read.
    fn index(&self) -> Option<Snapshot> {
        let snapshot = self.agent.engine.index.as_ref()?.snapshot();
        snapshot
            .inspect_err(
                |error| tracing::debug!(reason = %crate::agent::chain(error), "files are not counted"),
            )
            .ok()
    }

    fn shown_in(&self, record: &JobRecord, index: Option<&Snapshot>) -> JobResource {
        let counted = self.count(record, index).unwrap_or_else(|error| {
            tracing::debug!(job = %record.id, reason = %crate::agent::chain(&error), "files are not counted");
            None
        });
        JobResource::of(record, counted.map(|(files, _)| files), counted.map(|(_, bytes)| bytes))
    }

    fn count(
        &self,
        record: &JobRecord,
        snapshot: Option<&Snapshot>,
    ) -> Result<Option<(u64, u64)>, SweepError> {
        let (Some(index), Some(snapshot)) = (&self.agent.engine.index, snapshot) else { return Ok(None) };
        let (mut files, mut bytes) = (0, 0_u64);
        for target in self.agent.targets(record.root.as_ref()) {
            let Some(key) = target.key.filter(|key| (self.agent.engine.complete)(*key)) else {
                return Ok(None);
            };
            let mut inodes = HashSet::new();
            let indexed = Indexed::new(index.clone(), key, &target.root, true);
            for candidate in indexed.of_job_in(snapshot, &record.id)? {
                let named = PathReadings::of(&target.root.rules.patterns, &candidate.path())
                    .jobs()
                    .any(|job| *job == record.id);
                if named && record.covers.includes(candidate.facts.uid) {
                    files += 1;
                    if inodes.insert(candidate.facts.id.ino) {
                        bytes = bytes.saturating_add(candidate.facts.allocated);
                    }
                }
            }
        }
        Ok(Some((files, bytes)))
    }

    pub(super) fn put_job(
        &self,
        id: &JobId,
        job: JobPut,
        by: &PeerIdentity,
    ) -> Result<JobResource, ApiError> {
        if let Some(root) = &job.root {
            self.named(root)?;
        }
        let what = json!({ "action": "job_put", "job": id, "change": &job });
        let change =
            JobChange { state: job.state, ttl: job.ttl.map(|ttl| ttl.0), pid: job.pid, root: job.root };
        let record = self
            .agent
            .registry
            .put(id, &change, caller(by), Now::read())
            .map_err(|error| problems::job(&error))?;
        if !record.state.is_alive() {
            self.agent.ease();
        }
        self.record(by, what);
        Ok(self.shown(&record))
    }

    pub(super) fn one_job(&self, id: &JobId) -> Result<JobResource, ApiError> {
        let record = self.agent.registry.get(id).map_err(|error| problems::job(&error))?;
        let keys: Vec<_> =
            self.agent.targets(record.root.as_ref()).iter().filter_map(|target| target.key).collect();
        self.agent.settle(keys);
        Ok(self.shown(&record))
    }

    pub(super) fn list_jobs(&self, page: &Page) -> Result<Listing<JobResource>, ApiError> {
        let after = page.after.as_deref().map(JobId::parse).transpose();
        let after = after.map_err(|why| ApiError::invalid(why.to_string()))?;
        let mut records = self
            .agent
            .registry
            .page(after.as_ref(), page.limit.saturating_add(1), None)
            .map_err(|error| problems::store(&error))?;
        let more = records.len() > page.limit;
        records.truncate(page.limit);
        let next = records.last().filter(|_| more).map(|last| last.id.as_str().to_owned());
        let (deadline, index) = (Instant::now() + COUNTING, self.index());
        let items = records
            .iter()
            .map(|record| {
                if Instant::now() < deadline {
                    self.shown_in(record, index.as_ref())
                } else {
                    JobResource::of(record, None, None)
                }
            })
            .collect();
        Ok(Listing { items, next })
    }

    pub(super) fn beat(&self, id: &JobId, by: &PeerIdentity) -> Result<JobResource, ApiError> {
        let beaten = self.agent.registry.heartbeat(id, caller(by), Now::read());
        // Not counted: heartbeats come often.
        beaten.map(|record| JobResource::of(&record, None, None)).map_err(|error| problems::job(&error))
    }
}
