//! Carrying out what was planned before.

use std::collections::VecDeque;

use crate::model::{Action, Phase, Report};

use super::super::merge::{Mixed, Room, gain, weight};
use super::super::run::{Orders, RunRoot, Shared, Surroundings};
use super::{PhaseEnd, Running};

/// Carries out removals that were planned before, as far as nothing changed
/// since: the same checks as for a fresh plan, by the limits it was made with.
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
        // The plan's own limit stands in for the policy's: it may have been asked for.
        let as_planned: Vec<RunRoot<'_>> = roots
            .iter()
            .map(|one| RunRoot {
                root: one.root,
                nominator: Box::new(super::super::nominate::Nothing),
                moment: crate::policy::Moment { older_than: Some(limit), ..one.moment.clone() },
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
