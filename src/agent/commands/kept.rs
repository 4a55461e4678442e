//! Deferred deletions and trash.

use std::time::Duration;

use serde_json::json;

use crate::agent::forbidden::{REMOVES_NOTHING, is_dry};
use crate::agent::vault::worker::keeper;
use crate::agent::vault::{Asker, Handed, Purpose};
use crate::api::{
    ApiError, DeletionRequest, DeletionResource, DeletionStats, Given, KeptCommands, Listing, Page, PathText,
    PeerIdentity, RestoreRequest, Returned, TrashRequest, TrashResource,
};
use crate::model::{EntryId, Policy, SweepRequest};

use super::{NAMED, Served, few};

/// Up to so many entries are moved before the answer, which then tells how it
/// went; of more it tells that they are on record.
const FEW: usize = 10_000;
/// How long such an answer waits. What is not moved by then is not told.
const PATIENCE: Duration = Duration::from_secs(1);

impl Served {
    fn give_up(&self, paths: &[PathText], purpose: &Purpose, by: &PeerIdentity) -> Result<Given, ApiError> {
        let agent = &self.agent;
        let request = SweepRequest::of(match purpose {
            Purpose::Delete { .. } => Policy::Deferred,
            Purpose::Trash => Policy::Trash,
        });
        if is_dry(&agent.settings().agent, &request, request.policy) {
            return Err(ApiError::conflict(REMOVES_NOTHING));
        }
        self.admit(&request, by, "delete")?;
        let keeper = keeper(agent);
        let action = if matches!(purpose, Purpose::Trash) { "trash_put" } else { "delete" };
        let what = json!({ "action": action, "count": paths.len(), "paths": few(paths) });
        let (mut given, ids) = self.on_behalf(by, what, || keeper.take(paths, purpose, &Asker::from(by)))?;
        let named: Vec<_> = given.items.iter().take(NAMED).map(|item| (&item.id, &item.path)).collect();
        self.record(
            by,
            json!({ "action": action, "count": ids.len(), "refused": given.refused.len(), "entries": named }),
        );
        if ids.len() > FEW {
            agent.desk.hand_in(ids);
            return Ok(given);
        }
        match keeper.move_in(&ids, Some(PATIENCE)) {
            Ok(end) => {
                end.tell(&mut given);
                let stays = |(_, id): &Handed| {
                    let entry = agent.ledger.trash_entry(id).ok().flatten();
                    end.moved.get(id) == Some(&false) && entry.is_some_and(|entry| entry.moved().is_none())
                };
                let stay: Vec<Handed> = ids.into_iter().filter(stays).collect();
                agent.desk.hand_in(end.left.into_iter().chain(stay));
            }
            // On record all the same: the thread that moves tries again.
            Err(error) => {
                tracing::warn!(reason = %error.detail, "entries are not moved yet");
                agent.desk.hand_in(ids);
            }
        }
        agent.desk.remover.ring();
        Ok(given)
    }
}

impl KeptCommands for Served {
    fn delete(&self, request: DeletionRequest, by: &PeerIdentity) -> Result<Given, ApiError> {
        self.give_up(&request.paths, &Purpose::Delete { client_id: request.client_id }, by)
    }

    fn deletions(&self, page: &Page) -> Result<Listing<DeletionResource>, ApiError> {
        keeper(&self.agent).deletions(page)
    }

    fn deletion_stats(&self) -> Result<DeletionStats, ApiError> {
        keeper(&self.agent).stats()
    }

    fn deletion_retry(&self, id: &EntryId, by: &PeerIdentity) -> Result<DeletionResource, ApiError> {
        self.limit(by, "try a deletion again")?;
        let keeper = keeper(&self.agent);
        let what = json!({ "action": "deletion_retry", "entry": id });
        let entry = self.on_behalf(by, what, || keeper.retry(id, &Asker::from(by)))?;
        self.record(by, json!({ "action": "deletion_retry", "entry": id }));
        if entry.moved().is_none() {
            // What never left its place is moved first.
            self.agent.desk.hand_in([(entry.kept.root.clone(), id.clone())]);
        }
        self.agent.desk.remover.ring();
        Ok(keeper.shown_deletion(&entry))
    }

    fn deletion_drop(&self, id: &EntryId, by: &PeerIdentity) -> Result<Returned, ApiError> {
        self.limit(by, "take back a deletion")?;
        let what = json!({ "action": "deletion_drop", "entry": id });
        let returned = self.on_behalf(by, what, || keeper(&self.agent).drop_one(id, &Asker::from(by)))?;
        self.record(by, json!({ "action": "deletion_drop", "entry": id, "now": returned.now }));
        Ok(returned)
    }

    fn deletions_clear(&self, by: &PeerIdentity) -> Result<Listing<Returned>, ApiError> {
        self.limit(by, "clear the queue")?;
        let what = json!({ "action": "deletions_clear" });
        let returned = self.on_behalf(by, what, || keeper(&self.agent).clear(&Asker::from(by)))?;
        self.record(by, json!({ "action": "deletions_clear", "count": returned.items.len() }));
        Ok(returned)
    }

    fn trash_put(&self, request: TrashRequest, by: &PeerIdentity) -> Result<Given, ApiError> {
        self.give_up(&request.paths, &Purpose::Trash, by)
    }

    fn trash(&self, page: &Page) -> Result<Listing<TrashResource>, ApiError> {
        keeper(&self.agent).trash(page)
    }

    fn trash_restore(
        &self,
        id: &EntryId,
        request: RestoreRequest,
        by: &PeerIdentity,
    ) -> Result<Returned, ApiError> {
        self.limit(by, "restore")?;
        let what = json!({ "action": "trash_restore", "entry": id, "to": &request.to });
        let restore = || keeper(&self.agent).restore(id, request.to.as_ref(), &Asker::from(by));
        let returned = self.on_behalf(by, what, restore)?;
        self.record(by, json!({ "action": "trash_restore", "entry": id, "path": returned.path }));
        Ok(returned)
    }
}
