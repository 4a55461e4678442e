//! The threads behind queue and trash: one moves what was recorded, one removes.
//!
//! Promises: after a start, and when a root is taken back, ledger and private
//! directory are brought to one account before anything is removed there;
//! names come free before anything is removed; a pause, `automatic = false`
//! and `dry_run` hold here too.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::agent::engine::{Commission, Target};
use crate::agent::forbidden::forbids_unasked;
use crate::agent::state::Agent;
use crate::agent::surroundings::Control;
use crate::model::{Policy, RootName, Stage, SweepRequest, Timestamp, Trigger};
use crate::sweep::vault::{RootVault, is_new};
use crate::sys::clock;

use super::{Handed, Keeper};

/// Entries moved before the thread looks up.
const CHUNK: usize = 1000;
/// How often new roots are looked for, and open files tried again.
const LOOK: Duration = Duration::from_secs(60);
/// How long removal waits for names that are to come free first.
const NAMES_FIRST: Duration = Duration::from_secs(10);
/// The shortest pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// Roots whose account is settled, by queue and trash as they were opened then.
#[derive(Default)]
struct Settled(HashMap<RootName, Weak<RootVault>>);

impl Settled {
    fn has(&self, target: &Target) -> bool {
        let known = self.0.get(&target.root.name).and_then(Weak::upgrade);
        known.zip(target.root.vault.as_ref()).is_some_and(|(known, vault)| Arc::ptr_eq(&known, vault))
    }
}

/// Queue and trash of an agent, over the roots that are ready.
pub fn keeper(agent: &Agent) -> Keeper<'_> {
    Keeper { ledger: &agent.ledger, engine: &agent.engine, targets: agent.targets(None) }
}

/// Moves what was recorded, until the agent stops.
pub fn work_moving(agent: &Agent) {
    let mut settled = Settled::default();
    let mut later: Vec<Handed> = Vec::new();
    // Moved, which the ledger may not have on disk yet.
    let mut unsure: Vec<Handed> = Vec::new();
    let mut losses = agent.ledger.losses();
    let mut again_at = Instant::now() + LOOK;
    while !agent.stop.is_raised() {
        let keeper = keeper(agent);
        for target in keeper.targets.iter().filter(|target| target.root.vault.is_some()) {
            if settled.has(target) {
                continue;
            }
            match keeper.replay(target) {
                Ok(found) => {
                    let vault = target.root.vault.as_ref().map_or_else(Weak::new, Arc::downgrade);
                    settled.0.insert(target.root.name.clone(), vault);
                    let root = &target.root.name;
                    agent.desk.hand_in(found.waiting.into_iter().map(|id| (root.clone(), id)));
                    agent.desk.remover.ring();
                }
                Err(why) => {
                    tracing::error!(root = %target.root.name, reason = %why, "queue and trash are not to be used");
                }
            }
        }
        if Instant::now() >= again_at {
            again_at = Instant::now() + LOOK;
            agent.desk.hand_in(std::mem::take(&mut later));
        }
        let lost = agent.ledger.losses();
        if std::mem::replace(&mut losses, lost) != lost {
            agent.desk.hand_in(std::mem::take(&mut unsure));
        }
        let ids = agent.desk.take(CHUNK);
        if ids.is_empty() {
            if !unsure.is_empty() {
                if let Err(error) = agent.ledger.make_lasting() {
                    tracing::warn!(reason = %crate::agent::chain(&error), "that entries were moved is not on record yet");
                    agent.desk.mover.wait(PAUSE);
                    continue;
                }
                unsure.clear();
                keeper.targets.iter().filter_map(|target| target.root.vault.as_ref()).for_each(|vault| {
                    vault.make_lasting();
                });
            }
            agent.desk.mover.wait(if settled.0.len() < keeper.targets.len() { PAUSE } else { LOOK });
            continue;
        }
        match keeper.move_on(&ids, None) {
            Ok(end) => {
                unsure.extend(ids.iter().filter(|(_, id)| end.moved.contains_key(id)).cloned());
                let (now, when_ready): (Vec<Handed>, Vec<Handed>) =
                    end.left.iter().cloned().partition(|(root, _)| {
                        keeper
                            .targets
                            .iter()
                            .any(|target| target.root.name == *root && target.root.vault.is_some())
                    });
                later.extend(when_ready);
                // Somebody more urgent came between.
                agent.desk.hand_in(now);
                let stays = |(_, id): &&Handed| {
                    end.moved.get(id) == Some(&false)
                        && agent
                            .ledger
                            .trash_entry(id)
                            .is_ok_and(|entry| entry.is_some_and(|entry| entry.kept.stage == Stage::Waiting))
                };
                later.extend(ids.iter().filter(stays).cloned());
                agent.desk.remover.ring();
            }
            Err(error) => {
                tracing::error!(reason = %error.detail, "entries are not moved yet");
                agent.desk.hand_in(ids);
                agent.desk.mover.wait(PAUSE);
            }
        }
    }
}

