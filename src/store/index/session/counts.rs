//! What is counted along with every change of a file: the root's totals, the
//! links of an inode, expiry, and the places of the jobs that names may mean.
//!
//! Promises: what is counted in is counted out with the same entry; an inode
//! with several names counts once.

use super::Session;
use crate::model::Timestamp;
use crate::store::RootKey;
use crate::store::error::Fault;
use crate::store::index::FileEntry;
use crate::store::index::rows::{self, key, sortable};

impl Session<'_> {
    pub(in crate::store::index) fn account(
        &mut self,
        dir: u64,
        name: &[u8],
        before: Option<&FileEntry>,
        after: Option<&FileEntry>,
    ) -> Result<(), Fault> {
        for (entry, step) in before.map(|e| (e, -1)).into_iter().chain(after.map(|e| (e, 1))) {
            self.count_file(dir, entry, step)?;
        }
        let mut readings = Vec::new();
        (self.readings)(name, &mut readings);
        self.tally.changed(dir, readings.into_iter().next(), before, after);
        let expiry = |entry: Option<&FileEntry>| entry.and_then(|entry| entry.expires_at);
        if expiry(before) != expiry(after) {
            if let Some(at) = expiry(before) {
                self.due.remove(due_row(self.root, at, dir, name).as_slice())?;
            }
            if let Some(at) = expiry(after) {
                self.due.insert(due_row(self.root, at, dir, name).as_slice(), [].as_slice())?;
            }
        }
        match (before, after) {
            (None, Some(_)) => self.count_name(dir, name, 1),
            (Some(_), None) => self.count_name(dir, name, -1),
            _ => {}
        }
        Ok(())
    }

    /// Counts a file in (1) or out (-1); an inode with several links counts once.
    pub(in crate::store::index) fn count_file(
        &mut self,
        dir: u64,
        entry: &FileEntry,
        step: i64,
    ) -> Result<(), Fault> {
        let counters = &mut self.info.counters;
        counters.files = counters.files.saturating_add_signed(step);
        let (gone, come) = if entry.nlink > 1 {
            let before = self.linked_bytes(entry.ino)?;
            let row = key(self.root, &[&entry.ino.to_be_bytes(), &dir.to_be_bytes(), &entry.name]);
            if step > 0 {
                self.links.insert(row.as_slice(), entry.allocated.to_be_bytes().as_slice())?;
            } else {
                self.links.remove(row.as_slice())?;
            }
            (before, self.linked_bytes(entry.ino)?)
        } else if step > 0 {
            (0, entry.allocated)
        } else {
            (entry.allocated, 0)
        };
        let counters = &mut self.info.counters;
        counters.allocated_bytes = counters.allocated_bytes.saturating_sub(gone).saturating_add(come);
        Ok(())
    }

    fn linked_bytes(&self, ino: u64) -> Result<u64, Fault> {
        let mut bytes = 0;
        rows::scan(&self.links, &key(self.root, &[&ino.to_be_bytes()]), &[], |_, value| {
            bytes = rows::number(value, 0).unwrap_or(0);
            Ok(false)
        })?;
        Ok(bytes)
    }

    /// Counts readings of a directory's names that were gathered before.
    pub(in crate::store::index) fn count_names(&mut self, dir: u64, names: Vec<(Box<[u8]>, i64)>) {
        for (reading, step) in names.into_iter().filter(|(r, _)| !r.is_empty() && !r.contains(&0)) {
            *self.place_changes.entry((reading, dir)).or_default() += step;
        }
    }

    /// Counts a name of a directory in or out of the places of the jobs it may name.
    pub(in crate::store::index) fn count_name(&mut self, dir: u64, name: &[u8], step: i64) {
        let mut readings = Vec::new();
        if dir != 0 {
            (self.readings)(name, &mut readings);
        }
        for reading in readings.into_iter().filter(|r| !r.is_empty() && !r.contains(&0)) {
            *self.place_changes.entry((reading, dir)).or_default() += step;
        }
    }
}

/// The key under which a file is found by its expiry.
pub(in crate::store::index) fn due_row(root: RootKey, at: Timestamp, dir: u64, name: &[u8]) -> Vec<u8> {
    key(root, &[&sortable(at), &dir.to_be_bytes(), name])
}
