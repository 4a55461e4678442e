//! Carrying out what was planned before.

use std::collections::VecDeque;

use crate::model::{Action, Phase, Report};
use crate::policy::{Moment, trash_until};

use super::super::merge::{Mixed, Room, gain, weight};
use super::super::run::{Orders, RunRoot, Shared, Surroundings};
use super::super::vault::info::Entry;
use super::{PhaseEnd, Running};

/// Carries out removals that were planned before, as far as nothing changed
/// since: the same checks as for a fresh plan, by the rules of now, and by no
/// lower limit than it was made with.
/// `rest` is in the plan's order, each with the place of its root; what was
/// tried is taken from it. With a target it ends as a fresh run does: where
/// the volume, looked at before each batch, is at the target.
pub fn carry_out_plan(
    orders: &Orders,
    roots: &[RunRoot<'_>],
    shared: Shared<'_>,
    around: &dyn Surroundings,
    rest: &mut VecDeque<(usize, Action)>,
) -> Vec<Report> {
    let Some((mut running, before, begun)) = Running::begin(orders, roots, shared, around) else {
        return Vec::new();
    };
    let planned = rest.len();
    rest.retain(|(place, action)| !roots.get(*place).is_some_and(|one| is_kept_longer(one, action)));
    if rest.len() < planned {
        running.note_all("part of the trash stays: it is kept for longer than when this was planned");
    }
    // For a run of the other resource: there the root may be past its mark.
    let mut spared = VecDeque::new();
    while !rest.is_empty() {
        if let Some(why) = running.must_stop() {
            running.note_all(&why);
            break;
        }
        let need = match running.allowance() {
            Ok(need) => need,
            Err(PhaseEnd::Reached) => {
                running.note_all("the rest of the plan stays: the volume is at its target");
                break;
            }
            Err(PhaseEnd::Exhausted | PhaseEnd::Stopped) => break,
        };
        let Some(next) = rest.front().map(|(_, action)| action.phase) else { break };
        let room = running.room(roots, next);
        let waits = |rest: &VecDeque<(usize, Action)>| {
            rest.front().is_some_and(|(_, next)| next.reason.is_tree() && !room.fits(0, weight(next)))
        };
        if room.batch == 0 || waits(rest) {
            running.note_all("stopped at max_files");
            break;
        }
        let batch = next_batch(orders, roots, rest, &mut spared, room, need);
        let Some((_, first)) = batch.first() else { continue };
        let (phase, limit) = (first.phase, first.reason.limit());
        // What the plan's request named is in the moment, as it was then. Else both
        // count, the rule of then and that of now.
        let as_planned: Vec<RunRoot<'_>> = roots
            .iter()
            .map(|one| RunRoot {
                root: one.root,
                nominator: Box::new(super::super::nominate::Nothing),
                moment: Moment { at_least: limit, ..one.moment.clone() },
                past_its_mark: one.past_its_mark,
            })
            .collect();
        for record in &mut running.records {
            record.phase(phase, None);
        }
        running.carry_out_batch(phase, &as_planned, batch);
        around.between_batches();
    }
    if !spared.is_empty() {
        running.note_all("files that only age gives up stay: their root is not past its mark any more");
    }
    spared.append(rest);
    *rest = spared;
    running.finish(before.as_ref(), begun)
}

/// Whether an entry of the trash is kept for longer by now. Its age is in no file:
/// to be looked up before it is tried, for a try in vain would be on its record.
fn is_kept_longer(one: &RunRoot<'_>, action: &Action) -> bool {
    let (Phase::Trash, Some((id, _))) = (action.phase, action.reason.kept()) else { return false };
    let moment = Moment { at_least: action.reason.limit(), ..one.moment.clone() };
    match trash_until(&one.root.rules, &moment) {
        // Any is due.
        Some((_, limit)) if limit.is_zero() => false,
        Some((until, _)) => match one.root.vault.as_ref().map(|vault| vault.entry(id)) {
            Some(Ok(Some(Entry::Trash(entry)))) => entry.deleted_at > until,
            // It is no such entry any more: that is found out when it is tried.
            Some(Ok(_)) | None => false,
            Some(Err(_)) => true,
        },
        None => true,
    }
}

/// The next entries of one phase and limit: up to so many files, ending with the
/// one whose gain reaches `need`. What an emergency doesn't take now, because its
/// root is not past its mark, goes to `spared`; the batch may then be empty.
fn next_batch(
    orders: &Orders,
    roots: &[RunRoot<'_>],
    rest: &mut VecDeque<(usize, Action)>,
    spared: &mut VecDeque<(usize, Action)>,
    room: Room,
    need: Option<u64>,
) -> Mixed {
    let mut batch = Mixed::new();
    let (mut sum, mut count): (u64, u64) = (0, 0);
    while let Some((place, next)) = rest.front() {
        let alike = batch.first().is_none_or(|(_, first): &(usize, Action)| {
            next.phase == first.phase && next.reason.limit() == first.reason.limit()
        });
        let fits = !next.reason.is_tree() || room.fits(count, weight(next));
        let goes_on = count < room.batch && fits && need.is_none_or(|need| sum < need);
        // The links of one inode stand together in a plan, and stay together here.
        let linked = batch.last().is_some_and(|(_, last)| last.facts.id.ino == next.facts.id.ino);
        if !alike || !(goes_on || linked) {
            break;
        }
        let last_resort = orders.is_emergency() && next.phase == Phase::Oldest;
        let stays = last_resort && !roots.get(*place).is_some_and(|one| one.past_its_mark);
        let Some(entry) = rest.pop_front() else { break };
        if stays {
            spared.push_back(entry);
        } else {
            sum = sum.saturating_add(gain(&entry.1, orders.target.resource));
            count = count.saturating_add(weight(&entry.1));
            batch.push(entry);
        }
    }
    batch
}
