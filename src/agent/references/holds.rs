//! Holds: taken, and given up.

use std::collections::{BTreeSet, HashSet};

use crate::agent::jobs::Caller;
use crate::agent::surroundings::new_id;
use crate::model::{HoldId, HoldRecord, Recorded, RelPath, RootName, Timestamp};
use crate::store::StoreError;

use super::{Counted, Named, ReferenceError, References, covers};

impl References {
    /// Holds files and directories: all of them or none.
    ///
    /// # Errors
    /// `TooMany`, `Store`.
    pub fn hold(
        &self,
        files: Vec<Named>,
        until: Option<Timestamp>,
        reason: Option<&str>,
        by: Caller,
        now: Timestamp,
    ) -> Result<Vec<HoldRecord>, ReferenceError> {
        let mut named = HashSet::new();
        let holds: Vec<HoldRecord> = files
            .into_iter()
            // However often: one request must not cost more than the files that it is about.
            .filter(|file| named.insert((file.root.clone(), file.path.clone())))
            .map(|file| HoldRecord {
                id: HoldId::new(new_id()),
                root: file.root,
                path: file.path,
                recorded: Recorded::of(&file.facts),
                until,
                reason: reason.map(str::to_owned),
                uid: by.uid,
                covers: covers(by),
                created_at: now,
            })
            .collect();
        let _change = self.one_change();
        self.counts.take(Counted::Holds, by.uid, holds.len(), !by.admin)?;
        // Before it is on record, where somebody may find it and end it.
        {
            let mut view = self.view_mut();
            holds.iter().for_each(|hold| view.put_hold(hold));
        }
        if let Err(error) = self.ledger.put_holds(&holds) {
            let mut view = self.view_mut();
            holds.iter().for_each(|hold| view.remove_hold(hold));
            self.discount(&holds);
            return Err(error.into());
        }
        Ok(holds)
    }

    fn discount(&self, holds: &[HoldRecord]) {
        self.counts.give_back(Counted::Holds, holds.iter().map(|hold| hold.uid));
    }

    /// Holds in order of id, behind `after`.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub fn holds(&self, after: Option<&HoldId>, limit: usize) -> Result<Vec<HoldRecord>, StoreError> {
        self.ledger.holds_page(after, limit)
    }

    /// Ends one hold.
    ///
    /// # Errors
    /// `NoHold`, `OthersHold`, `Store`.
    pub fn release(&self, id: &HoldId, by: Caller) -> Result<HoldRecord, ReferenceError> {
        // Of two who end one hold at once the second finds that it is gone.
        let _claim = self.releasing.claim(id);
        let _change = self.one_change();
        let hold = self.ledger.hold(id)?.ok_or_else(|| ReferenceError::NoHold(id.clone()))?;
        permit_hold(&hold, by)?;
        self.ledger.remove_holds(std::iter::once(id))?;
        self.view_mut().remove_hold(&hold);
        self.discount(std::slice::from_ref(&hold));
        Ok(hold)
    }

    /// Ends all holds on these paths that the caller may end; those that were ended.
    ///
    /// # Errors
    /// `OthersHold` when a path is held by somebody else alone; `Store`.
    pub fn release_paths(
        &self,
        paths: &BTreeSet<(RootName, RelPath)>,
        by: Caller,
    ) -> Result<Vec<HoldRecord>, ReferenceError> {
        let _changes = self.changes();
        let named = |hold: &HoldRecord| paths.contains(&(hold.root.clone(), hold.path.clone()));
        let found: Vec<HoldRecord> = self.ledger.all_holds()?.into_iter().filter(named).collect();
        let (mine, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|hold| permit_hold(hold, by).is_ok());
        for other in &others {
            if !mine.iter().any(|hold| hold.root == other.root && hold.path == other.path) {
                permit_hold(other, by)?;
            }
        }
        self.forget_holds(&mine)?;
        Ok(mine)
    }

    pub(super) fn forget_holds(&self, holds: &[HoldRecord]) -> Result<(), StoreError> {
        if holds.is_empty() {
            return Ok(());
        }
        self.ledger.remove_holds(holds.iter().map(|hold| &hold.id))?;
        let mut view = self.view_mut();
        holds.iter().for_each(|hold| view.remove_hold(hold));
        drop(view);
        self.discount(holds);
        Ok(())
    }
}

fn permit_hold(hold: &HoldRecord, by: Caller) -> Result<(), ReferenceError> {
    if by.admin || hold.uid == by.uid {
        return Ok(());
    }
    Err(ReferenceError::OthersHold { id: hold.id.clone(), uid: by.uid, owner: hold.uid })
}
