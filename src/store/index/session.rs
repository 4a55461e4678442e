//! One write transaction on the rows of one root: keeps every table in step
//! with the packed files and directories.

use std::collections::{BTreeMap, HashMap, HashSet};

use redb::{ReadableTable, Table, WriteTransaction};

use super::grown::Tally;
use super::rows::{self, key, sortable};
use super::{Applied, Change, Counters, DirEntry, FileEntry, Readings, RootInfo, RootState, codec};
use crate::model::Timestamp;
use crate::store::RootKey;
use crate::store::error::Fault;
use crate::sys::clock;

type Rows<'t> = Table<'t, &'static [u8], &'static [u8]>;
/// What becomes of names of one directory: a file, or gone.
type Edits = BTreeMap<Box<[u8]>, Option<FileEntry>>;

/// A chunk smaller than this takes in its neighbour if both fit.
const SMALL: usize = 1200;

pub(super) struct Session<'t> {
    pub(super) root: RootKey,
    pub(super) dirs: Rows<'t>,
    pub(super) subdirs: Rows<'t>,
    pub(super) chunks: Rows<'t>,
    pub(super) ages: Rows<'t>,
    places: Rows<'t>,
    links: Rows<'t>,
    pub(super) due: Rows<'t>,
    meta: Rows<'t>,
    pub(super) info: RootInfo,
    readings: Readings,
    place_changes: BTreeMap<(Box<[u8]>, u64), i64>,
    pending: HashMap<u64, Edits>,
    tally: Tally,
}

impl<'t> Session<'t> {
    pub(super) fn begin(
        transaction: &'t WriteTransaction,
        root: RootKey,
        readings: Readings,
    ) -> Result<Self, Fault> {
        let meta = transaction.open_table(rows::META)?;
        let info = rows::info(&meta, root)?.unwrap_or(RootInfo {
            fingerprint: 0,
            state: RootState::Absent,
            counters: Counters::default(),
            scanned_at: None,
            generation: 0,
            marks_read: false,
        });
        Ok(Self {
            root,
            dirs: transaction.open_table(rows::DIRS)?,
            subdirs: transaction.open_table(rows::SUBDIRS)?,
            chunks: transaction.open_table(rows::CHUNKS)?,
            ages: transaction.open_table(rows::AGES)?,
            places: transaction.open_table(rows::PLACES)?,
            links: transaction.open_table(rows::LINKS)?,
            due: transaction.open_table(rows::DUE)?,
            meta,
            info,
            readings,
            place_changes: BTreeMap::new(),
            pending: HashMap::new(),
            tally: Tally::new(clock::now()),
        })
    }

    /// Writes what was gathered; without it the transaction must not commit.
    pub(super) fn finish(mut self) -> Result<RootInfo, Fault> {
        self.flush_edits()?;
        for ((reading, dir), change) in std::mem::take(&mut self.place_changes) {
            if change == 0 {
                continue;
            }
            let row = key(self.root, &[&reading, &[0], &dir.to_be_bytes()]);
            let old = self.places.get(row.as_slice())?.and_then(|v| v.value().first_chunk().copied());
            let new = i64::from(old.map_or(0, u32::from_be_bytes)) + change;
            match u32::try_from(new) {
                Ok(0) | Err(_) => drop(self.places.remove(row.as_slice())?),
                Ok(new) => drop(self.places.insert(row.as_slice(), new.to_be_bytes().as_slice())?),
            }
        }
        self.info.generation += 1;
        let text = serde_json::to_vec(&self.info).map_err(|e| Fault::Damaged(e.to_string()))?;
        self.meta.insert(key(self.root, &[]).as_slice(), text.as_slice())?;
        Ok(self.info)
    }

    /// Removes every row of the root.
    pub(super) fn clear(&mut self) -> Result<(), Fault> {
        let low = key(self.root, &[]);
        let high = self.root.0.checked_add(1).map(|next| next.to_be_bytes());
        for table in [
            &mut self.dirs,
            &mut self.subdirs,
            &mut self.chunks,
            &mut self.ages,
            &mut self.places,
            &mut self.links,
            &mut self.due,
            &mut self.meta,
        ] {
            match &high {
                Some(high) => table.retain_in::<&[u8], _>(low.as_slice()..high.as_slice(), |_, _| false)?,
                None => table.retain_in::<&[u8], _>(low.as_slice().., |_, _| false)?,
            }
        }
        self.info.counters = Counters::default();
        self.info.marks_read = false;
        Ok(())
    }

    /// Removes the root's own row too; ends the session.
    pub(super) fn forget(mut self) -> Result<(), Fault> {
        self.clear()
    }

