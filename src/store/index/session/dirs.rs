//! Directories and their places: one row each, and one for its name in the
//! directory above, so that a rename moves one row.
//!
//! Promises: no directory lies in two places or beneath itself; what a name
//! stood for before goes with all that was beneath it.

use std::collections::HashSet;

use super::Session;
use crate::model::Timestamp;
use crate::store::error::Fault;
use crate::store::index::rows::{self, key};
use crate::store::index::{DirEntry, codec};

impl Session<'_> {
    pub(in crate::store::index) fn put_dir_row(&mut self, dir: &DirEntry) -> Result<(), Fault> {
        let row = key(self.root, &[&dir.ino.to_be_bytes()]);
        self.dirs.insert(row.as_slice(), rows::dir_value(dir).as_slice())?;
        Ok(())
    }

    /// Makes `ino` a directory named `name` in `parent`, wherever it was before.
    /// `false`: the parent is unknown, or lies beneath `ino`.
    pub(in crate::store::index) fn place_dir(
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

    pub(in crate::store::index) fn link_dir(
        &mut self,
        parent: u64,
        name: &[u8],
        ino: u64,
    ) -> Result<(), Fault> {
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

    pub(in crate::store::index) fn remove_tree(&mut self, ino: u64) -> Result<(), Fault> {
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
}
