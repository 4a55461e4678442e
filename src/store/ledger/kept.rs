//! Queue and trash change together: an entry is in one of them or in neither.
//!
//! Promises: all changes of one call are durable together or not at all; the
//! tables by time and the counts always say the same as the entries.

use std::collections::{BTreeMap, HashMap};

use redb::{ReadTransaction, ReadableTable, Table, TableError, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Ledger;
use super::tables::{self, Definition, KEPT_COUNTS, QUEUE, QUEUE_DUE, QUEUE_TIMES, TRASH, TRASH_DUE};
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
    key.extend(time_key(at));
    key.extend(id.as_bytes());
    key
}

/// A time as a key: the sign bit flipped, so that times before 1970 sort first.
const fn time_key(at: Timestamp) -> [u8; 8] {
    ((at.as_nanos() as u64) ^ (1 << 63)).to_be_bytes()
}

/// The first and the last time at which one of the deferred deletions was asked
/// for. By these, not by the IDs: a clock that was set back gives a later
/// request a smaller ID.
pub(super) fn asked_between(
    transaction: &ReadTransaction,
) -> Result<(Option<Timestamp>, Option<Timestamp>), Fault> {
    let Some(table) = open(transaction, QUEUE_TIMES)? else { return Ok((None, None)) };
    let time = |key: &[u8]| {
        let bytes: Option<[u8; 8]> = key.try_into().ok();
        bytes.map(|bytes| Timestamp::from_nanos((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64))
    };
    let first = table.first()?.and_then(|(key, _)| time(key.value()));
    Ok((first, table.last()?.and_then(|(key, _)| time(key.value()))))
}

/// No root's name has a NUL, so no root's keys lie among another's.
fn due_prefix(root: &RootName) -> Vec<u8> {
    [root.as_str().as_bytes(), &[0]].concat()
}

pub(super) type Readable = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Opens a table that a ledger of an earlier version may not have.
pub(super) fn open(transaction: &ReadTransaction, table: Definition) -> Result<Option<Readable>, Fault> {
    match transaction.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The rows of `ids`, in one look; those that are not there are left out.
pub(super) fn rows<T: DeserializeOwned>(table: &Readable, ids: &[EntryId]) -> Result<Vec<T>, Fault> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(value) = table.get(id.as_str().as_bytes())? {
            found.push(tables::decode(value.value())?);
        }
    }
    Ok(found)
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
    /// How many more, or fewer, deferred deletions were asked for at a time.
    asked: HashMap<Timestamp, i64>,
    queue_times: Open<'t>,
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
            asked: HashMap::new(),
            queue_times: transaction.open_table(QUEUE_TIMES)?,
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

    /// Takes what was recorded of an entry out of the counts; returns the keys
    /// under which it was due.
    fn discount(
        &mut self,
        queued: Option<QueueEntry>,
        trashed: Option<TrashEntry>,
    ) -> Result<DueKeys, Fault> {
        let mut keys = DueKeys::default();
        if let Some(old) = queued {
            keys.queue = Some(due_key(&old.kept.root, old.next_try_at, old.kept.id.as_str()));
            *self.asked.entry(old.queued_at).or_default() -= 1;
            let counts = self.counts(&old.kept.root)?;
            counts.moved_bytes = counts.moved_bytes.saturating_sub(moved_bytes(&old.kept));
            if let Some(count) = counts.by_attempts.get_mut(&old.attempts) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    counts.by_attempts.remove(&old.attempts);
                }
            }
        }
        if let Some(old) = trashed {
            keys.trash = Some(due_key(&old.kept.root, old.deleted_at, old.kept.id.as_str()));
            let counts = self.counts(&old.kept.root)?;
            counts.trash_files = counts.trash_files.saturating_sub(old.kept.files);
            counts.trash_bytes = counts.trash_bytes.saturating_sub(old.kept.bytes);
            counts.moved_bytes = counts.moved_bytes.saturating_sub(moved_bytes(&old.kept));
        }
        Ok(keys)
    }

    /// Records the entry itself, and counts it; returns what it is due under
    /// from now on, and what it was due under.
    fn change(&mut self, change: &KeptChange) -> Result<(DueKeys, DueKeys), Fault> {
        let key = change.id().as_str().as_bytes();
        let queued = match change {
            KeptChange::Queue(entry) => row(self.queue.insert(key, tables::encode(entry)?.as_slice())?)?,
            _ => row(self.queue.remove(key)?)?,
        };
        let trashed = match change {
            KeptChange::Trash(entry) => row(self.trash.insert(key, tables::encode(entry)?.as_slice())?)?,
            _ => row(self.trash.remove(key)?)?,
        };
        let old = self.discount(queued, trashed)?;
        let mut new = DueKeys::default();
        match change {
            KeptChange::Queue(entry) => {
                new.queue = Some(due_key(&entry.kept.root, entry.next_try_at, entry.kept.id.as_str()));
                *self.asked.entry(entry.queued_at).or_default() += 1;
                let counts = self.counts(&entry.kept.root)?;
                counts.moved_bytes = counts.moved_bytes.saturating_add(moved_bytes(&entry.kept));
                *counts.by_attempts.entry(entry.attempts).or_default() += 1;
            }
            KeptChange::Trash(entry) => {
                new.trash = Some(due_key(&entry.kept.root, entry.deleted_at, entry.kept.id.as_str()));
                let counts = self.counts(&entry.kept.root)?;
                counts.trash_files = counts.trash_files.saturating_add(entry.kept.files);
                counts.trash_bytes = counts.trash_bytes.saturating_add(entry.kept.bytes);
                counts.moved_bytes = counts.moved_bytes.saturating_add(moved_bytes(&entry.kept));
            }
            KeptChange::Forget(_) => {}
        }
        Ok((new, old))
    }

    /// Brings the tables by time in line. Most changes leave the time as it is.
    fn due(&mut self, new: &DueKeys, old: &DueKeys) -> Result<(), Fault> {
        for (table, new, old) in
            [(&mut self.queue_due, &new.queue, &old.queue), (&mut self.trash_due, &new.trash, &old.trash)]
        {
            if new == old {
                continue;
            }
            if let Some(old) = old {
                table.remove(old.as_slice())?;
            }
            if let Some(new) = new {
                table.insert(new.as_slice(), [].as_slice())?;
            }
        }
        Ok(())
    }

    fn close(mut self) -> Result<(), Fault> {
        for (root, counts) in &self.counts {
            self.kept_counts.insert(root.as_str().as_bytes(), tables::encode(counts)?.as_slice())?;
        }
        for (at, more) in self.asked.iter().filter(|(_, more)| **more != 0) {
            let key = time_key(*at);
            let old: u64 = row(self.queue_times.get(key.as_slice())?)?.unwrap_or(0);
            match old.saturating_add_signed(*more) {
                0 => drop(self.queue_times.remove(key.as_slice())?),
                count => drop(self.queue_times.insert(key.as_slice(), tables::encode(&count)?.as_slice())?),
            }
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
        self.write(|transaction| change(transaction, changes))
    }

    /// The same, on disk with the next durable write or the next of these a
    /// second later ([`Self::make_lasting`]): for what is found out again where
    /// it is lost, with the process or by a failure of the disk ([`Self::losses`]).
    pub fn change_kept_soon(&self, changes: &[KeptChange]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.write_soon(|transaction| change(transaction, changes))
    }
}

fn change(transaction: &WriteTransaction, changes: &[KeptChange]) -> Result<(), Fault> {
    let mut books = Books::open(transaction)?;
    // Table after table: of one that grows at its end only the end is written.
    let mut due = Vec::with_capacity(changes.len());
    for change in changes {
        due.push(books.change(change)?);
    }
    for (new, old) in &due {
        books.due(new, old)?;
    }
    books.close()
}

/// What a table gave back for a key.
fn row<T: DeserializeOwned>(old: Option<redb::AccessGuard<'_, &'static [u8]>>) -> Result<Option<T>, Fault> {
    old.map(|value| tables::decode(value.value())).transpose()
}

/// The keys of an entry in the tables by time.
#[derive(Default)]
struct DueKeys {
    queue: Option<Vec<u8>>,
    trash: Option<Vec<u8>>,
}
