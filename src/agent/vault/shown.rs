//! Queue and trash as they are listed.

use std::path::PathBuf;

use crate::agent::problems;
use crate::api::{ApiError, DeletionResource, DeletionStats, Listing, Page, TrashResource};
use crate::model::{EntryId, Kept, QueueEntry, RelPath, TrashEntry, WirePath};

use super::Keeper;

impl Keeper<'_> {
    /// The absolute path at which it lay, also of a root that is not ready.
    fn path_of(&self, kept: &Kept) -> WirePath {
        let root: Option<PathBuf> = match self.target(kept) {
            Some(target) => Some(target.root.path().to_owned()),
            None => self.ledger.root(&kept.root).ok().flatten().and_then(|record| {
                let bytes = record.path.to_bytes().ok()?;
                Some(PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes)))
            }),
        };
        let path: Option<RelPath> = kept.rel().ok();
        match (root, path) {
            (Some(root), Some(path)) => WirePath::from_path(&path.under(&root)),
            _ => kept.path.clone(),
        }
    }

    /// One deferred deletion as it is shown.
    pub fn shown_deletion(&self, entry: &QueueEntry) -> DeletionResource {
        DeletionResource::of(entry, self.path_of(&entry.kept))
    }

    fn shown_trash(&self, entry: &TrashEntry) -> TrashResource {
        let expires =
            self.target(&entry.kept).map(|root| entry.deleted_at.plus(root.root.rules.retain.trash));
        TrashResource::of(entry, self.path_of(&entry.kept), expires)
    }

    /// A page of the queue.
    pub fn deletions(&self, page: &Page) -> Result<Listing<DeletionResource>, ApiError> {
        let after = page.after.as_deref().map(EntryId::new);
        let found = self.ledger.queue_page(after.as_ref(), page.limit.saturating_add(1));
        let found = found.map_err(|error| problems::store(&error))?;
        let more = found.len() > page.limit;
        let items: Vec<_> = found.iter().take(page.limit).map(|entry| self.shown_deletion(entry)).collect();
        let next = items.last().filter(|_| more).map(|last| last.id.as_str().to_owned());
        Ok(Listing { items, next })
    }

    /// A page of the trash.
    pub fn trash(&self, page: &Page) -> Result<Listing<TrashResource>, ApiError> {
        let after = page.after.as_deref().map(EntryId::new);
        let found = self.ledger.trash_page(after.as_ref(), page.limit.saturating_add(1));
        let found = found.map_err(|error| problems::store(&error))?;
        let more = found.len() > page.limit;
        let items: Vec<_> = found.iter().take(page.limit).map(|entry| self.shown_trash(entry)).collect();
        let next = items.last().filter(|_| more).map(|last| last.id.as_str().to_owned());
        Ok(Listing { items, next })
    }

    /// What waits.
    pub fn stats(&self) -> Result<DeletionStats, ApiError> {
        let stats = self.ledger.queue_stats(None).map_err(|error| problems::store(&error))?;
        Ok(stats.into())
    }
}
