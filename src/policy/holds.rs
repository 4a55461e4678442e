//! The holds of one root: what they keep.

use std::collections::HashMap;

use super::FileAt;
use crate::model::{Covers, HoldId, HoldRecord, RelPath, Timestamp};

/// What a decision needs to know of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Its name.
    pub id: HoldId,
    /// What is held.
    pub path: RelPath,
    /// Until when; until released, if `None`.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// Who holds it.
    pub uid: u32,
    /// Whose files it keeps.
    pub covers: Covers,
}

impl Holding {
    fn keeps(&self, at: &FileAt<'_>, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
            // A file that nobody has looked at could be covered.
            && at.facts.is_none_or(|facts| self.covers.includes(facts.uid))
    }
}

/// Holds of one root, by what they were put on.
#[derive(Debug, Clone, Default)]
pub(super) struct HoldSet {
    by_path: HashMap<RelPath, Vec<Holding>>,
    by_inode: HashMap<u64, Vec<Holding>>,
}

impl HoldSet {
    pub(super) fn insert(&mut self, record: &HoldRecord) {
        self.remove(record);
        let holding = Holding {
            id: record.id.clone(),
            path: record.path.clone(),
            until: record.until,
            reason: record.reason.clone(),
            uid: record.uid,
            covers: record.covers,
        };
        self.by_inode.entry(record.recorded.ino).or_default().push(holding.clone());
        self.by_path.entry(record.path.clone()).or_default().push(holding);
    }

    pub(super) fn remove(&mut self, record: &HoldRecord) {
        fn forget<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<Holding>>, key: &K, id: &HoldId) {
            if let Some(holds) = map.get_mut(key) {
                holds.retain(|hold| hold.id != *id);
                if holds.is_empty() {
                    map.remove(key);
                }
            }
        }
        forget(&mut self.by_path, &record.path, &record.id);
        forget(&mut self.by_inode, &record.recorded.ino, &record.id);
    }

    /// The hold that keeps a file: on its path, on a directory above, on its
    /// inode, or on the inode of a directory above. What was held once stays
    /// so under every name, and what takes its place is held as well.
    pub(super) fn keeping(&self, at: &FileAt<'_>, now: Timestamp) -> Option<&Holding> {
        if self.by_path.is_empty() {
            return None;
        }
        let path = (!at.name.is_empty()).then(|| at.dir.join(at.name));
        let dir = at.dir.as_bytes();
        let cuts = dir.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(cut, _)| cut);
        let above = cuts.chain((!dir.is_empty()).then_some(dir.len())).filter_map(|cut| dir.get(..cut));
        let by_path = path.as_ref().map(RelPath::as_bytes).into_iter().chain(above);
        let own = at.facts.map(|facts| facts.id.ino);
        let by_inode = own.iter().chain(at.above);
        by_path
            .filter_map(|path| self.by_path.get(path))
            .chain(by_inode.filter_map(|ino| self.by_inode.get(ino)))
            .flatten()
            .find(|hold| hold.keeps(at, now))
    }
}
