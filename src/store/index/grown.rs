//! What changes made of the bytes in a root, by who may have made them: a few
//! sums, not the changes themselves.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::FileEntry;
use crate::model::Timestamp;

/// Sums that one transaction keeps apart; what is beyond is counted with none.
const KEPT: usize = 4096;

/// Files whose growth is counted together: of one directory and owner, and
/// whose names may be read as one job's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GrowthKey {
    /// Inode of the directory.
    pub dir: u64,
    /// Owner.
    pub uid: u32,
    /// The job that the name may be read to name first; empty if none.
    pub reading: Box<[u8]>,
}

/// What came of them, less what went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Growth {
    /// Allocated bytes.
    pub bytes: i64,
    /// One of the names.
    pub name: Box<[u8]>,
}

/// Sums of growth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrowthSums {
    /// By who may have made them.
    pub sums: HashMap<GrowthKey, Growth>,
    /// Whether something was left out for want of room.
    pub is_partial: bool,
}

impl GrowthSums {
    /// Adds what came of a file.
    pub fn add(&mut self, key: GrowthKey, name: &[u8], bytes: i64) {
        if bytes == 0 {
            return;
        }
        if self.sums.len() >= KEPT && !self.sums.contains_key(&key) {
            self.is_partial = true;
            return;
        }
        let sum = self.sums.entry(key).or_default();
        sum.bytes = sum.bytes.saturating_add(bytes);
        if sum.name.is_empty() {
            sum.name = name.into();
        }
    }

    /// Adds other sums to these.
    pub fn merge(&mut self, other: Self) {
        self.is_partial |= other.is_partial;
        for (key, sum) in other.sums {
            self.add(key, &sum.name, sum.bytes);
        }
    }
}

/// Removals of files that were changed before this are of what was there
/// before: they make nobody's growth less.
const RECENT: Duration = Duration::from_secs(300);

/// Growth as one transaction finds it. A file that only changes its name is no growth.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) grown: GrowthSums,
    recent: Timestamp,
    /// What came in this transaction, by inode.
    came: HashMap<u64, GrowthKey>,
    /// Older files of which a name went in it.
    went: HashSet<u64>,
}

impl Tally {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            grown: GrowthSums::default(),
            recent: now.minus(RECENT),
            came: HashMap::new(),
            went: HashSet::new(),
        }
    }

    /// A name of a directory held `before` and holds `after`; `reading` is the
    /// job that it may be read to name.
    pub(super) fn changed(
        &mut self,
        dir: u64,
        reading: Option<Box<[u8]>>,
        before: Option<&FileEntry>,
        after: Option<&FileEntry>,
    ) {
        let reading = reading.unwrap_or_default();
        let key = |entry: &FileEntry| GrowthKey { dir, uid: entry.uid, reading: reading.clone() };
        match (before, after) {
            (Some(old), Some(new)) if old.ino == new.ino => {
                let bytes = new.allocated.cast_signed().saturating_sub(old.allocated.cast_signed());
                if bytes > 0 || old.ctime >= self.recent {
                    self.grown.add(key(new), &new.name, bytes);
                }
            }
            _ => {
                if let Some(old) = before {
                    self.went(key(old), old);
                }
                if let Some(new) = after {
                    self.came(key(new), new);
                }
            }
        }
    }

    fn came(&mut self, key: GrowthKey, entry: &FileEntry) {
        // Another name of what was there, or its new one.
        if entry.nlink > 1 || self.went.remove(&entry.ino) {
            return;
        }
        self.grown.add(key.clone(), &entry.name, entry.allocated.cast_signed());
        self.came.insert(entry.ino, key);
    }

    fn went(&mut self, key: GrowthKey, entry: &FileEntry) {
        let gone = -entry.allocated.cast_signed();
        match self.came.remove(&entry.ino) {
            Some(key) => self.grown.add(key, &entry.name, gone),
            None if entry.nlink > 1 => {}
            None if entry.ctime >= self.recent => self.grown.add(key, &entry.name, gone),
            None => drop(self.went.insert(entry.ino)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FileKind;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000);

    fn entry(ino: u64, bytes: u64, age: u64) -> FileEntry {
        let then = NOW.minus(Duration::from_secs(age));
        FileEntry {
            name: b"f".as_slice().into(),
            ino,
            kind: FileKind::Regular,
            size: bytes,
            allocated: bytes,
            nlink: 1,
            uid: 7,
            mtime: then,
            ctime: then,
            age_time: then,
            expires_at: None,
        }
    }

    fn grown(changes: &[(u64, Option<FileEntry>, Option<FileEntry>)]) -> Vec<(u64, i64)> {
        let mut tally = Tally::new(NOW);
        for (dir, before, after) in changes {
            tally.changed(*dir, None, before.as_ref(), after.as_ref());
        }
        let mut all: Vec<_> = tally.grown.sums.iter().map(|(key, sum)| (key.dir, sum.bytes)).collect();
        all.sort_unstable();
        all.retain(|(_, bytes)| *bytes != 0);
        all
    }

    #[test]
    fn what_is_written_is_growth_and_what_is_renamed_is_not() {
        let (new, old) = (entry(1, 100, 0), entry(2, 500, 9000));
        assert_eq!(grown(&[(1, None, Some(new.clone()))]), [(1, 100)]);
        assert_eq!(grown(&[(1, Some(new.clone()), Some(entry(1, 150, 0)))]), [(1, 50)]);
        // In either order of the two names.
        assert_eq!(grown(&[(1, Some(old.clone()), None), (2, None, Some(old.clone()))]), []);
        assert_eq!(grown(&[(2, None, Some(old.clone())), (1, Some(old.clone()), None)]), []);
        assert_eq!(
            grown(&[(1, Some(new.clone()), None), (2, None, Some(new.clone()))]),
            [(1, -100), (2, 100)]
        );
        let linked = FileEntry { nlink: 2, ..new };
        assert_eq!(grown(&[(1, None, Some(linked))]), []);
    }

    #[test]
    fn what_is_removed_of_old_files_makes_nobodys_growth_less() {
        let (new, old) = (entry(1, 100, 10), entry(2, 500, 9000));
        assert_eq!(grown(&[(1, None, Some(new.clone())), (1, Some(old.clone()), None)]), [(1, 100)]);
        // Replaced by rename: what came is what it is now.
        assert_eq!(grown(&[(1, Some(old), Some(new.clone()))]), [(1, 100)]);
        assert_eq!(grown(&[(1, Some(new), None)]), [(1, -100)]);
    }

    #[test]
    fn many_makers_take_no_more_room_than_a_few_and_it_is_said() {
        let mut sums = GrowthSums::default();
        for dir in 0..2 * KEPT as u64 {
            sums.add(GrowthKey { dir, uid: 1, reading: Box::default() }, b"f", 5);
        }
        assert!(sums.sums.len() == KEPT && sums.is_partial);
        let key = GrowthKey { dir: 0, uid: 1, reading: Box::default() };
        sums.add(key.clone(), b"g", -2);
        assert_eq!((sums.sums[&key].bytes, &*sums.sums[&key].name), (3, b"f".as_slice()));
    }
}