/// Removes what is due in the queue, until the agent stops.
pub fn work_removing(agent: &Agent) {
    while !agent.stop.is_raised() {
        // Both would only wait for each other's turns.
        let since = Instant::now();
        while agent.desk.is_busy() && since.elapsed() < NAMES_FIRST && !agent.stop.is_raised() {
            agent.desk.remover.wait(NAMES_FIRST.saturating_sub(since.elapsed()));
        }
        let rest = match due(agent) {
            Due::Now(targets) => {
                if run(agent, &targets) {
                    Duration::ZERO
                } else {
                    PAUSE
                }
            }
            Due::In(rest) => rest,
        };
        if !rest.is_zero() {
            agent.desk.remover.wait(rest);
        }
    }
}

enum Due {
    Now(Vec<Target>),
    In(Duration),
}

fn due(agent: &Agent) -> Due {
    let settings = agent.settings();
    let now = clock::now();
    if forbids_unasked(&settings.agent, Policy::Deferred).is_some() || agent.pause_at(now).is_some() {
        return Due::In(PAUSE);
    }
    let mut rest = LOOK;
    let mut targets = Vec::new();
    let settled = |target: &Target| target.root.vault.as_ref().is_some_and(|vault| vault.is_settled());
    for target in agent.targets(None).into_iter().filter(settled) {
        let first = agent.ledger.queue_due(&target.root.name, Timestamp::from_nanos(i64::MAX), None, 1);
        match first.map(|entries| entries.into_iter().next()) {
            // Still being moved: whoever does that rings.
            Ok(Some(first)) if is_new(&first) => {}
            Ok(Some(first)) if first.next_try_at <= now => targets.push(target),
            Ok(Some(first)) => rest = rest.min(now.age_at(first.next_try_at)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(root = %target.root.name, reason = %crate::agent::chain(&error), "the queue can't be read");
            }
        }
    }
    if targets.is_empty() { Due::In(rest.max(Duration::from_millis(10))) } else { Due::Now(targets) }
}

/// One run over what is due; whether it did anything.
fn run(agent: &Agent, targets: &[Target]) -> bool {
    let request = SweepRequest { max_files: Some(u64::MAX), ..SweepRequest::of(Policy::Deferred) };
    let control = Control::default();
    let watch = agent.watch_over(targets);
    let stop = || {
        let paused = || agent.pause_at(clock::now()).map(|_| "paused".to_owned());
        // Settings that were taken meanwhile.
        let forbidden = || forbids_unasked(&agent.settings().agent, request.policy).map(str::to_owned);
        watch().or_else(paused).or_else(forbidden)
    };
    let commission = Commission {
        request: &request,
        trigger: Trigger::Deferred,
        requested_by: None,
        control: &control,
        list: false,
        stop: &stop,
        leave_out: None,
    };
    match agent.engine.sweep(&commission, targets) {
        Ok(reports) => reports.iter().any(|report| report.files_scanned > 0),
        Err(error) => {
            tracing::error!(reason = %crate::agent::chain(&error), "deferred deletions could not be carried out");
            false
        }
    }
}
