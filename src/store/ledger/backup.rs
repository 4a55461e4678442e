//! The copy of what protects files, for the day the ledger cannot be read.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use redb::WriteTransaction;
use serde::{Deserialize, Serialize};

use super::RootRecord;
use super::tables::{self, HOLDS, JOBS, META, ROOTS, SESSIONS};
use crate::model::{HoldRecord, JobRecord, SessionRecord};
use crate::store::StoreError;
use crate::store::error::Fault;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Backup {
    pub(super) jobs: Vec<JobRecord>,
    pub(super) roots: Vec<RootRecord>,
    pub(super) last_root_key: u32,
    #[serde(default)]
    pub(super) holds: Vec<HoldRecord>,
    #[serde(default)]
    pub(super) sessions: Vec<SessionRecord>,
}

/// The backup, if it is there and whole. The ledger counts as lost either way.
pub(super) fn read(path: &Path) -> Option<Backup> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

impl Backup {
    /// Replaces `path`: a reader finds the old copy or the new one.
    pub(super) fn write(&self, path: &Path) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("write", path, error);
        let new = path.with_extension("bak.new");
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let mut file = File::create(&new).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&new, path).map_err(failed)?;
        // The rename itself is durable once the directory is.
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all()).map_err(failed)
    }

    pub(super) fn restore(&self, transaction: &WriteTransaction) -> Result<(), Fault> {
        for job in &self.jobs {
            tables::put(transaction, JOBS, job.id.as_str().as_bytes(), job)?;
        }
        for root in &self.roots {
            tables::put(transaction, ROOTS, root.name.as_str().as_bytes(), root)?;
        }
        for hold in &self.holds {
            tables::put(transaction, HOLDS, hold.id.as_str().as_bytes(), hold)?;
        }
        for session in &self.sessions {
            tables::put(transaction, SESSIONS, session.id.as_str().as_bytes(), session)?;
        }
        tables::put(transaction, META, b"last_root_key", &self.last_root_key)
    }
}
