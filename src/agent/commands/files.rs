//! What the index holds, page by page.

use std::collections::HashMap;

use crate::agent::problems;
use crate::agent::state::ReadyRoot;
use crate::api::{ApiError, FileEntry, Listing, Page};
use crate::model::{RelPath, RootName, WirePath};
use crate::policy::PathReadings;
use crate::store::RootKey;
use crate::store::index::{Cursor, IndexedFile, Snapshot};

use super::Served;

/// Where a page goes on: in which root, and behind which of its files.
fn place(after: &str) -> Result<(RootName, Option<Cursor>), ApiError> {
    let bad = || {
        ApiError::invalid(format!("{after:?} is not a place in this list: pass `next` of the page before"))
    };
    let (root, cursor) = after.split_once(':').ok_or_else(bad)?;
    let root = RootName::parse(root).map_err(|_| bad())?;
    let cursor = if cursor.is_empty() { None } else { Some(cursor.parse().map_err(|_| bad())?) };
    Ok((root, cursor))
}

impl Served {
    pub(super) fn list_files(
        &self,
        only: Option<&RootName>,
        page: &Page,
    ) -> Result<Listing<FileEntry>, ApiError> {
        if let Some(name) = only {
            let slot = self.named(name)?;
            if slot.ready().is_none() {
                return Err(ApiError::conflict(format!("root {name} is suspended")));
            }
        }
        let mut roots: Vec<(RootName, std::sync::Arc<ReadyRoot>, RootKey)> = self
            .agent
            .slots()
            .iter()
            .filter(|slot| only.is_none_or(|name| slot.name() == name))
            .filter_map(|slot| {
                let root = slot.ready()?;
                let key = root.key?;
                Some((slot.name().clone(), root, key))
            })
            .collect();
        let mut cursor = None;
        match &page.after {
            None => self.agent.settle(roots.iter().map(|(_, _, key)| *key)),
            Some(after) => {
                let (root, inside) = place(after)?;
                let at = roots.iter().position(|(name, ..)| *name == root).ok_or_else(|| {
                    ApiError::invalid(format!(
                        "root {root} is not listed any more: begin again without after"
                    ))
                })?;
                roots.drain(..at);
                cursor = inside;
            }
        }
        let Some(index) = &self.agent.engine.index else { return Ok(Listing::all(Vec::new())) };
        let snapshot = index.snapshot().map_err(|error| problems::store(&error))?;
        let mut listing = Listing::all(Vec::new());
        for (name, root, key) in &roots {
            let room = page.limit.saturating_sub(listing.items.len());
            if room == 0 {
                listing.next = Some(format!("{name}:"));
                break;
            }
            let found = snapshot
                .files_page(*key, cursor.take().as_ref(), room)
                .map_err(|error| problems::store(&error))?;
            let last = found.last().map(|file| Cursor { dir: file.dir, name: file.entry.name.clone() });
            let full = found.len() == room;
            listing.items.extend(entries(&snapshot, root, *key, found)?);
            if let Some(last) = last.filter(|_| full) {
                listing.next = Some(format!("{name}:{last}"));
                break;
            }
        }
        Ok(listing)
    }
}

fn entries(
    snapshot: &Snapshot,
    root: &ReadyRoot,
    key: RootKey,
    found: Vec<IndexedFile>,
) -> Result<Vec<FileEntry>, ApiError> {
    let mut paths: HashMap<u64, Option<RelPath>> = HashMap::new();
    let mut shown = Vec::with_capacity(found.len());
    for file in found {
        let dir = match paths.get(&file.dir) {
            Some(dir) => dir.clone(),
            None => {
                let dir = snapshot.path_of(key, file.dir).map_err(|error| problems::store(&error))?;
                paths.insert(file.dir, dir.clone());
                dir
            }
        };
        // A directory that the index has lost meanwhile: its files go with it.
        let Some(dir) = dir else { continue };
        let path = dir.join(&file.entry.name);
        let mut jobs: Vec<_> =
            PathReadings::of(&root.guarded.rules.patterns, &path).jobs().cloned().collect();
        jobs.dedup();
        shown.push(FileEntry {
            path: WirePath::from_path(&path.under(root.guarded.path())),
            inode: file.entry.ino,
            size_bytes: file.entry.size,
            allocated_bytes: file.entry.allocated,
            mtime: file.entry.mtime,
            jobs,
            root: Some(root.guarded.name.clone()),
        });
    }
    Ok(shown)
}
