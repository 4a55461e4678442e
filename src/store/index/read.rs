//! Reading the index.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use super::rows::{self, key, number};
use super::tables::Tables;
use super::{
    Counters, Cursor, DirEntry, FileEntry, Found, Index, IndexedFile, JobMatch, RootInfo, Subdir, SubtreeDir,
};
use crate::model::{RelPath, Timestamp};
use crate::store::database::guarded;
use crate::store::error::Fault;
use crate::store::{RootKey, StoreError};

/// Names from `start` (inclusive) to `end` (exclusive; `None`: no end).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRange {
    /// The least name in it.
    pub start: Box<[u8]>,
    /// The least name beyond it.
    pub end: Option<Box<[u8]>>,
}

impl NameRange {
    fn holds_below_end(&self, name: &[u8]) -> bool {
        self.end.as_ref().is_none_or(|end| name < &**end)
    }
}

/// The rows as they were at one moment. Keep it short-lived: pages that change
/// meanwhile are kept for it and the file grows.
pub struct Snapshot {
    index: Index,
    pub(super) tables: Tables,
    paths: RefCell<HashMap<(RootKey, u64), Option<RelPath>>>,
}

impl Snapshot {
    pub(super) fn begin(index: &Index) -> Result<Self, StoreError> {
        let transaction = index.holder.begin_read().map_err(|fault| index.failed("read", fault))?;
        let tables = Tables::of(transaction);
        Ok(Self { index: index.clone(), tables, paths: RefCell::default() })
    }

    pub(super) fn run<T>(&self, call: impl FnOnce() -> Result<T, Fault>) -> Result<T, StoreError> {
        guarded(call).map_err(|fault| {
            self.index.holder.give_up_after(&fault);
            self.index.failed("read", fault)
        })
    }

    /// What is known of the root as a whole; `None` if it has no rows.
    pub fn root(&self, root: RootKey) -> Result<Option<RootInfo>, StoreError> {
        self.run(|| rows::info(self.tables.meta()?, root))
    }

    /// Sums over the root; zero if it has no rows.
    pub fn counters(&self, root: RootKey) -> Result<Counters, StoreError> {
        Ok(self.root(root)?.map(|info| info.counters).unwrap_or_default())
    }

    /// A directory.
    pub fn dir(&self, root: RootKey, ino: u64) -> Result<Option<DirEntry>, StoreError> {
        self.run(|| rows::dir(self.tables.dirs()?, root, ino))
    }

    /// The path of a directory; `None` if it is unknown, a directory above it
    /// is, or the rows contradict themselves.
    pub fn path_of(&self, root: RootKey, dir: u64) -> Result<Option<RelPath>, StoreError> {
        if let Some(path) = self.paths.borrow().get(&(root, dir)) {
            return Ok(path.clone());
        }
        let path = self.run(|| {
            let (mut at, mut names, mut seen) = (dir, Vec::new(), HashSet::new());
            while seen.insert(at) {
                let Some(row) = rows::dir(self.tables.dirs()?, root, at)? else { return Ok(None) };
                if row.parent == 0 {
                    names.reverse();
                    return Ok(RelPath::from_bytes(names.join(&b'/')).ok());
                }
                names.push(row.name.into_vec());
                at = row.parent;
            }
            Ok(None)
        })?;
        let mut paths = self.paths.borrow_mut();
        if paths.len() > 4096 {
            paths.clear();
        }
        paths.insert((root, dir), path.clone());
        Ok(path)
    }

    /// The inode number of the directory at `path`.
    pub fn dir_ino(&self, root: RootKey, path: &RelPath) -> Result<Option<u64>, StoreError> {
        self.run(|| {
            let mut top = None;
            // The root itself is not named by any row above it: its key is found by its parent, 0.
            rows::scan(self.tables.subdirs()?, &key(root, &[&0_u64.to_be_bytes()]), &[], |_, value| {
                top = number(value, 0);
                Ok(false)
            })?;
            let Some(mut at) = top else { return Ok(None) };
            for name in path.components() {
                match rows::subdir(self.tables.subdirs()?, root, at, name)? {
                    Some(ino) => at = ino,
                    None => return Ok(None),
                }
            }
            Ok(Some(at))
        })
    }

    /// What lies at `path`.
    pub fn lookup(&self, root: RootKey, path: &RelPath) -> Result<Option<Found>, StoreError> {
        if let Some(ino) = self.dir_ino(root, path)? {
            return Ok(self.dir(root, ino)?.map(Found::Dir));
        }
        let Some(parent) = path.parent() else { return Ok(None) };
        let Some(dir) = self.dir_ino(root, &parent)? else { return Ok(None) };
        Ok(self.file(root, dir, path.name())?.map(|entry| Found::File(IndexedFile { dir, entry })))
    }

