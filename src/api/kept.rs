//! What is asked about deferred deletions and trash.

use super::wire::{
    DeletionRequest, DeletionResource, DeletionStats, Given, Listing, Page, RestoreRequest, Returned,
    TrashRequest, TrashResource,
};
use super::{ApiError, PeerIdentity};
use crate::model::EntryId;

/// Queue and trash as the routes see them, and as a command without an agent
/// does. Running the queue and emptying the trash are sweeps.
///
/// Whoever asks may give up and have back what is his: the methods check that.
pub trait KeptCommands {
    /// Records deletions, all of them durable in one piece, and begins to move
    /// the files away. 409 when no path can be taken.
    fn delete(&self, request: DeletionRequest, by: &PeerIdentity) -> Result<Given, ApiError>;

    /// The queue, oldest first.
    fn deletions(&self, page: &Page) -> Result<Listing<DeletionResource>, ApiError>;

    /// What waits, without looking at each.
    fn deletion_stats(&self) -> Result<DeletionStats, ApiError>;

    /// Makes an entry due now, with its tries forgotten.
    fn deletion_retry(&self, id: &EntryId, by: &PeerIdentity) -> Result<DeletionResource, ApiError>;

    /// Puts an entry's file back, or into the trash where its name is taken.
    fn deletion_drop(&self, id: &EntryId, by: &PeerIdentity) -> Result<Returned, ApiError>;

    /// The same for all of them.
    fn deletions_clear(&self, by: &PeerIdentity) -> Result<Listing<Returned>, ApiError>;

    /// Records soft deletions and moves the files into the trash.
    fn trash_put(&self, request: TrashRequest, by: &PeerIdentity) -> Result<Given, ApiError>;

    /// The trash, in the order of deletion.
    fn trash(&self, page: &Page) -> Result<Listing<TrashResource>, ApiError>;

    /// Puts a file back to where it lay, or to another place in its root; never
    /// over anything.
    fn trash_restore(
        &self,
        id: &EntryId,
        request: RestoreRequest,
        by: &PeerIdentity,
    ) -> Result<Returned, ApiError>;
}
