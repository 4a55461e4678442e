//! What of queue and trash is due, one after the other.
//!
//! The tables by time serve them: nothing is read that is not due.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::model::{Action, EntryId, Kept, Phase, QueueEntry, Reason, Stage, Timestamp};
use crate::policy::{Moment, deferred_until, trash_until};
use crate::sweep::SweepError;
use crate::sweep::root::GuardedRoot;

use super::moving::lies_in;
use super::{Room, Rooms, RootVault};

/// Entries read at once.
const PAGE: usize = 1000;

/// Whether an entry was just recorded, so that nobody has tried to move it yet:
/// before that it is not removed from its place.
pub fn is_new(entry: &QueueEntry) -> bool {
    entry.kept.stage == Stage::Waiting && entry.attempts == 0
}

/// An entry by its key in the table: what is to be done with it, and when it was given up.
type Due = (Timestamp, Option<(Timestamp, Action)>, EntryId);

/// Yields the removals of phase `deferred` or `trash` over one root, in order.
pub struct KeptActions<'a> {
    root: &'a GuardedRoot,
    vault: Arc<RootVault>,
    phase: Phase,
    moment: &'a Moment,
    until: Timestamp,
    after: Option<(Timestamp, EntryId)>,
    page: VecDeque<(Timestamp, Action)>,
    /// An entry whose try was in vain is due again later: not in this run.
    seen: HashSet<EntryId>,
    /// In an emergency: a ledger that can't be written takes for waiting what was moved.
    rooms: Option<Rooms>,
    ended: bool,
}

impl<'a> KeptActions<'a> {
    /// `None` where there is nothing to ask: another phase, no private
    /// directory, or only one job's files are wanted.
    pub fn new(root: &'a GuardedRoot, phase: Phase, moment: &'a Moment) -> Option<Self> {
        let until = match phase {
            Phase::Deferred => Some(deferred_until(moment)),
            Phase::Trash => trash_until(&root.rules, moment).map(|(until, _)| until),
            _ => None,
        }?;
        let vault = root.vault.as_ref().filter(|vault| vault.is_settled() && moment.forced_job.is_none())?;
        let rooms = if moment.emergency { vault.open(&root.dir).ok() } else { None };
        Some(Self {
            root,
            rooms,
            vault: Arc::clone(vault),
            phase,
            moment,
            until,
            after: None,
            page: VecDeque::new(),
            seen: HashSet::new(),
            ended: false,
        })
    }

    /// When the next one was given up. An error ends the phase, and is told by [`Self::take`].
    pub fn peek(&mut self) -> Option<Timestamp> {
        match self.fill() {
            Ok(()) => self.page.front().map(|(at, _)| *at),
            Err(_) => Some(Timestamp::from_nanos(i64::MIN)),
        }
    }

    /// The next removal.
    ///
    /// # Errors
    /// When the ledger can't be read.
    pub fn take(&mut self) -> Result<Option<Action>, SweepError> {
        self.fill()?;
        Ok(self.page.pop_front().map(|(_, action)| action))
    }

    fn fill(&mut self) -> Result<(), SweepError> {
        while self.page.is_empty() && !self.ended {
            let failed = |source| SweepError::Ledger { root: self.root.path().to_owned(), source };
            let after = self.after.as_ref().map(|(at, id)| (*at, id));
            let name = &self.root.name;
            let found: Vec<Due> = match self.phase {
                Phase::Deferred => {
                    let due = self.vault.entries.deferred(name, self.until, after, PAGE).map_err(failed)?;
                    due.into_iter()
                        .map(|mut entry| {
                            self.look_for(&mut entry.kept, Room::Queue);
                            let queued = self.moment.age(entry.queued_at);
                            let reason = Reason::Deferred {
                                id: entry.kept.id.clone(),
                                queued,
                                attempts: entry.attempts,
                                moved: entry.kept.stage == Stage::Moved,
                                files: entry.kept.files,
                            };
                            let wanted =
                                !is_new(&entry) && self.moment.older_than.is_none_or(|least| queued >= least);
                            let action = self.action(&entry.kept, reason, queued).filter(|_| wanted);
                            (entry.next_try_at, action.map(|one| (entry.queued_at, one)), entry.kept.id)
                        })
                        .collect()
                }
                _ => {
                    let limit =
                        trash_until(&self.root.rules, self.moment).map_or_else(Default::default, |it| it.1);
                    let due = self.vault.entries.trashed(name, self.until, after, PAGE).map_err(failed)?;
                    due.into_iter()
                        .map(|mut entry| {
                            self.look_for(&mut entry.kept, Room::Trash);
                            let deleted = self.moment.age(entry.deleted_at);
                            let reason = Reason::Trash {
                                id: entry.kept.id.clone(),
                                deleted,
                                limit,
                                moved: entry.kept.stage == Stage::Moved,
                                files: entry.kept.files,
                            };
                            let is_new = entry.kept.stage == Stage::Waiting && entry.failed.is_none();
                            let action = self.action(&entry.kept, reason, deleted).filter(|_| !is_new);
                            (entry.deleted_at, action.map(|one| (entry.deleted_at, one)), entry.kept.id)
                        })
                        .collect()
                }
            };
            self.ended = found.len() < PAGE;
            for (key, action, id) in found {
                self.after = Some((key, id.clone()));
                if self.seen.insert(id) {
                    self.page.extend(action);
                }
            }
        }
        Ok(())
    }

    /// Corrects the stage of an entry that was moved and could not be recorded as such.
    fn look_for(&self, kept: &mut Kept, room: Room) {
        if kept.stage == Stage::Waiting
            && self.rooms.as_ref().is_some_and(|rooms| lies_in(rooms, room, kept).is_some())
        {
            kept.stage = Stage::Moved;
        }
    }

    fn action(&self, kept: &Kept, reason: Reason, age: std::time::Duration) -> Option<Action> {
        let mut facts = kept.facts;
        // A device number lasts until the next mount; entries lie on the root's own device.
        facts.id.dev = self.root.dev();
        Some(Action {
            order: 0,
            phase: self.phase,
            path: kept.rel().ok()?,
            facts,
            reason,
            age,
            expected_bytes: kept.bytes,
        })
    }
}
