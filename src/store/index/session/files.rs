//! The files of a directory, packed by name into chunks.
//!
//! Promises: chunks stay sorted, neither too large to write nor many too
//! small; each is found by its oldest file. Must not know: what changes mean.

use std::collections::BTreeMap;

use redb::ReadableTable;

use super::{Edits, Session};
use crate::model::Timestamp;
use crate::store::RootKey;
use crate::store::error::Fault;
use crate::store::index::rows::{self, key, sortable};
use crate::store::index::{FileEntry, codec};

/// A chunk smaller than this takes in its neighbour if both fit.
const SMALL: usize = 1200;

impl Session<'_> {
    /// Makes the files of a directory exactly these; gives the number of differences.
    pub(in crate::store::index) fn replace_files(
        &mut self,
        dir: u64,
        files: &[FileEntry],
    ) -> Result<u64, Fault> {
        let mut edits: Edits =
            rows::files_of(&self.chunks, self.root, dir)?.into_iter().map(|e| (e.name, None)).collect();
        for entry in files.iter().filter(|entry| codec::is_name(&entry.name)) {
            edits.insert(entry.name.clone(), Some(entry.clone()));
        }
        self.edit_files(dir, edits)
    }

    pub(in crate::store::index) fn edit_files(&mut self, dir: u64, mut edits: Edits) -> Result<u64, Fault> {
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
}

/// The key under which a chunk is found by its oldest file.
pub(in crate::store::index) fn age_row(
    root: RootKey,
    dir: u64,
    lower: &[u8],
    files: &[FileEntry],
) -> Vec<u8> {
    let oldest = files.iter().map(|e| e.age_time).min().unwrap_or(Timestamp::EPOCH);
    key(root, &[&sortable(oldest), &dir.to_be_bytes(), lower])
}
