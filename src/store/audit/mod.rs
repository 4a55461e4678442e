//! The audit log: which file went, why, in which run.
use super::StoreError;
use crate::model::*;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
/// What all entries of a batch have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchHeader {
    pub run: RunId,
    pub volume_run: RunId,
    pub root: RootName,
    pub root_path: WirePath,
    pub policy: Policy,
    pub phase: Phase,
    pub time: Timestamp,
}
/// One file about to go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    #[serde(flatten)]
    pub path: WirePath,
    pub reason: Reason,
    pub ino: u64,
    pub size: u64,
    pub allocated: u64,
    pub uid: u32,
    pub mtime: Timestamp,
}
/// Index into the batch and why the file stayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRemoved(pub u32, pub String);
/// An administrative change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditedChange {
    pub time: Timestamp,
    pub uid: u32,
    pub gid: u32,
    pub pid: u32,
    pub what: serde_json::Value,
}
/// Must be given back to `finish_batch`.
#[derive(Debug)]
pub struct BatchTicket {
    batch: u64,
}
/// Outcome of a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Removed,
    NotRemoved(String),
    Unknown,
}
/// What a query gives.
#[derive(Debug, Clone, PartialEq)]
pub enum AuditRecord {
    Removal { batch: u64, header: BatchHeader, entry: AuditEntry, outcome: Outcome },
    Change(AuditedChange),
}
/// Which records are wanted; all conditions must hold. Any but `since` excludes changes.
#[derive(Default)]
pub struct AuditFilter<'a> {
    pub path: Option<&'a dyn Fn(&[u8]) -> bool>,
    pub job: Option<JobId>,
    pub run: Option<RunId>,
    pub since: Option<Timestamp>,
}
/// Place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCursor {
    pub segment: u32,
    pub offset: u64,
    pub entry: u32,
}
/// One page.
#[derive(Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<AuditCursor>,
}
/// Failures; `StoreError::is_no_space` tells a full volume.
pub type AuditError = StoreError;
/// Shared by reference.
pub struct AuditLog(());
#[allow(unused)]
impl AuditLog {
    pub fn open(dir: &Path) -> Result<Self, AuditError> {
        todo!()
    }
    pub fn append_batch(
        &self,
        header: &BatchHeader,
        entries: &[AuditEntry],
    ) -> Result<BatchTicket, AuditError> {
        todo!()
    }
    pub fn finish_batch(&self, ticket: BatchTicket, not_removed: &[NotRemoved]) -> Result<(), AuditError> {
        todo!()
    }
    pub fn append_change(&self, change: &AuditedChange) -> Result<(), AuditError> {
        todo!()
    }
    pub fn sync(&self) -> Result<(), AuditError> {
        todo!()
    }
    /// At most once a second by `now` (a monotonic reading).
    pub fn sync_if_due(&self, now: Duration) -> Result<bool, AuditError> {
        todo!()
    }
    pub fn prune(&self, before: Timestamp) -> Result<u32, AuditError> {
        todo!()
    }
    pub fn query(
        &self,
        filter: &AuditFilter<'_>,
        after: Option<&AuditCursor>,
        limit: usize,
    ) -> Result<Page<AuditRecord>, AuditError> {
        todo!()
    }
}
