//! What a run needs from the world: clocks, names, the record of removals, the
//! index that follows, and whether to stop.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::references::References;
use crate::model::{Action, JobId, Reason, RelPath, RootName, RunId, Timestamp, WirePath};
use crate::store::RootKey;
use crate::store::audit::{AuditEntry, AuditLog, BatchHeader, BatchTicket, NotRemoved};
use crate::store::ledger::Ledger;
use crate::sweep::run::{IntendedBatch, Surroundings};
use crate::sys::clock;

/// Keeps the index abreast of what a run did and found.
pub trait Feed: Send + Sync {
    /// These names are gone, or not what the index says.
    fn look_at(&self, root: RootKey, paths: &[RelPath]);
}

/// Steers a run from outside and shows how far it is.
#[derive(Debug, Default)]
pub struct Control {
    cancelled: AtomicBool,
    reason: Mutex<Option<String>>,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Control {
    /// Ends the run after its batch.
    pub fn cancel(&self, why: &str) {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.to_owned());
        self.cancelled.store(true, Ordering::Release);
    }

    /// Whether the run is to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Files and bytes removed so far.
    pub fn progress(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// The world of one run.
pub struct RunWorld<'a> {
    /// Where removals are recorded; without it each batch is a line in the log.
    pub audit: Option<&'a Arc<AuditLog>>,
    /// What follows the index, and the keys of the roots in it.
    pub feed: Option<&'a dyn Feed>,
    /// Where what is told of files is on record.
    pub recorded: Option<&'a References>,
    /// Keys by name, for the feed.
    pub keys: HashMap<RootName, RootKey>,
    /// Steering.
    pub control: &'a Control,
    /// Called between batches.
    pub between: &'a (dyn Fn() + Sync),
    /// Another reason to stop after the batch (a flag of Ctrl-C, a pause).
    pub stop: &'a (dyn Fn() -> Option<String> + Sync),
    /// Batches that are on record and not completed yet.
    pub open: Mutex<HashMap<u64, BatchTicket>>,
    /// Numbers them.
    pub next: AtomicU64,
    /// Where jobs are marked whose results went; and which were, in this run.
    pub jobs: Option<&'a Ledger>,
    /// Jobs that are marked.
    pub without_results: Mutex<HashSet<JobId>>,
}

/// A new name of a run or plan: sorts by time (UUID version 7).
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

impl RunWorld<'_> {
    fn tell_index(&self, root: &RootName, actions: &[&Action]) {
        if let (Some(feed), Some(key)) = (self.feed, self.keys.get(root))
            && !actions.is_empty()
        {
            let paths: Vec<RelPath> = actions.iter().map(|action| action.path.clone()).collect();
            feed.look_at(*key, &paths);
        }
    }

    fn mark_jobs(&self, actions: &[&Action]) {
        let Some(ledger) = self.jobs else { return };
        let mut marked = self.without_results.lock().unwrap_or_else(PoisonError::into_inner);
        for action in actions {
            if let Reason::OldResult { job, .. } = &action.reason
                && marked.insert(job.clone())
                && let Err(error) = ledger.mark_without_results(job, clock::now())
            {
                tracing::warn!(job = %job, reason = %super::chain(&error), "a job is not marked as one without results");
            }
        }
    }

    fn warn_unrecorded(batch: &IntendedBatch<'_>, cause: &str) {
        let paths: Vec<String> = batch
            .actions
            .iter()
            .map(|action| format!("{:?}", action.path.under(batch.root.path())))
            .collect();
        tracing::warn!(
            root = %batch.root.name,
            policy = %batch.phase,
            run = %batch.run,
            reason = cause,
            path = %paths.join(" "),
            "removing files that could not be put on record"
        );
    }
}

impl Surroundings for RunWorld<'_> {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn elapsed(&self) -> Duration {
        clock::since_boot()
    }

    fn new_run_id(&self) -> RunId {
        RunId::new(new_id())
    }

    fn intend(&self, batch: &IntendedBatch<'_>) -> Option<u64> {
        let Some(audit) = self.audit else {
            Self::warn_unrecorded(batch, "there is no audit log");
            return None;
        };
        let header = BatchHeader {
            run: batch.run.clone(),
            volume_run: batch.volume_run.clone(),
            root: batch.root.name.clone(),
            root_path: WirePath::from_path(batch.root.path()),
            policy: batch.policy,
            phase: batch.phase,
            time: clock::now(),
        };
        let entries: Vec<AuditEntry> = batch
            .actions
            .iter()
            .map(|action| AuditEntry {
                path: WirePath::from_bytes(action.path.as_bytes()),
                reason: action.reason.clone(),
                ino: action.facts.id.ino,
                size: action.facts.id.size,
                allocated: action.facts.allocated,
                uid: action.facts.uid,
                mtime: action.facts.id.mtime,
            })
            .collect();
        match audit.append_batch(&header, &entries) {
            Ok(ticket) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, ticket);
                Some(number)
            }
            Err(error) => {
                Self::warn_unrecorded(batch, &super::chain(&error));
                None
            }
        }
    }

    fn carried_out(&self, ticket: Option<u64>, not_removed: &[(usize, String)]) {
        let taken = ticket.and_then(|n| self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&n));
        let (Some(audit), Some(ticket)) = (self.audit, taken) else { return };
        let not_removed: Vec<NotRemoved> = not_removed
            .iter()
            .map(|(number, why)| NotRemoved(u32::try_from(*number).unwrap_or(u32::MAX), why.clone()))
            .collect();
        if let Err(error) = audit.finish_batch(ticket, &not_removed) {
            tracing::warn!(reason = %super::chain(&error), "a batch of removals stays on record without its outcome");
        }
        if audit.is_sync_due(clock::since_boot()) {
            sync_aside(audit);
        }
    }

    fn removed(&self, root: &RootName, actions: &[&Action]) {
        for action in actions {
            tracing::debug!(root = %root, path = %action.path, bytes = action.facts.allocated, reason = %action.reason, "removed");
        }
        self.mark_jobs(actions);
        if let Some(recorded) = self.recorded {
            recorded.forget(root, actions.iter().map(|action| &action.path));
        }
        self.tell_index(root, actions);
    }

    fn found_different(&self, root: &RootName, actions: &[&Action]) {
        self.tell_index(root, actions);
    }

    fn progress(&self, files: u64, bytes: u64) {
        self.control.files.store(files, Ordering::Relaxed);
        self.control.bytes.store(bytes, Ordering::Relaxed);
    }

    fn stop(&self) -> Option<String> {
        if self.control.is_cancelled() {
            let reason = self.control.reason.lock().unwrap_or_else(PoisonError::into_inner);
            return Some(reason.clone().unwrap_or_else(|| "cancelled".to_owned()));
        }
        (self.stop)()
    }

    fn between_batches(&self) {
        (self.between)();
    }
}

/// A disk takes tens of milliseconds, in which a volume fills: the next batch
/// doesn't wait for it. The end of a run does.
fn sync_aside(audit: &Arc<AuditLog>) {
    let audit = Arc::clone(audit);
    let sync = move || {
        if let Err(error) = audit.sync() {
            tracing::warn!(reason = %super::chain(&error), "the record of removals is not synced");
        }
    };
    // Without the thread the run's end syncs.
    let _ = std::thread::Builder::new().name("guardian-audit".to_owned()).spawn(sync);
}

/// The index of an agent, as runs see it.
pub type SharedFeed = Arc<dyn Feed>;