    pub(super) fn apply(&mut self, changes: &[Change]) -> Result<Applied, Fault> {
        let mut applied = Applied::default();
        let mut known = HashSet::new();
        for (at, change) in changes.iter().enumerate() {
            if let Change::PutFile { dir, .. } | Change::RemoveName { dir, .. } = change {
                if !known.contains(dir) && rows::dir(&self.dirs, self.root, *dir)?.is_none() {
                    applied.unresolved.push(at);
                    continue;
                }
                known.insert(*dir);
            } else {
                known.clear();
            }
            if !self.apply_one(change, &mut applied, &mut known)? {
                applied.unresolved.push(at);
            }
        }
        self.flush_edits()?;
        applied.grown = std::mem::take(&mut self.tally.grown);
        Ok(applied)
    }

    fn apply_one(
        &mut self,
        change: &Change,
        applied: &mut Applied,
        known: &mut HashSet<u64>,
    ) -> Result<bool, Fault> {
        match change {
            Change::PutFile { dir, entry } => {
                if !codec::is_name(&entry.name) {
                    return Ok(false);
                }
                if let Some(ino) = rows::subdir(&self.subdirs, self.root, *dir, &entry.name)? {
                    self.remove_tree(ino)?;
                    known.clear();
                }
                self.edit(*dir, &entry.name, Some(entry.clone()));
                Ok(true)
            }
            Change::RemoveName { dir, name } => {
                if let Some(ino) = rows::subdir(&self.subdirs, self.root, *dir, name)? {
                    self.remove_tree(ino)?;
                    known.clear();
                }
                self.edit(*dir, name, None);
                Ok(true)
            }
            Change::PutDir { parent, name, ino, mtime } => {
                if !self.place_dir(*ino, *parent, name, *mtime)? {
                    return Ok(false);
                }
                Ok(true)
            }
            Change::MoveDir { ino, new_parent, new_name } => match rows::dir(&self.dirs, self.root, *ino)? {
                Some(dir) if dir.parent != 0 => self.place_dir(*ino, *new_parent, new_name, dir.mtime),
                _ => Ok(false),
            },
            Change::ReplaceListing { dir, mtime, files, subdirs } => {
                let Some(row) = rows::dir(&self.dirs, self.root, *dir)? else { return Ok(false) };
                applied.drift += self.replace_listing(row, *mtime, files, subdirs)?;
                Ok(true)
            }
            Change::RemoveDirTree { ino } => {
                self.remove_tree(*ino)?;
                Ok(true)
            }
        }
    }

    fn replace_listing(
        &mut self,
        mut row: DirEntry,
        mtime: Timestamp,
        files: &[FileEntry],
        subdirs: &[(Box<[u8]>, u64)],
    ) -> Result<u64, Fault> {
        self.flush_edits()?;
        let mut drift = 0;
        let wanted: HashSet<&[u8]> = subdirs.iter().map(|(name, _)| &**name).collect();
        let before = rows::subdirs_of(&self.subdirs, self.root, row.ino)?;
        for (name, ino) in &before {
            if !wanted.contains(&**name) {
                self.remove_tree(*ino)?;
                drift += 1;
            }
        }
        for (name, ino) in subdirs {
            if rows::subdir(&self.subdirs, self.root, row.ino, name)? != Some(*ino) {
                drift += 1;
                self.place_dir(*ino, row.ino, name, Timestamp::EPOCH)?;
            }
        }
        self.flush_edits()?;
        drift += self.replace_files(row.ino, files)?;
        row.mtime = mtime;
        row.listed = true;
        self.put_dir_row(&row)?;
        Ok(drift)
    }

    /// Makes the files of a directory exactly these; gives the number of differences.
    pub(super) fn replace_files(&mut self, dir: u64, files: &[FileEntry]) -> Result<u64, Fault> {
        let mut edits: Edits =
            rows::files_of(&self.chunks, self.root, dir)?.into_iter().map(|e| (e.name, None)).collect();
        for entry in files.iter().filter(|entry| codec::is_name(&entry.name)) {
            edits.insert(entry.name.clone(), Some(entry.clone()));
        }
        self.edit_files(dir, edits)
    }

    pub(super) fn put_dir_row(&mut self, dir: &DirEntry) -> Result<(), Fault> {
        let row = key(self.root, &[&dir.ino.to_be_bytes()]);
        self.dirs.insert(row.as_slice(), rows::dir_value(dir).as_slice())?;
        Ok(())
    }

