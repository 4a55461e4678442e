//! One batch: on record, then off the disk, then into the index and the account.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use crate::model::{Action, Phase, PlanAction, Resource, Skip, Trigger, WirePath};
use crate::policy::Returns;

use super::super::execute::{BatchEnd, Conditions, Ended, execute};
use super::super::merge::{Mixed, weight};
use super::super::record::RunRecord;
use super::super::run::{IntendedBatch, RunRoot};
use super::super::vault::settling::{self, Site};
use super::Running;

/// How long an emergency waits for its turn at queue or trash. Who has it ends
/// after the entry at work, and writes the ledger.
const TURN_PATIENCE: Duration = Duration::from_millis(500);

impl Running<'_, '_> {
    pub(super) fn is_poor(&self, returns: &mut Returns, gained: u64, used_before: Option<u64>) -> bool {
        // In the resource that the batch's gain is counted in.
        let resource = self.orders.target.resource;
        let after = self.probe.look().ok().map(|usage| usage.used_and_available(resource).0);
        match (used_before, after) {
            (Some(before), Some(after)) => returns.settled(gained, before.saturating_sub(after)),
            _ => false,
        }
    }

    /// One batch: on record, then off the disk, then into the index and the account.
    pub(super) fn carry_out_batch(&mut self, phase: Phase, roots: &[RunRoot<'_>], batch: Mixed) -> u64 {
        let mut by_root: BTreeMap<usize, Vec<Action>> = BTreeMap::new();
        for (place, mut action) in batch {
            action.order = self.order;
            self.order += 1;
            by_root.entry(place).or_default().push(action);
        }
        let mut gained: u64 = 0;
        for (place, actions) in by_root {
            let (Some(one), Some(record)) = (roots.get(place), self.records.get_mut(place)) else { continue };
            let vault = one.root.vault.as_ref().filter(|_| matches!(phase, Phase::Deferred | Phase::Trash));
            // Nothing moves in or out between the removal and its record. An
            // emergency has other phases, and does not wait for long.
            let turn = match vault {
                Some(vault) if self.orders.is_emergency() => match vault.urgent_turn_within(TURN_PATIENCE) {
                    None => {
                        let why = format!("{phase}: left out: its entries are being moved by somebody else");
                        tracing::warn!(root = %one.root.name, policy = %phase, "an emergency goes without what was given up: its entries are being moved by somebody else");
                        record.note(why);
                        self.turned_away.insert((place, phase));
                        continue;
                    }
                    turn => turn,
                },
                Some(vault) => Some(vault.turn()),
                None => None,
            };
            let ticket = self.around.intend(&IntendedBatch {
                run: record.id(),
                volume_run: &self.orders.head.volume_run,
                root: one.root,
                policy: self.orders.head.policy,
                phase,
                actions: &actions,
            });
            let with = Conditions {
                jobs: self.shared.jobs,
                references: self.shared.references,
                moment: &one.moment,
            };
            let BatchEnd { ended, directories, differ } = execute(one.root, &actions, with);
            if let Some(vault) = vault {
                let tries = settling::tries(one.root, &actions, &ended);
                let released = settling::released(&actions, &tries);
                if !released.is_empty() {
                    let mut view = self.shared.references.write().unwrap_or_else(PoisonError::into_inner);
                    released.iter().for_each(|(id, file)| view.set_waiting(&one.root.name, id, *file, false));
                }
                let site = Site::of(one.root, self.orders.max_attempts);
                // As with reports: the guard's own emergencies wait for no disk.
                if self.orders.head.trigger == Trigger::EmergencyThreshold {
                    vault.settle_aside(&site, tries);
                } else {
                    for last in vault.settle(&site, &tries, self.around.now()) {
                        last.log(&one.root.name);
                        let error = format!("in the trash after the last try: {}", last.error);
                        record.failed(phase, last.path, error);
                    }
                }
            }
            drop(turn);
            let mut gone = Vec::new();
            let mut different = Vec::new();
            let mut not_removed = Vec::new();
            let mut failed = Vec::new();
            for (number, (action, ended)) in actions.iter().zip(ended).enumerate() {
                match ended {
                    Some(Ended::Removed { freed }) => {
                        failed.push(false);
                        record.removed(phase, freed);
                        self.settle.unlinked(match self.orders.target.resource {
                            Resource::Bytes => freed,
                            Resource::Inodes => 0,
                        });
                        gained = gained.saturating_add(match self.orders.target.resource {
                            Resource::Bytes => freed,
                            Resource::Inodes => u64::from(action.facts.nlink <= 1 || freed > 0),
                        });
                        self.freed = self.freed.saturating_add(freed);
                        gone.push(action);
                    }
                    Some(Ended::RemovedTree { files, freed }) => {
                        record.removed_tree(phase, files, freed);
                        self.freed = self.freed.saturating_add(freed);
                        let (bytes, inodes) = match self.orders.target.resource {
                            Resource::Bytes => (freed, 0),
                            Resource::Inodes => (0, files),
                        };
                        self.settle.unlinked(bytes);
                        gained = gained.saturating_add(bytes.max(inodes));
                        gone.push(action);
                    }
                    Some(Ended::RemovedPart { files, freed, why }) => {
                        record.removed_tree(phase, files, freed);
                        self.freed = self.freed.saturating_add(freed);
                        let (bytes, inodes) = match self.orders.target.resource {
                            Resource::Bytes => (freed, 0),
                            Resource::Inodes => (0, files),
                        };
                        self.settle.unlinked(bytes);
                        gained = gained.saturating_add(bytes.max(inodes));
                        if action.reason.is_tree() {
                            let path = WirePath::from_path(&action.path.under(one.root.path()));
                            record.failed(phase, path, why.clone());
                            different.push(action);
                        }
                        not_removed.push((number, why));
                    }
                    Some(Ended::Skipped(why)) => {
                        if let Some(decided) = self.taken.get_mut(place) {
                            decided.stays(action);
                        }
                        record.kept(phase, why, weight(action));
                        if action.reason.is_tree() || matches!(why, Skip::Changed | Skip::Vanished) {
                            different.push(action);
                        }
                        not_removed.push((number, why.as_str().to_owned()));
                    }
                    Some(Ended::Failed(error)) => {
                        failed.push(true);
                        record.failed(
                            phase,
                            WirePath::from_path(&action.path.under(one.root.path())),
                            error.clone(),
                        );
                        not_removed.push((number, error));
                    }
                    None => {
                        // A worker that could not even begin left it where it is.
                        not_removed.push((number, "not attempted".to_owned()));
                    }
                }
            }
            self.around.carried_out(ticket, &not_removed);
            self.around.tried(&one.root.name, phase, &failed);
            self.around.removed(&one.root.name, &gone);
            different.extend(&differ);
            self.around.found_different(&one.root.name, &different);
            if self.orders.list {
                let policy = self.orders.head.policy;
                record.list(
                    gone.iter()
                        .filter_map(|a| {
                            serde_json::to_value(PlanAction::of(a, policy, &one.root.name, one.root.path()))
                                .ok()
                        })
                        .collect(),
                );
            }
            if one.root.remove_empty_dirs
                && let Some(emptied) = self.emptied.get_mut(place)
            {
                emptied.note(directories);
            }
        }
        let files = self.records.iter().map(RunRecord::files_deleted).sum();
        self.around.progress(files, self.freed);
        gained
    }
}
