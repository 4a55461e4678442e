//! Files in order of age, read lazily from chunks ordered by their oldest file.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::rows::{self, key, number, sortable};
use super::{FileEntry, Index, IndexedFile};
use crate::model::Timestamp;
use crate::store::{RootKey, StoreError};

/// First page; each next one is twice as long, up to [`LONGEST_PAGE`].
const FIRST_PAGE: usize = 256;
const LONGEST_PAGE: usize = 8192;

/// A file in the heap: least age time first, then directory, then name.
struct Waiting(IndexedFile);

impl Waiting {
    fn place(&self) -> (Timestamp, u64, &[u8]) {
        (self.0.entry.age_time, self.0.dir, &self.0.entry.name)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

/// The files of a root, oldest first. Between pages the index may change: the
/// heap is then built again, and goes on behind the last file given.
pub struct Oldest {
    index: Index,
    root: RootKey,
    page: usize,
    ready: VecDeque<IndexedFile>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Where the next chunk is looked for.
    from: Vec<u8>,
    generation: u64,
    last: Option<(Timestamp, u64, Box<[u8]>)>,
    done: bool,
}

impl Oldest {
    pub(super) fn new(index: Index, root: RootKey) -> Self {
        Self {
            index,
            root,
            page: FIRST_PAGE,
            ready: VecDeque::new(),
            waiting: BinaryHeap::new(),
            from: Vec::new(),
            generation: 0,
            last: None,
            done: false,
        }
    }

    /// Goes on behind this file: its age time, directory and name.
    pub fn after(mut self, age_time: Timestamp, dir: u64, name: &[u8]) -> Self {
        self.last = Some((age_time, dir, name.into()));
        self
    }

    fn fill(&mut self) -> Result<(), StoreError> {
        let snapshot = self.index.snapshot()?;
        let generation = snapshot.root(self.root)?.map_or(0, |info| info.generation);
        if generation != self.generation {
            self.generation = generation;
            self.waiting.clear();
            self.from.clear();
        }
        let prefix = key(self.root, &[]);
        let limit = self.page;
        self.page = (self.page * 2).min(LONGEST_PAGE);
        let Self { ready, waiting, from, last, root, .. } = self;
        let emit = |waiting: &mut BinaryHeap<Reverse<Waiting>>,
                    ready: &mut VecDeque<IndexedFile>,
                    bound: Option<[u8; 8]>| {
            while ready.len() < limit
                && waiting.peek().is_some_and(|w| bound.is_none_or(|b| sortable(w.0.0.entry.age_time) < b))
            {
                ready.extend(waiting.pop().map(|w| w.0.0));
            }
            ready.len() >= limit
        };
        let mut full = false;
        snapshot.run(|| {
            let start = from.clone();
            rows::scan(snapshot.tables.ages()?, &prefix, &start, |age, _| {
                if age.len() < 18 {
                    return Err(crate::store::error::Fault::Damaged("an age row cannot be read".into()));
                }
                full = emit(waiting, ready, age[2..].first_chunk().copied());
                if full {
                    *from = age.to_vec();
                    return Ok(false);
                }
                let dir = number(age, 10).unwrap_or(0);
                let row = key(*root, &[&dir.to_be_bytes(), &age[18..]]);
                if let Some(value) = redb::ReadableTable::get(snapshot.tables.chunks()?, row.as_slice())? {
                    let fresh = |e: &FileEntry| {
                        last.as_ref().is_none_or(|l| (e.age_time, dir, &*e.name) > (l.0, l.1, &*l.2))
                    };
                    let files = rows::unseal(&row, value.value())?.into_iter().filter(fresh);
                    waiting.extend(files.map(|entry| Reverse(Waiting(IndexedFile { dir, entry }))));
                }
                *from = [age, &[0]].concat();
                Ok(true)
            })
        })?;
        if !full {
            full = emit(waiting, ready, None);
        }
        self.done = !full;
        if let Some(file) = self.ready.back() {
            self.last = Some((file.entry.age_time, file.dir, file.entry.name.clone()));
        }
        Ok(())
    }
}

impl Iterator for Oldest {
    type Item = Result<IndexedFile, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && !self.done
            && let Err(error) = self.fill()
        {
            self.done = true;
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }
}