    /// Makes `ino` a directory named `name` in `parent`, wherever it was before.
    /// `false`: the parent is unknown, or lies beneath `ino`.
    pub(super) fn place_dir(
        &mut self,
        ino: u64,
        parent: u64,
        name: &[u8],
        mtime: Timestamp,
    ) -> Result<bool, Fault> {
        let known = rows::dir(&self.dirs, self.root, ino)?;
        if parent != 0 && (!codec::is_name(name) || !self.may_hold(parent, ino)?) {
            return Ok(false);
        }
        if let Some(known) = &known {
            if known.parent == parent && *known.name == *name {
                if mtime != known.mtime && !known.listed {
                    self.put_dir_row(&DirEntry { mtime, ..known.clone() })?;
                }
                return Ok(true);
            }
            if parent == 0 || known.parent == 0 {
                return Ok(false);
            }
            self.unlink_dir(known)?;
        } else {
            self.info.counters.dirs += 1;
        }
        if parent != 0 {
            if let Some(other) = rows::subdir(&self.subdirs, self.root, parent, name)? {
                self.remove_tree(other)?;
            }
            self.edit(parent, name, None);
        }
        self.link_dir(parent, name, ino)?;
        let (mtime, listed) = known.map_or((mtime, false), |known| (known.mtime, known.listed));
        self.put_dir_row(&DirEntry { ino, parent, name: name.into(), mtime, listed })?;
        Ok(true)
    }

    pub(super) fn link_dir(&mut self, parent: u64, name: &[u8], ino: u64) -> Result<(), Fault> {
        let row = key(self.root, &[&parent.to_be_bytes(), name]);
        self.subdirs.insert(row.as_slice(), ino.to_be_bytes().as_slice())?;
        self.count_name(parent, name, 1);
        Ok(())
    }

    fn unlink_dir(&mut self, dir: &DirEntry) -> Result<(), Fault> {
        let row = key(self.root, &[&dir.parent.to_be_bytes(), &dir.name]);
        self.subdirs.remove(row.as_slice())?;
        self.count_name(dir.parent, &dir.name, -1);
        Ok(())
    }

    /// Whether `parent` is known and does not lie beneath `ino`.
    fn may_hold(&self, parent: u64, ino: u64) -> Result<bool, Fault> {
        let mut seen = HashSet::new();
        let mut at = parent;
        while at != ino && seen.insert(at) {
            match rows::dir(&self.dirs, self.root, at)? {
                Some(dir) if dir.parent == 0 => return Ok(true),
                Some(dir) => at = dir.parent,
                // Above a directory that the scan has not handed in yet; only the parent itself must be known.
                None => return Ok(at != parent),
            }
        }
        Ok(false)
    }

    fn remove_tree(&mut self, ino: u64) -> Result<(), Fault> {
        self.flush_edits()?;
        let Some(top) = rows::dir(&self.dirs, self.root, ino)? else { return Ok(()) };
        self.unlink_dir(&top)?;
        let (mut open, mut seen) = (vec![ino], HashSet::from([ino]));
        while let Some(ino) = open.pop() {
            for (name, child) in rows::subdirs_of(&self.subdirs, self.root, ino)? {
                self.subdirs.remove(key(self.root, &[&ino.to_be_bytes(), &name]).as_slice())?;
                self.count_name(ino, &name, -1);
                if seen.insert(child) {
                    open.push(child);
                }
            }
            let gone =
                rows::files_of(&self.chunks, self.root, ino)?.into_iter().map(|e| (e.name, None)).collect();
            self.edit_files(ino, gone)?;
            if self.dirs.remove(key(self.root, &[&ino.to_be_bytes()]).as_slice())?.is_some() {
                self.info.counters.dirs = self.info.counters.dirs.saturating_sub(1);
            }
        }
        Ok(())
    }

    fn edit(&mut self, dir: u64, name: &[u8], entry: Option<FileEntry>) {
        self.pending.entry(dir).or_default().insert(name.into(), entry);
    }

    fn flush_edits(&mut self) -> Result<(), Fault> {
        for (dir, edits) in std::mem::take(&mut self.pending) {
            self.edit_files(dir, edits)?;
        }
        Ok(())
    }

    fn edit_files(&mut self, dir: u64, mut edits: Edits) -> Result<u64, Fault> {
        let mut changed = 0;
        while let Some(first) = edits.keys().next().cloned() {
            let (lower, old) =
                rows::chunk_of(&self.chunks, self.root, dir, &first)?.unwrap_or((Vec::new(), Vec::new()));
            let next = self.next_chunk(dir, &lower)?;
            let rest = match &next {
                Some((next_lower, _)) => edits.split_off(next_lower.as_slice()),
                None => Edits::new(),
            };
            let mut files: BTreeMap<Box<[u8]>, FileEntry> =
                old.iter().map(|e| (e.name.clone(), e.clone())).collect();
            let mut touched = 0;
            for (name, new) in std::mem::replace(&mut edits, rest) {
                let before = match &new {
                    Some(entry) => files.insert(name.clone(), entry.clone()),
                    None => files.remove(&name),
                };
                if before == new {
                    continue;
                }
                touched += 1;
                self.account(dir, &name, before.as_ref(), new.as_ref())?;
            }
            if touched > 0 {
                changed += touched;
                self.rewrite(dir, &lower, &old, files.into_values().collect(), next)?;
            }
        }
        Ok(changed)
    }

