//! Jobs.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::agent::engine::Target;
use crate::agent::jobs::{Caller, JobChange, Now};
use crate::agent::problems;
use crate::api::{ApiError, JobPut, JobResource, Listing, Page, PeerIdentity};
use crate::model::{JobId, JobRecord};
use crate::policy::PathReadings;
use crate::store::RootKey;
use crate::store::index::Snapshot;
use crate::sweep::SweepError;
use crate::sweep::indexed::Indexed;

use super::Served;

/// How long a list of jobs may count their files; the rest stay uncounted.
const COUNTING: Duration = Duration::from_millis(500);

pub(super) const fn caller(by: &PeerIdentity) -> Caller {
    Caller { uid: by.uid, admin: by.admin }
}

/// One state of the index, in which files of several jobs are counted.
struct Counting {
    /// The roots that are ready.
    targets: Vec<Target>,
    /// Roots of which the index knew all before the snapshot was taken: what it
    /// came to know since is not in the snapshot.
    complete: HashSet<RootKey>,
    snapshot: Snapshot,
}

impl Counting {
    fn begin(
        targets: Vec<Target>,
        is_complete: impl Fn(RootKey) -> bool,
        snapshot: impl FnOnce() -> Option<Snapshot>,
    ) -> Option<Self> {
        let complete =
            targets.iter().filter_map(|target| target.key).filter(|key| is_complete(*key)).collect();
        Some(Self { targets, complete, snapshot: snapshot()? })
    }
}

impl Served {
    /// A job with what the index holds of it; `None` where it can't tell.
    fn shown(&self, record: &JobRecord) -> JobResource {
        self.shown_in(record, self.counting().as_ref())
    }

    /// The index as it is now, where there is one that can be read.
    fn counting(&self) -> Option<Counting> {
        let engine = &self.agent.engine;
        let index = engine.index.as_ref()?;
        let snapshot = || {
            let taken = index.snapshot();
            taken
                .inspect_err(
                    |error| tracing::debug!(reason = %crate::agent::chain(error), "files are not counted"),
                )
                .ok()
        };
        Counting::begin(self.agent.targets(None), &engine.complete, snapshot)
    }

    fn shown_in(&self, record: &JobRecord, counting: Option<&Counting>) -> JobResource {
        let counted = self.count(record, counting).unwrap_or_else(|error| {
            tracing::debug!(job = %record.id, reason = %crate::agent::chain(&error), "files are not counted");
            None
        });
        JobResource::of(record, counted.map(|(files, _)| files), counted.map(|(_, bytes)| bytes))
    }

    fn count(
        &self,
        record: &JobRecord,
        counting: Option<&Counting>,
    ) -> Result<Option<(u64, u64)>, SweepError> {
        let (Some(index), Some(counting)) = (&self.agent.engine.index, counting) else { return Ok(None) };
        let (mut files, mut bytes) = (0, 0_u64);
        let is_its = |target: &&Target| record.root.as_ref().is_none_or(|name| target.root.name == *name);
        for target in counting.targets.iter().filter(is_its) {
            let Some(key) = target.key.filter(|key| counting.complete.contains(key)) else {
                return Ok(None);
            };
            let mut inodes = HashSet::new();
            let indexed = Indexed::new(index.clone(), key, &target.root, true);
            for candidate in indexed.of_job_in(&counting.snapshot, &record.id)? {
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
        let (deadline, counting) = (Instant::now() + COUNTING, self.counting());
        let items = records
            .iter()
            .map(|record| {
                if Instant::now() < deadline {
                    self.shown_in(record, counting.as_ref())
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::store::index::{Index, OpenOptions};
    use crate::sweep::tests::guarded::guarded;
    use crate::sys::RootDir;
    use crate::usage::Probe;

    #[test]
    fn what_the_index_came_to_know_after_its_snapshot_is_not_counted_as_all() {
        let dir = tempfile::tempdir().unwrap();
        let root = Arc::new(RootDir::open(dir.path()).unwrap());
        let target = |key, name| {
            let root = guarded(name, &root, Probe::Volume(Arc::clone(&root)));
            Target { root: Arc::new(root), key: Some(RootKey(key)) }
        };
        let options = OpenOptions { cache_bytes: 1 << 20, readings: Arc::new(|_| Arc::new(|_, _| {})) };
        let (index, _) = Index::open(&dir.path().join("index.redb"), options).unwrap();
        let scanned = Cell::new(false);
        let is_complete = |key| key == RootKey(1) || scanned.get();
        let snapshot = || {
            let taken = index.snapshot().ok();
            scanned.set(true);
            taken
        };
        let counting = Counting::begin(vec![target(1, "a"), target(2, "b")], is_complete, snapshot).unwrap();
        assert!(is_complete(RootKey(2)), "by now it is");
        assert_eq!(counting.complete, HashSet::from([RootKey(1)]));
    }
}
