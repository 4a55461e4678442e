//! Finding what was given up at a path, for whoever asks about that path.
//!
//! No table has the entries by path: each deletion would pay for what few ask.
//! All of them are passed over instead, in pieces, so that no read transaction
//! lasts long; only those that may be meant are decoded.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;

use super::kept::open;
use super::tables::{self, Definition, QUEUE, TRASH};
use super::{Ledger, LedgerReader};
use crate::model::{Kept, QueueEntry, RelPath, RootName, TrashEntry, WirePath};
use crate::store::StoreError;
use crate::store::error::Fault;

/// Rows passed over in one read transaction.
const PIECE: usize = 20_000;

/// What was found at a path, or above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAt<T> {
    /// The newest of it, oldest first.
    pub newest: Vec<T>,
    /// How many there are in all.
    pub total: u64,
}

/// What is looked for.
struct Wanted<'a> {
    root: &'a RootName,
    path: &'a RelPath,
    /// How a record says the path, or that of a directory above it.
    written: Vec<String>,
}

impl<'a> Wanted<'a> {
    fn of(root: &'a RootName, path: &'a RelPath) -> Result<Self, Fault> {
        let mut written = Vec::new();
        let mut at = Some(path.clone()).filter(|path| !path.is_root());
        while let Some(one) = at {
            let text = serde_json::to_string(&WirePath::from_bytes(one.as_bytes()).path)
                .map_err(|why| Fault::Damaged(format!("a path cannot be written: {why}")))?;
            written.push(format!("\"path\":{text}"));
            at = one.parent().filter(|above| !above.is_root());
        }
        Ok(Self { root, path, written })
    }

    /// Whether a record may be meant; one that can't be read is decoded, and told as damaged.
    fn may_be(&self, record: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(record) else { return true };
        self.written.iter().any(|written| text.contains(written))
    }

    /// Whether the entry lay at the path, or is a tree in which the path lay.
    fn is(&self, kept: &Kept) -> bool {
        kept.root == *self.root
            && kept.rel().is_ok_and(|at| at == *self.path || kept.is_tree() && self.path.starts_with(&at))
    }
}

/// One piece: the key behind which the next begins, if there is more.
fn piece<T: DeserializeOwned>(
    transaction: &redb::ReadTransaction,
    table: Definition,
    after: Option<&[u8]>,
    (wanted, most): (&Wanted<'_>, usize),
    kept: fn(&T) -> &Kept,
    (found, total): (&mut VecDeque<T>, &mut u64),
) -> Result<Option<Vec<u8>>, Fault> {
    let Some(table) = open(transaction, table)? else { return Ok(None) };
    let from = after.map_or_else(Vec::new, |after| [after, &[0]].concat());
    let mut passed = 0;
    for row in table.range(from.as_slice()..)? {
        let (key, value) = row?;
        if wanted.may_be(value.value()) {
            let entry: T = tables::decode(value.value())?;
            if wanted.is(kept(&entry)) {
                *total += 1;
                found.push_back(entry);
                if found.len() > most {
                    found.pop_front();
                }
            }
        }
        passed += 1;
        if passed == PIECE {
            return Ok(Some(key.value().to_vec()));
        }
    }
    Ok(None)
}

macro_rules! queries {
    ($ledger:ty) => {
        impl $ledger {
            fn kept_at<T: DeserializeOwned>(
                &self,
                table: Definition,
                (root, path): (&RootName, &RelPath),
                most: usize,
                kept: fn(&T) -> &Kept,
            ) -> Result<KeptAt<T>, StoreError> {
                let (mut found, mut total, mut after) = (VecDeque::new(), 0, None::<Vec<u8>>);
                loop {
                    after = self.read(|transaction| {
                        let wanted = Wanted::of(root, path)?;
                        let so_far = (&mut found, &mut total);
                        piece(transaction, table, after.as_deref(), (&wanted, most), kept, so_far)
                    })?;
                    if after.is_none() {
                        return Ok(KeptAt { newest: found.into(), total });
                    }
                }
            }

            /// Deferred deletions of what lay at `path`, or of a tree that it lay in;
            /// at most the newest `most` of them. Takes time with the length of the queue.
            pub fn deferred_at(
                &self,
                root: &RootName,
                path: &RelPath,
                most: usize,
            ) -> Result<KeptAt<QueueEntry>, StoreError> {
                self.kept_at(QUEUE, (root, path), most, |entry: &QueueEntry| &entry.kept)
            }

            /// The same of the trash.
            pub fn trashed_at(
                &self,
                root: &RootName,
                path: &RelPath,
                most: usize,
            ) -> Result<KeptAt<TrashEntry>, StoreError> {
                self.kept_at(TRASH, (root, path), most, |entry: &TrashEntry| &entry.kept)
            }
        }
    };
}

queries!(Ledger);
queries!(LedgerReader);
