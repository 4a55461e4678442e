//! Tables of the ledger: a key of bytes, a value of JSON.

use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::error::Fault;

type Table = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;
pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(super) const META: Definition = TableDefinition::new("meta");
pub(super) const JOBS: Definition = TableDefinition::new("jobs");
pub(super) const ROOTS: Definition = TableDefinition::new("roots");
pub(super) const HISTORY: Definition = TableDefinition::new("history");
pub(super) const LAST_RUNS: Definition = TableDefinition::new("last_runs");
pub(super) const REQUESTS: Definition = TableDefinition::new("requests");
pub(super) const QUEUE: Definition = TableDefinition::new("queue");
pub(super) const QUEUE_DUE: Definition = TableDefinition::new("queue_due");
pub(super) const QUEUE_TIMES: Definition = TableDefinition::new("queue_times");
pub(super) const TRASH: Definition = TableDefinition::new("trash");
pub(super) const TRASH_DUE: Definition = TableDefinition::new("trash_due");
pub(super) const KEPT_COUNTS: Definition = TableDefinition::new("kept_counts");
pub(super) const HOLDS: Definition = TableDefinition::new("holds");
pub(super) const TRACKS: Definition = TableDefinition::new("tracks");
pub(super) const SESSIONS: Definition = TableDefinition::new("sessions");
pub(super) const CHUNKS: Definition = TableDefinition::new("chunks");
pub(super) const ALL: &[Definition] = &[
    META,
    JOBS,
    ROOTS,
    HISTORY,
    LAST_RUNS,
    REQUESTS,
    HOLDS,
    TRACKS,
    SESSIONS,
    CHUNKS,
    QUEUE,
    QUEUE_DUE,
    QUEUE_TIMES,
    TRASH,
    TRASH_DUE,
    KEPT_COUNTS,
];

pub(super) fn create(transaction: &WriteTransaction) -> Result<(), Fault> {
    for table in ALL {
        transaction.open_table(*table)?;
    }
    Ok(())
}

pub(super) fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(value).map_err(|e| Fault::Damaged(format!("a record cannot be read: {e}")))
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|e| Fault::Damaged(format!("a record cannot be written: {e}")))
}

/// A row as it is to be; without a value: gone.
pub(super) struct Row {
    pub(super) table: Definition,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("table", &self.table.to_string())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Row {
    pub(super) fn gone(table: Definition, key: &[u8]) -> Self {
        Self { table, key: key.to_vec(), value: None }
    }
}

/// Writes rows in their order.
pub(super) fn apply<'r>(
    transaction: &WriteTransaction,
    rows: impl Iterator<Item = &'r Row>,
) -> Result<(), Fault> {
    for row in rows {
        let mut table = transaction.open_table(row.table)?;
        match &row.value {
            Some(value) => drop(table.insert(row.key.as_slice(), value.as_slice())?),
            None => drop(table.remove(row.key.as_slice())?),
        };
    }
    Ok(())
}

pub(super) fn put<T: Serialize>(
    transaction: &WriteTransaction,
    table: Definition,
    key: &[u8],
    value: &T,
) -> Result<(), Fault> {
    transaction.open_table(table)?.insert(key, encode(value)?.as_slice())?;
    Ok(())
}

pub(super) fn remove(transaction: &WriteTransaction, table: Definition, key: &[u8]) -> Result<bool, Fault> {
    let mut table = transaction.open_table(table)?;
    let removed = table.remove(key)?.is_some();
    Ok(removed)
}

pub(super) fn get<T: DeserializeOwned>(
    transaction: &ReadTransaction,
    table: Definition,
    key: &[u8],
) -> Result<Option<T>, Fault> {
    let Some(table) = open(transaction, table)? else { return Ok(None) };
    table.get(key)?.map(|value| decode(value.value())).transpose()
}

/// A table to be read; `None` in a ledger that an earlier version wrote last.
fn open(transaction: &ReadTransaction, table: Definition) -> Result<Option<Table>, Fault> {
    match transaction.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Rows behind `after`, in order of key or against it, that `keep` accepts.
pub(super) fn page<T: DeserializeOwned>(
    transaction: &ReadTransaction,
    table: Definition,
    after: Option<&[u8]>,
    backwards: bool,
    limit: usize,
    keep: impl Fn(&T) -> bool,
) -> Result<Vec<T>, Fault> {
    let Some(table) = open(transaction, table)? else { return Ok(Vec::new()) };
    let mut page = Vec::new();
    let mut rows = match after {
        Some(after) if backwards => table.range::<&[u8]>(..after)?,
        Some(after) => table.range::<&[u8]>([after, &[0]].concat().as_slice()..)?,
        None => table.iter()?,
    };
    while page.len() < limit {
        let Some(row) = (if backwards { rows.next_back() } else { rows.next() }) else { break };
        let value = decode(row?.1.value())?;
        if keep(&value) {
            page.push(value);
        }
    }
    Ok(page)
}
