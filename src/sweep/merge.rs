//! One phase over all roots of a volume, oldest first over all of them.

use crate::model::{Action, Phase, Resource};

use super::SweepError;
use super::planner::{Circumstances, Decided, Planner, Tally};
use super::run::RunRoot;

/// What a run decided on already, by root: an inode is decided on once.
pub type Taken = Vec<Decided>;

/// What the removal of `action` should bring.
pub fn gain(action: &Action, resource: Resource) -> u64 {
    match resource {
        Resource::Bytes => action.expected_bytes,
        // The inode comes free with the last link, which also carries the bytes.
        Resource::Inodes if action.reason.is_tree() => action.reason.files(),
        Resource::Inodes => u64::from(action.facts.nlink <= 1 || action.expected_bytes > 0),
    }
}

/// How many files a removal counts as. An entry of queue or trash is one,
/// whatever was given up with it.
pub fn weight(action: &Action) -> u64 {
    if action.reason.is_tree() { action.reason.files() } else { 1 }
}

/// How many files a batch may take.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// It ends at so many.
    pub batch: u64,
    /// So many may still go in this run; `None`: no bound.
    pub left: Option<u64>,
    /// Nothing went in this run yet: a tree that is more than a run may take goes then.
    pub untouched: bool,
}

impl Room {
    /// Whether a tree of `weight` files fits beside `count` others.
    pub fn fits(&self, count: u64, weight: u64) -> bool {
        (self.untouched && count == 0) || self.left.is_none_or(|left| count.saturating_add(weight) <= left)
    }
}

/// The planners of one phase, merged.
pub struct Merged<'a> {
    planners: Vec<(usize, Planner<'a>)>,
    /// A tree that is more than may still go in this run.
    waiting: Option<(usize, Action)>,
}

/// A batch: removals with the place of their root.
pub type Mixed = Vec<(usize, Action)>;

impl<'a> Merged<'a> {
    /// Begins `phase` over the roots at `places`.
    pub fn new(
        roots: &'a [RunRoot<'a>],
        places: impl IntoIterator<Item = usize>,
        phase: Phase,
        with: impl Fn(&'a RunRoot<'a>) -> Circumstances<'a>,
    ) -> Result<Self, SweepError> {
        let mut planners = Vec::new();
        for place in places {
            if let Some(one) = roots.get(place) {
                planners.push((place, Planner::new(one.root, one.nominator.as_ref(), with(one), phase)?));
            }
        }
        Ok(Self { planners, waiting: None })
    }

    /// The next removal over all roots.
    pub fn next(&mut self, taken: &mut Taken) -> Result<Option<(usize, Action)>, SweepError> {
        loop {
            let oldest = self
                .planners
                .iter_mut()
                .enumerate()
                .filter_map(|(at, (_, planner))| planner.peek_age().map(|age| (age, at)))
                .min();
            let Some((_, at)) = oldest else { return Ok(None) };
            let Some((place, planner)) = self.planners.get_mut(at) else { return Ok(None) };
            let Some(own) = taken.get_mut(*place) else { return Ok(None) };
            if let Some(action) = planner.next(own)? {
                return Ok(Some((*place, action)));
            }
            // This root has nothing more; the others go on.
        }
    }

    /// Nothing more is taken from the root at `place`.
    pub fn leave_out(&mut self, place: usize) {
        self.planners.iter_mut().filter(|(at, _)| *at == place).for_each(|(_, planner)| planner.end());
    }

    /// The tree that ends the run: it is more than may still go.
    pub fn waiting(&self) -> Option<&Action> {
        self.waiting.as_ref().map(|(_, action)| action)
    }

    /// Removals of up to `room.batch` files, ending with the one whose gain
    /// reaches `need`. The links of one inode are never parted. A tree ends a
    /// batch that needs space: the volume is asked after each.
    pub fn batch(
        &mut self,
        room: Room,
        need: Option<u64>,
        resource: Resource,
        taken: &mut Taken,
    ) -> Result<Mixed, SweepError> {
        let mut batch = Mixed::new();
        let (mut sum, mut count): (u64, u64) = (0, 0);
        while self.mid_unit()
            || (self.waiting.is_none() && count < room.batch && need.is_none_or(|need| sum < need))
        {
            let Some((place, action)) = self.next(taken)? else { break };
            let is_tree = action.reason.is_tree();
            if is_tree && !room.fits(count, weight(&action)) {
                self.waiting = Some((place, action));
                break;
            }
            sum = sum.saturating_add(gain(&action, resource));
            count = count.saturating_add(weight(&action));
            batch.push((place, action));
            if is_tree && need.is_some() {
                break;
            }
        }
        Ok(batch)
    }

    fn mid_unit(&self) -> bool {
        self.planners.iter().any(|(_, planner)| planner.is_mid_unit())
    }

    /// What was looked at, by the place of the root.
    pub fn tallies(&self) -> impl Iterator<Item = (usize, &Tally, Option<crate::model::Timestamp>)> {
        self.planners.iter().map(|(place, planner)| (*place, planner.tally(), planner.cutoff()))
    }
}