    /// All files of a directory, in order of name.
    pub fn files_in(&self, root: RootKey, dir: u64) -> Result<Vec<FileEntry>, StoreError> {
        self.run(|| rows::files_of(self.tables.chunks()?, root, dir))
    }

    /// Files whose own mark says that they expire at or before `until`, in order
    /// of expiry. Costs what is due.
    pub fn due(&self, root: RootKey, until: Timestamp) -> Result<Vec<IndexedFile>, StoreError> {
        self.run(|| {
            let mut found = Vec::new();
            let last = rows::sortable(until);
            rows::scan(self.tables.due()?, &key(root, &[]), &[], |row, _| {
                let (Some(at), Some(dir), Some(name)) = (row.get(2..10), number(row, 10), row.get(18..))
                else {
                    return Err(Fault::Damaged("a due row cannot be read".into()));
                };
                if at > last.as_slice() {
                    return Ok(false);
                }
                found.push((dir, Box::<[u8]>::from(name)));
                Ok(true)
            })?;
            let mut files = Vec::with_capacity(found.len());
            for (dir, name) in found {
                let entry = rows::file(self.tables.chunks()?, root, dir, &name)?;
                files.extend(entry.map(|entry| IndexedFile { dir, entry }));
            }
            Ok(files)
        })
    }

    /// One file of a directory.
    pub fn file(&self, root: RootKey, dir: u64, name: &[u8]) -> Result<Option<FileEntry>, StoreError> {
        self.run(|| rows::file(self.tables.chunks()?, root, dir, name))
    }

    /// The files and the subdirectories (name, inode number) of a directory, in order of name.
    pub fn list(&self, root: RootKey, dir: u64) -> Result<(Vec<FileEntry>, Vec<Subdir>), StoreError> {
        self.run(|| {
            Ok((
                rows::files_of(self.tables.chunks()?, root, dir)?,
                rows::subdirs_of(self.tables.subdirs()?, root, dir)?,
            ))
        })
    }

