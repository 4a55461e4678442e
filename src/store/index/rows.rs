//! Tables and keys of the index, and reading single rows.
//!
//! Keys are bytes that sort as meant: numbers big-endian, times with the sign
//! bit turned, names last. `R` is any table that can be read, so the same code
//! serves snapshots and transactions.
//!
//! | table | key | value |
//! |---|---|---|
//! | dirs | root, inode | parent, mtime, listed, name |
//! | subdirs | root, parent inode, name | inode |
//! | chunks | root, directory, lower bound of names (empty for the first) | packed files |
//! | ages | root, oldest age time in the chunk, directory, lower bound | |
//! | places | root, shortest reading, 0, directory | number of names |
//! | links | root, inode, directory, name (only for more than one link) | allocated bytes |
//! | due | root, expiry, directory, name (only for files that have one) | |
//! | meta | root | [`RootInfo`] as JSON |

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::{DirEntry, FileEntry, RootInfo, Subdir, codec};
use crate::model::Timestamp;
use crate::store::RootKey;
use crate::store::error::Fault;

pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(super) const DIRS: Definition = TableDefinition::new("dirs");
pub(super) const SUBDIRS: Definition = TableDefinition::new("subdirs");
pub(super) const CHUNKS: Definition = TableDefinition::new("chunks");
pub(super) const AGES: Definition = TableDefinition::new("ages");
pub(super) const PLACES: Definition = TableDefinition::new("places");
pub(super) const LINKS: Definition = TableDefinition::new("links");
pub(super) const DUE: Definition = TableDefinition::new("due");
pub(super) const META: Definition = TableDefinition::new("meta");
pub(super) const ALL: [Definition; 8] = [DIRS, SUBDIRS, CHUNKS, AGES, PLACES, LINKS, DUE, META];

/// The lower bound of a chunk and its files.
pub(super) type Chunk = (Vec<u8>, Vec<FileEntry>);

/// A table that can be read.
pub(super) trait Rows: ReadableTable<&'static [u8], &'static [u8]> {}
impl<T: ReadableTable<&'static [u8], &'static [u8]>> Rows for T {}

pub(super) fn create_tables(transaction: &WriteTransaction) -> Result<(), Fault> {
    for table in ALL {
        transaction.open_table(table)?;
    }
    Ok(())
}

pub(super) fn key(root: RootKey, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + parts.iter().map(|p| p.len()).sum::<usize>());
    key.extend_from_slice(&root.0.to_be_bytes());
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// A time so that bytes sort as times do.
pub(super) const fn sortable(time: Timestamp) -> [u8; 8] {
    (time.as_nanos() as u64 ^ (1 << 63)).to_be_bytes()
}

/// The number at `at` of a key that we wrote; `None` for a damaged key.
pub(super) fn number(key: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(at..)?.first_chunk::<8>()?))
}

fn damaged(what: &str) -> Fault {
    Fault::Damaged(format!("a row of {what} cannot be read"))
}

/// Calls `visit` with each row whose key begins with `prefix`, from `from` on,
/// until it answers `false`.
pub(super) fn scan(
    table: &impl Rows,
    prefix: &[u8],
    from: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    for row in table.range::<&[u8]>(from.max(prefix)..)? {
        let (key, value) = row?;
        if !key.value().starts_with(prefix) || !visit(key.value(), value.value())? {
            break;
        }
    }
    Ok(())
}

pub(super) fn dir_value(dir: &DirEntry) -> Vec<u8> {
    let mut value = Vec::with_capacity(17 + dir.name.len());
    value.extend_from_slice(&dir.parent.to_be_bytes());
    value.extend_from_slice(&sortable(dir.mtime));
    value.push(u8::from(dir.listed));
    value.extend_from_slice(&dir.name);
    value
}

fn read_dir_value(ino: u64, value: &[u8]) -> Option<DirEntry> {
    Some(DirEntry {
        ino,
        parent: number(value, 0)?,
        mtime: Timestamp::from_nanos((number(value, 8)? ^ (1 << 63)) as i64),
        listed: *value.get(16)? != 0,
        name: value.get(17..)?.into(),
    })
}

pub(super) fn dir(dirs: &impl Rows, root: RootKey, ino: u64) -> Result<Option<DirEntry>, Fault> {
    dirs.get(key(root, &[&ino.to_be_bytes()]).as_slice())?
        .map(|row| read_dir_value(ino, row.value()).ok_or_else(|| damaged("dirs")))
        .transpose()
}

pub(super) fn subdir(
    subdirs: &impl Rows,
    root: RootKey,
    parent: u64,
    name: &[u8],
) -> Result<Option<u64>, Fault> {
    subdirs
        .get(key(root, &[&parent.to_be_bytes(), name]).as_slice())?
        .map(|row| number(row.value(), 0).ok_or_else(|| damaged("subdirs")))
        .transpose()
}

/// Names and inode numbers, in order of name.
pub(super) fn subdirs_of(subdirs: &impl Rows, root: RootKey, parent: u64) -> Result<Vec<Subdir>, Fault> {
    let mut found = Vec::new();
    scan(subdirs, &key(root, &[&parent.to_be_bytes()]), &[], |key, value| {
        found.push((key[10..].into(), number(value, 0).ok_or_else(|| damaged("subdirs"))?));
        Ok(true)
    })?;
    Ok(found)
}

pub(super) fn unseal(key: &[u8], value: &[u8]) -> Result<Vec<FileEntry>, Fault> {
    codec::unseal(key, value).ok_or_else(|| {
        Fault::Damaged(format!("the chunk of directory {} fails its checksum", number(key, 2).unwrap_or(0)))
    })
}

/// The lower bound of the chunk that `name` belongs to, if the directory has chunks.
pub(super) fn chunk_of(
    chunks: &impl Rows,
    root: RootKey,
    dir: u64,
    name: &[u8],
) -> Result<Option<Chunk>, Fault> {
    let (low, high) = (key(root, &[&dir.to_be_bytes()]), key(root, &[&dir.to_be_bytes(), name]));
    match chunks.range::<&[u8]>(low.as_slice()..=high.as_slice())?.next_back() {
        Some(row) => {
            let (key, value) = row?;
            Ok(Some((key.value()[10..].to_vec(), unseal(key.value(), value.value())?)))
        }
        None => Ok(None),
    }
}

/// All files of a directory in order of name.
pub(super) fn files_of(chunks: &impl Rows, root: RootKey, dir: u64) -> Result<Vec<FileEntry>, Fault> {
    let mut files = Vec::new();
    scan(chunks, &key(root, &[&dir.to_be_bytes()]), &[], |key, value| {
        files.append(&mut unseal(key, value)?);
        Ok(true)
    })?;
    Ok(files)
}

pub(super) fn file(
    chunks: &impl Rows,
    root: RootKey,
    dir: u64,
    name: &[u8],
) -> Result<Option<FileEntry>, Fault> {
    Ok(chunk_of(chunks, root, dir, name)?
        .and_then(|(_, files)| files.into_iter().find(|entry| *entry.name == *name)))
}

pub(super) fn info(meta: &impl Rows, root: RootKey) -> Result<Option<RootInfo>, Fault> {
    meta.get(key(root, &[]).as_slice())?
        .map(|row| serde_json::from_slice(row.value()).map_err(|_| damaged("meta")))
        .transpose()
}
