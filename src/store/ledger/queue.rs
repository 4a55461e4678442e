//! Reading the queue of deferred deletions.

use super::kept::{asked_between, counts, due, open, rows};
use super::tables::{self, QUEUE, QUEUE_DUE};
use super::{Ledger, LedgerReader};
use crate::model::{EntryId, QueueEntry, QueueStats, RootName, Timestamp};
use crate::store::StoreError;

macro_rules! queries {
    ($ledger:ty) => {
        impl $ledger {
            /// One deferred deletion.
            pub fn queue_entry(&self, id: &EntryId) -> Result<Option<QueueEntry>, StoreError> {
                self.read(|t| match open(t, QUEUE)? {
                    Some(_) => tables::get(t, QUEUE, id.as_str().as_bytes()),
                    None => Ok(None),
                })
            }

            /// Those of `ids` that are deferred deletions.
            pub fn queue_entries(&self, ids: &[EntryId]) -> Result<Vec<QueueEntry>, StoreError> {
                self.read(|t| match open(t, QUEUE)? {
                    Some(table) => rows(&table, ids),
                    None => Ok(Vec::new()),
                })
            }

            /// Deferred deletions in the order in which they were asked for, behind `after`.
            pub fn queue_page(
                &self,
                after: Option<&EntryId>,
                limit: usize,
            ) -> Result<Vec<QueueEntry>, StoreError> {
                let after = after.map(|id| id.as_str().as_bytes());
                self.read(|t| match open(t, QUEUE)? {
                    Some(_) => tables::page(t, QUEUE, after, false, limit, |_| true),
                    None => Ok(Vec::new()),
                })
            }

            /// Deferred deletions of a root that are due at `until`, the first due first.
            pub fn queue_due(
                &self,
                root: &RootName,
                until: Timestamp,
                after: Option<(Timestamp, &EntryId)>,
                limit: usize,
            ) -> Result<Vec<QueueEntry>, StoreError> {
                self.read(|t| due(t, (QUEUE_DUE, QUEUE), root, until, after, limit))
            }

            /// What waits, of one root or of all, without looking at each entry;
            /// the times are those of all roots.
            pub fn queue_stats(&self, root: Option<&RootName>) -> Result<QueueStats, StoreError> {
                self.read(|t| {
                    let by_attempts = counts(t, root)?.by_attempts;
                    let total_pending = by_attempts.values().sum();
                    let (oldest_queued, newest_queued) = asked_between(t)?;
                    Ok(QueueStats { total_pending, oldest_queued, newest_queued, by_attempts })
                })
            }

            /// Allocated bytes of what lies in the private directory of a root.
            pub fn moved_bytes(&self, root: &RootName) -> Result<u64, StoreError> {
                self.read(|t| counts(t, Some(root)).map(|one| one.moved_bytes))
            }
        }
    };
}

queries!(Ledger);
queries!(LedgerReader);
