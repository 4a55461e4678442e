//! Queue and trash without an agent: on the ledger, under its lock.
//!
//! What is deferred leaves its place at once; it is removed by the next
//! `guardian queue run`, sweep or agent.

use crate::agent::engine::Engine;
use crate::agent::forbidden::REMOVES_NOTHING;
use crate::agent::vault::{Asker, Handed, Keeper, Purpose};
use crate::api::{
    ApiError, DeletionRequest, DeletionResource, DeletionStats, Given, KeptCommands, Listing, Page, PathText,
    PeerIdentity, RestoreRequest, Returned, TrashRequest, TrashResource,
};
use crate::model::{EntryId, Policy, SweepRequest};

use super::*;

impl Alone {
    /// Runs `work` over the roots that can be opened now.
    fn keeping<T>(&self, work: impl FnOnce(&Keeper<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let place = self.workplace()?;
        let opened =
            self.open_targets(&place, &SweepRequest::of(Policy::Deferred), Claim::Usual, &|_| true)?;
        let engine = Engine::new(
            Some(Arc::clone(&place.ledger)),
            None,
            Arc::clone(place.registry.view()),
            Arc::clone(place.references.view()),
            clock_guard(place.ledger.clock_mark().ok().flatten().map(|mark| mark.wall)),
        );
        // Their locks are ours until the end.
        let OpenedTargets { targets, locked: _locked, .. } = opened;
        let keeper = Keeper { ledger: &place.ledger, engine: &engine, targets };
        settle(&keeper)?;
        work(&keeper)
    }

    fn give_up(&self, paths: &[PathText], purpose: &Purpose, by: &PeerIdentity) -> Result<Given, ApiError> {
        let agent = &self.settings.agent;
        if agent.dry_run || agent.keep_files_for_debugging {
            return Err(ApiError::conflict(REMOVES_NOTHING));
        }
        self.keeping(|keeper| {
            let (mut given, ids) = keeper.take(paths, purpose, &Asker::from(by))?;
            keeper.move_in(&ids, None)?.tell(&mut given);
            Ok(given)
        })
    }
}

/// Brings ledger and private directories to one account.
pub(super) fn settle(keeper: &Keeper<'_>) -> Result<(), ApiError> {
    for target in &keeper.targets {
        keeper.guard(&target.root)?;
        match keeper.replay(target) {
            Ok(found) => {
                let root = &target.root.name;
                let waiting: Vec<Handed> = found.waiting.into_iter().map(|id| (root.clone(), id)).collect();
                keeper.move_in(&waiting, None)?;
            }
            Err(why) => {
                tracing::error!(root = %target.root.name, reason = %why, "queue and trash are not to be used");
            }
        }
    }
    Ok(())
}

impl KeptCommands for Alone {
    fn delete(&self, request: DeletionRequest, by: &PeerIdentity) -> Result<Given, ApiError> {
        self.give_up(&request.paths, &Purpose::Delete { client_id: request.client_id }, by)
    }

    fn deletions(&self, page: &Page) -> Result<Listing<DeletionResource>, ApiError> {
        self.keeping(|keeper| keeper.deletions(page))
    }

    fn deletion_stats(&self) -> Result<DeletionStats, ApiError> {
        match self.reader()?.ledger {
            Some(ledger) => Ok(ledger.queue_stats(None).map_err(|error| problems::store(&error))?.into()),
            None => Ok(DeletionStats::default()),
        }
    }

    fn deletion_retry(&self, id: &EntryId, by: &PeerIdentity) -> Result<DeletionResource, ApiError> {
        self.keeping(|keeper| {
            let entry = keeper.retry(id, &Asker::from(by))?;
            keeper.move_in(&[(entry.kept.root.clone(), id.clone())], None)?;
            Ok(keeper.shown_deletion(&entry))
        })
    }

    fn deletion_drop(&self, id: &EntryId, by: &PeerIdentity) -> Result<Returned, ApiError> {
        self.keeping(|keeper| keeper.drop_one(id, &Asker::from(by)))
    }

    fn deletions_clear(&self, by: &PeerIdentity) -> Result<Listing<Returned>, ApiError> {
        self.keeping(|keeper| keeper.clear(&Asker::from(by)))
    }

    fn trash_put(&self, request: TrashRequest, by: &PeerIdentity) -> Result<Given, ApiError> {
        self.give_up(&request.paths, &Purpose::Trash, by)
    }

    fn trash(&self, page: &Page) -> Result<Listing<TrashResource>, ApiError> {
        self.keeping(|keeper| keeper.trash(page))
    }

    fn trash_restore(
        &self,
        id: &EntryId,
        request: RestoreRequest,
        by: &PeerIdentity,
    ) -> Result<Returned, ApiError> {
        self.keeping(|keeper| keeper.restore(id, request.to.as_ref(), &Asker::from(by)))
    }
}
