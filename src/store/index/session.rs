//! One write transaction on the rows of one root: takes changes as they come.
//!
//! Promises: every table stays in step with the packed files and directories;
//! a change that fits nowhere is named, not guessed at; without
//! [`Session::finish`] nothing counts. Must not know: where changes come from.

mod counts;
mod dirs;
mod files;

use std::collections::{BTreeMap, HashMap, HashSet};

use redb::{ReadableTable, Table, WriteTransaction};

use super::grown::Tally;
use super::rows::{self, key};
use super::{Applied, Change, Counters, DirEntry, FileEntry, Readings, RootInfo, RootState, codec};
use crate::model::Timestamp;
use crate::store::RootKey;
use crate::store::error::Fault;
use crate::sys::clock;

pub(super) use counts::due_row;
pub(super) use files::age_row;

type Rows<'t> = Table<'t, &'static [u8], &'static [u8]>;
/// What becomes of names of one directory: a file, or gone.
type Edits = BTreeMap<Box<[u8]>, Option<FileEntry>>;

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

    fn edit(&mut self, dir: u64, name: &[u8], entry: Option<FileEntry>) {
        self.pending.entry(dir).or_default().insert(name.into(), entry);
    }

    fn flush_edits(&mut self) -> Result<(), Fault> {
        for (dir, edits) in std::mem::take(&mut self.pending) {
            self.edit_files(dir, edits)?;
        }
        Ok(())
    }
}