    fn next_chunk(&self, dir: u64, lower: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Fault> {
        let prefix = key(self.root, &[&dir.to_be_bytes()]);
        let mut next = None;
        // The least key after one is that key with a zero byte behind it.
        rows::scan(
            &self.chunks,
            &prefix,
            &key(self.root, &[&dir.to_be_bytes(), lower, &[0]]),
            |key, value| {
                next = Some((key[10..].to_vec(), value.len()));
                Ok(false)
            },
        )?;
        Ok(next)
    }

    fn rewrite(
        &mut self,
        dir: u64,
        lower: &[u8],
        old: &[FileEntry],
        mut files: Vec<FileEntry>,
        next: Option<(Vec<u8>, usize)>,
    ) -> Result<(), Fault> {
        self.drop_chunk(dir, lower, old)?;
        let mut pieces = codec::split(&files, codec::MAX_CHUNK);
        let size: usize = pieces.iter().map(|(_, _, body)| body.len()).sum();
        if let Some((next_lower, next_size)) = next
            && (files.is_empty() || (size < SMALL && size + next_size < codec::MAX_CHUNK))
        {
            let row = key(self.root, &[&dir.to_be_bytes(), &next_lower]);
            let neighbour = match self.chunks.get(row.as_slice())? {
                Some(value) => rows::unseal(&row, value.value())?,
                None => Vec::new(),
            };
            self.drop_chunk(dir, &next_lower, &neighbour)?;
            files.extend(neighbour);
            pieces = codec::split(&files, codec::MAX_CHUNK);
        } else if pieces.len() > 1 {
            // Even pieces leave room in each for the next insertions.
            pieces = codec::split(&files, (size / pieces.len() + 200).min(codec::MAX_CHUNK));
        }
        for (n, (start, end, body)) in pieces.iter().enumerate() {
            let lower = if n == 0 { lower } else { &files[*start].name };
            let row = key(self.root, &[&dir.to_be_bytes(), lower]);
            self.chunks.insert(row.as_slice(), codec::seal(&row, body).as_slice())?;
            self.ages.insert(self.age_row(dir, lower, &files[*start..*end]).as_slice(), [].as_slice())?;
        }
        Ok(())
    }

    fn drop_chunk(&mut self, dir: u64, lower: &[u8], files: &[FileEntry]) -> Result<(), Fault> {
        if !files.is_empty() {
            self.chunks.remove(key(self.root, &[&dir.to_be_bytes(), lower]).as_slice())?;
            self.ages.remove(self.age_row(dir, lower, files).as_slice())?;
        }
        Ok(())
    }

    fn age_row(&self, dir: u64, lower: &[u8], files: &[FileEntry]) -> Vec<u8> {
        age_row(self.root, dir, lower, files)
    }

    fn account(
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
    pub(super) fn count_file(&mut self, dir: u64, entry: &FileEntry, step: i64) -> Result<(), Fault> {
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
    pub(super) fn count_names(&mut self, dir: u64, names: Vec<(Box<[u8]>, i64)>) {
        for (reading, step) in names.into_iter().filter(|(r, _)| !r.is_empty() && !r.contains(&0)) {
            *self.place_changes.entry((reading, dir)).or_default() += step;
        }
    }

    /// Counts a name of a directory in or out of the places of the jobs it may name.
    pub(super) fn count_name(&mut self, dir: u64, name: &[u8], step: i64) {
        let mut readings = Vec::new();
        if dir != 0 {
            (self.readings)(name, &mut readings);
        }
        for reading in readings.into_iter().filter(|r| !r.is_empty() && !r.contains(&0)) {
            *self.place_changes.entry((reading, dir)).or_default() += step;
        }
    }
}

/// The key under which a chunk is found by its oldest file.
pub(super) fn age_row(root: RootKey, dir: u64, lower: &[u8], files: &[FileEntry]) -> Vec<u8> {
    let oldest = files.iter().map(|e| e.age_time).min().unwrap_or(Timestamp::EPOCH);
    key(root, &[&sortable(oldest), &dir.to_be_bytes(), lower])
}

/// The key under which a file is found by its expiry.
pub(super) fn due_row(root: RootKey, at: Timestamp, dir: u64, name: &[u8]) -> Vec<u8> {
    key(root, &[&sortable(at), &dir.to_be_bytes(), name])
}
