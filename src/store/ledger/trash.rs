//! Reading the trash.

use super::kept::{counts, due, open, rows};
use super::tables::{self, TRASH, TRASH_DUE};
use super::{Ledger, LedgerReader};
use crate::model::{EntryId, RootName, Timestamp, TrashEntry, TrashTotals};
use crate::store::StoreError;

macro_rules! queries {
    ($ledger:ty) => {
        impl $ledger {
            /// One soft-deleted file or tree.
            pub fn trash_entry(&self, id: &EntryId) -> Result<Option<TrashEntry>, StoreError> {
                self.read(|t| match open(t, TRASH)? {
                    Some(_) => tables::get(t, TRASH, id.as_str().as_bytes()),
                    None => Ok(None),
                })
            }

            /// Those of `ids` that are in the trash.
            pub fn trash_entries(&self, ids: &[EntryId]) -> Result<Vec<TrashEntry>, StoreError> {
                self.read(|t| match open(t, TRASH)? {
                    Some(table) => rows(&table, ids),
                    None => Ok(Vec::new()),
                })
            }

            /// The trash in the order of IDs, behind `after`.
            pub fn trash_page(
                &self,
                after: Option<&EntryId>,
                limit: usize,
            ) -> Result<Vec<TrashEntry>, StoreError> {
                let after = after.map(|id| id.as_str().as_bytes());
                self.read(|t| match open(t, TRASH)? {
                    Some(_) => tables::page(t, TRASH, after, false, limit, |_| true),
                    None => Ok(Vec::new()),
                })
            }

            /// What was deleted in a root up to `until`, the oldest first.
            pub fn trash_due(
                &self,
                root: &RootName,
                until: Timestamp,
                after: Option<(Timestamp, &EntryId)>,
                limit: usize,
            ) -> Result<Vec<TrashEntry>, StoreError> {
                self.read(|t| due(t, (TRASH_DUE, TRASH), root, until, after, limit))
            }

            /// How much lies in the trash of a root.
            pub fn trash_totals(&self, root: &RootName) -> Result<TrashTotals, StoreError> {
                self.read(|t| {
                    counts(t, Some(root))
                        .map(|one| TrashTotals { files: one.trash_files, bytes: one.trash_bytes })
                })
            }
        }
    };
}

queries!(Ledger);
queries!(LedgerReader);
