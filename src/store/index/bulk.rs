//! Loading a whole root: listings from several threads, written in sorted batches.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use redb::Table;

use super::rows::{self, key};
use super::session::{age_row, due_row};
use super::{Commit, Counters, DirEntry, FileEntry, Index, Listing, RootState, codec};
use crate::model::Timestamp;
use crate::store::error::Fault;
use crate::store::{RootKey, StoreError};

/// Packed bytes gathered before they are written. Between two listings each
/// leaves a hole in the heap as large as itself, because something small of it
/// stays: 12 MiB of packed rows made 160 MB of a million files resident.
const BATCH_BYTES: usize = 2 << 20;

struct Prepared {
    dir: DirEntry,
    chunks: Vec<(Vec<u8>, Vec<u8>)>,
    ages: Vec<Vec<u8>>,
    /// Rows by expiry.
    due: Vec<Vec<u8>>,
    /// Names that need more than packing: those with several links.
    linked: Vec<FileEntry>,
    files: u64,
    bytes: u64,
    names: Vec<(Box<[u8]>, i64)>,
}

#[derive(Default)]
struct Batch {
    listings: Vec<Prepared>,
    bytes: usize,
}

/// A root being loaded; shared by reference among the threads that scan.
pub struct BulkLoad {
    index: Index,
    root: RootKey,
    readings: super::Readings,
    batch: Mutex<Batch>,
}

impl BulkLoad {
    pub(super) fn begin(index: Index, root: RootKey, fingerprint: u64) -> Result<Self, StoreError> {
        index.session(root, "load", Commit::Later, |session| {
            session.clear()?;
            session.info.fingerprint = fingerprint;
            session.info.state = RootState::Incomplete;
            session.info.scanned_at = None;
            Ok(())
        })?;
        let readings = (index.options.readings)(root);
        Ok(Self { index, root, readings, batch: Mutex::default() })
    }

    /// Takes a directory's listing; in any order, each directory once (a second
    /// listing replaces the first). Now and then the calling thread writes a batch.
    pub fn push(&self, listing: Listing) -> Result<(), StoreError> {
        let prepared = self.prepare(listing);
        let full = {
            let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
            batch.bytes += 200 + prepared.chunks.iter().map(|(_, value)| value.len() + 40).sum::<usize>();
            batch.listings.push(prepared);
            (batch.bytes > BATCH_BYTES).then(|| std::mem::take(&mut *batch))
        };
        full.map_or(Ok(()), |batch| self.write(batch))
    }