    /// Files in a stable order (directory inode, name), after `after`.
    pub fn files_page(
        &self,
        root: RootKey,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<IndexedFile>, StoreError> {
        self.run(|| {
            let mut page = Vec::new();
            let from = match after {
                Some(after) => {
                    let lower = rows::chunk_of(self.tables.chunks()?, root, after.dir, &after.name)?;
                    key(root, &[&after.dir.to_be_bytes(), &lower.map_or(Vec::new(), |(lower, _)| lower)])
                }
                None => Vec::new(),
            };
            rows::scan(self.tables.chunks()?, &key(root, &[]), &from, |key, value| {
                let dir = number(key, 2).unwrap_or(0);
                for entry in rows::unseal(key, value)? {
                    let past = after.is_none_or(|after| (dir, &*entry.name) > (after.dir, &*after.name));
                    if past && page.len() < limit {
                        page.push(IndexedFile { dir, entry });
                    }
                }
                Ok(page.len() < limit)
            })?;
            Ok(page)
        })
    }

    /// Everything directly named for `job`: in the directories where some name's
    /// shortest reading is a prefix of `job`, the names in `ranges` (all, if
    /// empty) that `matches` accepts. Costs what those directories hold in the ranges.
    pub fn job_files(
        &self,
        root: RootKey,
        job: &[u8],
        ranges: &[NameRange],
        matches: &dyn Fn(&[u8]) -> bool,
        visit: &mut dyn FnMut(JobMatch) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let all = [NameRange { start: Box::default(), end: None }];
        let ranges = if ranges.is_empty() { &all[..] } else { ranges };
        self.run(|| {
            let dirs = self.places_of(root, job)?;
            let mut given = HashSet::new();
            for dir in dirs {
                given.clear();
                for range in ranges {
                    for found in self.names_in(root, dir, range)? {
                        let name = match &found {
                            JobMatch::File(file) => &file.entry.name,
                            JobMatch::Dir(dir) => &dir.name,
                        };
                        if matches(name) && given.insert(name.clone()) && visit(found).is_break() {
                            return Ok(());
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// The directories where some name's shortest reading is a prefix of `job`.
    fn places_of(&self, root: RootKey, job: &[u8]) -> Result<BTreeSet<u64>, Fault> {
        let place = |end: usize| key(root, &[&job[..end], &[0]]);
        let (mut dirs, mut end) = (BTreeSet::new(), 1);
        while end <= job.len() {
            let (here, mut next) = (place(end), None);
            rows::scan(self.tables.places()?, &key(root, &[]), &here, |row, _| {
                if row.starts_with(&here) {
                    dirs.extend(number(row, here.len()));
                    return Ok(true);
                }
                next = Some(row.to_vec());
                Ok(false)
            })?;
            let Some(next) = next else { break };
            end += 1;
            // The longer the prefix, the later it sorts: those before `next` have no rows.
            while end <= job.len() && place(end) < next && !next.starts_with(&place(end)) {
                end += 1;
            }
        }
        Ok(dirs)
    }

    fn names_in(&self, root: RootKey, dir: u64, range: &NameRange) -> Result<Vec<JobMatch>, Fault> {
        let mut found = Vec::new();
        let prefix = key(root, &[&dir.to_be_bytes()]);
        let lower =
            rows::chunk_of(self.tables.chunks()?, root, dir, &range.start)?.map_or(Vec::new(), |(l, _)| l);
        rows::scan(
            self.tables.chunks()?,
            &prefix,
            &key(root, &[&dir.to_be_bytes(), &lower]),
            |key, value| {
                if !range.holds_below_end(&key[10..]) {
                    return Ok(false);
                }
                for entry in rows::unseal(key, value)? {
                    if *entry.name >= *range.start && range.holds_below_end(&entry.name) {
                        found.push(JobMatch::File(IndexedFile { dir, entry }));
                    }
                }
                Ok(true)
            },
        )?;
        let from = key(root, &[&dir.to_be_bytes(), &range.start]);
        let mut inos = Vec::new();
        rows::scan(self.tables.subdirs()?, &prefix, &from, |key, value| {
            let inside = range.holds_below_end(&key[10..]);
            inos.extend(number(value, 0).filter(|_| inside));
            Ok(inside)
        })?;
        for ino in inos {
            found.extend(rows::dir(self.tables.dirs()?, root, ino)?.map(JobMatch::Dir));
        }
        Ok(found)
    }

    /// The distinct shortest readings of names in the root, in order, after `after`.
    pub fn job_keys(
        &self,
        root: RootKey,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Box<[u8]>>, StoreError> {
        self.run(|| {
            let mut keys: Vec<Box<[u8]>> = Vec::new();
            // Readings end with a zero byte, so everything of one lies before it followed by 1.
            let mut from = after.map_or(Vec::new(), |after| key(root, &[after, &[1]]));
            while keys.len() < limit {
                let mut next: Option<Box<[u8]>> = None;
                rows::scan(self.tables.places()?, &key(root, &[]), &from, |row, _| {
                    next = row[2..].split(|b| *b == 0).next().map(Into::into);
                    Ok(false)
                })?;
                let Some(found) = next else { break };
                from = key(root, &[&found, &[1]]);
                keys.push(found);
            }
            Ok(keys)
        })
    }

    /// All names of an inode that are known as links of one file (more than one link).
    pub fn links_of(&self, root: RootKey, ino: u64) -> Result<Vec<IndexedFile>, StoreError> {
        self.run(|| {
            let mut places = Vec::new();
            rows::scan(self.tables.links()?, &key(root, &[&ino.to_be_bytes()]), &[], |key, _| {
                places.extend(number(key, 10).zip(key.get(18..).map(<[u8]>::to_vec)));
                Ok(true)
            })?;
            let mut links = Vec::new();
            for (dir, name) in places {
                links.extend(
                    rows::file(self.tables.chunks()?, root, dir, &name)?
                        .map(|entry| IndexedFile { dir, entry }),
                );
            }
            Ok(links)
        })
    }

    /// Visits a directory and all beneath it, each above those it contains.
    pub fn subtree(
        &self,
        root: RootKey,
        dir: u64,
        visit: &mut dyn FnMut(SubtreeDir) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(path) = self.path_of(root, dir)? else { return Ok(()) };
        self.run(|| {
            let (mut open, mut seen) = (vec![(dir, path)], HashSet::from([dir]));
            while let Some((ino, path)) = open.pop() {
                let Some(row) = rows::dir(self.tables.dirs()?, root, ino)? else { continue };
                for (name, child) in rows::subdirs_of(self.tables.subdirs()?, root, ino)?.into_iter().rev() {
                    if seen.insert(child) {
                        open.push((child, path.join(&name)));
                    }
                }
                let files = rows::files_of(self.tables.chunks()?, root, ino)?;
                if visit(SubtreeDir { dir: row, path, files }).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}
