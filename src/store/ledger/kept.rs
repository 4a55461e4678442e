//! Queue and trash change together: an entry is in one of them or in neither.
//!
//! Promises: all changes of one call are durable together or not at all; the
//! tables by time and the counts always say the same as the entries.

use std::collections::{BTreeMap, HashMap};

use redb::{ReadTransaction, ReadableTable, Table, TableError, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Ledger;
use super::tables::{self, Definition, KEPT_COUNTS, QUEUE, QUEUE_DUE, TRASH, TRASH_DUE};
use crate::model::{EntryId, Kept, QueueEntry, RootName, Stage, Timestamp, TrashEntry};
use crate::store::StoreError;
use crate::store::error::Fault;

/// What becomes of an entry, whatever was recorded of it before.
#[derive(Debug, Clone)]
pub enum KeptChange {
    /// It is in the queue, like this.
    Queue(QueueEntry),
    /// It is in the trash, like this.
    Trash(TrashEntry),
    /// It is gone, or back with its owner.
    Forget(EntryId),
}

impl KeptChange {
    /// Of which entry.
    pub const fn id(&self) -> &EntryId {
        match self {
            Self::Queue(entry) => &entry.kept.id,
            Self::Trash(entry) => &entry.kept.id,
            Self::Forget(id) => id,
        }
    }
}

/// What a root holds of both, kept abreast by each change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) by_attempts: BTreeMap<u32, u64>,
    /// Bytes of both that lie in the private directory.
    pub(super) moved_bytes: u64,
    pub(super) trash_files: u64,
    pub(super) trash_bytes: u64,
}

/// The key of an entry in a table by time: root, time, ID.
pub(super) fn due_key(root: &RootName, at: Timestamp, id: &str) -> Vec<u8> {
    let mut key = due_prefix(root);
    // The sign bit flipped, so that times before 1970 sort first.
    key.extend(((at.as_nanos() as u64) ^ (1 << 63)).to_be_bytes());
    key.extend(id.as_bytes());
    key
}

/// No root's name has a NUL, so no root's keys lie among another's.
fn due_prefix(root: &RootName) -> Vec<u8> {
    [root.as_str().as_bytes(), &[0]].concat()
}

type Readable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Opens a table that a ledger of an earlier version may not have.
pub(super) fn open(transaction: &ReadTransaction, table: Definition) -> Result<Option<Readable>, Fault> {
    match transaction.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Entries of `root` by time, up to `until`, behind `after`.
pub(super) fn due<T: DeserializeOwned>(
    transaction: &ReadTransaction,
    (times, entries): (Definition, Definition),
    root: &RootName,
    until: Timestamp,
    after: Option<(Timestamp, &EntryId)>,
    limit: usize,
) -> Result<Vec<T>, Fault> {
    let (Some(times), Some(entries)) = (open(transaction, times)?, open(transaction, entries)?) else {
        return Ok(Vec::new());
    };
    let from = match after {
        Some((at, id)) => [due_key(root, at, id.as_str()), vec![0]].concat(),
        None => due_prefix(root),
    };
    // Every ID sorts before this byte.
    let to = due_key(root, until, "\u{7f}");
    let mut found = Vec::new();
    if from > to {
        return Ok(found);
    }
    let start = due_prefix(root).len() + 8;
    for row in times.range(from.as_slice()..=to.as_slice())?.take(limit) {
        let key = row?.0;
        let id = key.value().get(start..).unwrap_or_default();
        if let Some(value) = entries.get(id)? {
            found.push(tables::decode(value.value())?);
        }
    }
    Ok(found)
}

/// The counts of one root, or of all together.
pub(super) fn counts(transaction: &ReadTransaction, root: Option<&RootName>) -> Result<Counts, Fault> {
    let Some(table) = open(transaction, KEPT_COUNTS)? else { return Ok(Counts::default()) };
    if let Some(root) = root {
        let value = table.get(root.as_str().as_bytes())?;
        return value.map_or(Ok(Counts::default()), |value| tables::decode(value.value()));
    }
    let mut all = Counts::default();
    for row in table.iter()? {
        let one: Counts = tables::decode(row?.1.value())?;
        for (attempts, count) in one.by_attempts {
            *all.by_attempts.entry(attempts).or_default() += count;
        }
        all.moved_bytes += one.moved_bytes;
        all.trash_files += one.trash_files;
        all.trash_bytes += one.trash_bytes;
    }
    Ok(all)
}

/// What an entry holds in the private directory.
const fn moved_bytes(kept: &Kept) -> u64 {
    if matches!(kept.stage, Stage::Moved) { kept.bytes } else { 0 }
}

type Open<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// The tables, open in one transaction.
struct Books<'t> {
    queue: Open<'t>,
    queue_due: Open<'t>,
    trash: Open<'t>,
    trash_due: Open<'t>,
    counts: HashMap<RootName, Counts>,
    kept_counts: Open<'t>,
}