    /// Writes what was pushed so far, so that it can be read and changed.
    pub fn flush(&self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut *self.batch.lock().unwrap_or_else(PoisonError::into_inner));
        self.write(batch)
    }

    /// Writes the rest, durably, and declares the root complete.
    pub fn finish(self, scanned_at: Timestamp) -> Result<Counters, StoreError> {
        self.flush()?;
        self.index.session(self.root, "load", Commit::Durable, |session| {
            session.info.state = RootState::Complete;
            session.info.scanned_at = Some(scanned_at);
            Ok(session.info.counters)
        })
    }

    fn prepare(&self, mut listing: Listing) -> Prepared {
        listing.files.retain(|entry| codec::is_name(&entry.name));
        listing.files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        listing.files.dedup_by(|a, b| a.name == b.name);
        let Listing { ino, parent, name, mtime, files } = listing;
        let (mut chunks, mut ages) = (Vec::new(), Vec::new());
        for (n, (start, end, body)) in codec::split(&files, codec::MAX_CHUNK).into_iter().enumerate() {
            let lower: &[u8] = if n == 0 { &[] } else { &files[start].name };
            let row = key(self.root, &[&ino.to_be_bytes(), lower]);
            ages.push(age_row(self.root, ino, lower, &files[start..end]));
            let value = codec::seal(&row, &body);
            chunks.push((row, value));
        }
        let mut names: BTreeMap<Box<[u8]>, i64> = BTreeMap::new();
        let mut readings = Vec::new();
        for file in &files {
            (self.readings)(&file.name, &mut readings);
            for reading in readings.drain(..) {
                *names.entry(reading).or_default() += 1;
            }
        }
        let expiring = files.iter().filter_map(|file| Some((file.expires_at?, &file.name)));
        let due = expiring.map(|(at, name)| due_row(self.root, at, ino, name)).collect();
        let single = files.iter().filter(|f| f.nlink <= 1);
        let bytes = single.fold(0_u64, |sum, file| sum.saturating_add(file.allocated));
        let single = files.iter().filter(|f| f.nlink <= 1).count() as u64;
        let mut linked: Vec<FileEntry> = files.into_iter().filter(|f| f.nlink > 1).collect();
        // It takes over the room of all files.
        linked.shrink_to_fit();
        Prepared {
            dir: DirEntry { ino, parent, name, mtime, listed: true },
            chunks,
            ages,
            due,
            files: single,
            bytes,
            names: names.into_iter().collect(),
            linked,
        }
    }

    fn write(&self, mut batch: Batch) -> Result<(), StoreError> {
        batch.listings.sort_unstable_by_key(|listing| listing.dir.ino);
        self.index.session(self.root, "load", Commit::Later, |session| {
            let (mut dirs, mut subdirs, mut chunks) = (vec![], vec![], vec![]);
            let (mut ages, mut due) = (vec![], vec![]);
            let mut slow = Vec::new();
            let mut before = None;
            for listing in batch.listings {
                let dir = &listing.dir;
                let known = before == Some(dir.ino)
                    || rows::dir(&session.dirs, self.root, dir.ino)?.is_some()
                    || rows::subdir(&session.subdirs, self.root, dir.parent, &dir.name)?.is_some();
                before = Some(dir.ino);
                if known {
                    slow.push(listing);
                    continue;
                }
                dirs.push((key(self.root, &[&dir.ino.to_be_bytes()]), rows::dir_value(dir)));
                subdirs.push((
                    key(self.root, &[&dir.parent.to_be_bytes(), &dir.name]),
                    dir.ino.to_be_bytes().to_vec(),
                ));
                session.count_name(dir.parent, &dir.name, 1);
                session.count_names(listing.dir.ino, listing.names);
                for entry in &listing.linked {
                    session.count_file(listing.dir.ino, entry, 1)?;
                }
                session.info.counters.dirs += 1;
                session.info.counters.files += listing.files;
                let bytes = &mut session.info.counters.allocated_bytes;
                *bytes = bytes.saturating_add(listing.bytes);
                chunks.extend(listing.chunks);
                ages.extend(listing.ages.into_iter().map(|row| (row, Vec::new())));
                due.extend(listing.due.into_iter().map(|row| (row, Vec::new())));
            }
            insert_sorted(&mut session.dirs, dirs)?;
            insert_sorted(&mut session.subdirs, subdirs)?;
            insert_sorted(&mut session.chunks, chunks)?;
            insert_sorted(&mut session.ages, ages)?;
            insert_sorted(&mut session.due, due)?;
            for listing in slow {
                let mut files = Vec::new();
                for (row, value) in &listing.chunks {
                    files.append(&mut rows::unseal(row, value)?);
                }
                let dir = listing.dir;
                session.place_dir(dir.ino, dir.parent, &dir.name, dir.mtime)?;
                session.replace_files(dir.ino, &files)?;
                session.put_dir_row(&dir)?;
            }
            Ok(())
        })
    }
}

/// Inserts rows at cursors: sorted runs between existing keys fill their pages.
fn insert_sorted(
    table: &mut Table<'_, &'static [u8], &'static [u8]>,
    mut rows: Vec<(Vec<u8>, Vec<u8>)>,
) -> Result<(), Fault> {
    rows.sort_unstable();
    let mut rows = rows.into_iter().peekable();
    while let Some((first, _)) = rows.peek() {
        let mut cursor = table.lower_bound_mut(Bound::Included(first.as_slice()))?;
        let next = cursor.peek_next()?.map(|(key, _)| key.value().to_vec());
        let mut wrote = false;
        while let Some((key, value)) = rows.next_if(|(key, _)| next.as_ref().is_none_or(|next| key < next)) {
            cursor.insert_before(key.as_slice(), value.as_slice())?;
            wrote = true;
        }
        drop(cursor);
        if !wrote && let Some((key, value)) = rows.next() {
            table.insert(key.as_slice(), value.as_slice())?;
        }
    }
    Ok(())
}