impl<'t> Books<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            queue: transaction.open_table(QUEUE)?,
            queue_due: transaction.open_table(QUEUE_DUE)?,
            trash: transaction.open_table(TRASH)?,
            trash_due: transaction.open_table(TRASH_DUE)?,
            counts: HashMap::new(),
            kept_counts: transaction.open_table(KEPT_COUNTS)?,
        })
    }

    fn counts(&mut self, root: &RootName) -> Result<&mut Counts, Fault> {
        if !self.counts.contains_key(root) {
            let value = self.kept_counts.get(root.as_str().as_bytes())?;
            let counts = value.map_or(Ok(Counts::default()), |value| tables::decode(value.value()))?;
            self.counts.insert(root.clone(), counts);
        }
        Ok(self.counts.entry(root.clone()).or_default())
    }

    fn forget(&mut self, id: &EntryId) -> Result<(), Fault> {
        let key = id.as_str().as_bytes();
        let old: Option<QueueEntry> =
            self.queue.remove(key)?.map(|value| tables::decode(value.value())).transpose()?;
        if let Some(old) = old {
            let due = due_key(&old.kept.root, old.next_try_at, id.as_str());
            self.queue_due.remove(due.as_slice())?;
            let counts = self.counts(&old.kept.root)?;
            counts.moved_bytes = counts.moved_bytes.saturating_sub(moved_bytes(&old.kept));
            if let Some(count) = counts.by_attempts.get_mut(&old.attempts) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    counts.by_attempts.remove(&old.attempts);
                }
            }
        }
        let old: Option<TrashEntry> =
            self.trash.remove(key)?.map(|value| tables::decode(value.value())).transpose()?;
        if let Some(old) = old {
            let due = due_key(&old.kept.root, old.deleted_at, id.as_str());
            self.trash_due.remove(due.as_slice())?;
            let counts = self.counts(&old.kept.root)?;
            counts.trash_files = counts.trash_files.saturating_sub(old.kept.files);
            counts.trash_bytes = counts.trash_bytes.saturating_sub(old.kept.bytes);
            counts.moved_bytes = counts.moved_bytes.saturating_sub(moved_bytes(&old.kept));
        }
        Ok(())
    }

    fn queue(&mut self, entry: &QueueEntry) -> Result<(), Fault> {
        let id = entry.kept.id.as_str();
        self.queue.insert(id.as_bytes(), tables::encode(entry)?.as_slice())?;
        let counts = self.counts(&entry.kept.root)?;
        counts.moved_bytes = counts.moved_bytes.saturating_add(moved_bytes(&entry.kept));
        *counts.by_attempts.entry(entry.attempts).or_default() += 1;
        Ok(())
    }

    fn trash(&mut self, entry: &TrashEntry) -> Result<(), Fault> {
        let id = entry.kept.id.as_str();
        self.trash.insert(id.as_bytes(), tables::encode(entry)?.as_slice())?;
        let counts = self.counts(&entry.kept.root)?;
        counts.trash_files = counts.trash_files.saturating_add(entry.kept.files);
        counts.trash_bytes = counts.trash_bytes.saturating_add(entry.kept.bytes);
        counts.moved_bytes = counts.moved_bytes.saturating_add(moved_bytes(&entry.kept));
        Ok(())
    }

    fn due(&mut self, change: &KeptChange) -> Result<(), Fault> {
        let (table, kept, at) = match change {
            KeptChange::Queue(entry) => (&mut self.queue_due, &entry.kept, entry.next_try_at),
            KeptChange::Trash(entry) => (&mut self.trash_due, &entry.kept, entry.deleted_at),
            KeptChange::Forget(_) => return Ok(()),
        };
        table.insert(due_key(&kept.root, at, kept.id.as_str()).as_slice(), [].as_slice())?;
        Ok(())
    }

    fn close(mut self) -> Result<(), Fault> {
        for (root, counts) in &self.counts {
            self.kept_counts.insert(root.as_str().as_bytes(), tables::encode(counts)?.as_slice())?;
        }
        Ok(())
    }
}

impl Ledger {
    /// Records what became of entries, of a whole request in one transaction.
    pub fn change_kept(&self, changes: &[KeptChange]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.write(|transaction| {
            let mut books = Books::open(transaction)?;
            // Table after table: of one that grows at its end only the end is written.
            for change in changes {
                books.forget(change.id())?;
            }
            for change in changes {
                match change {
                    KeptChange::Queue(entry) => books.queue(entry)?,
                    KeptChange::Trash(entry) => books.trash(entry)?,
                    KeptChange::Forget(_) => {}
                }
            }
            for change in changes {
                books.due(change)?;
            }
            books.close()
        })
    }
}
